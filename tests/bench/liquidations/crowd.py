"""Thousands of accounts with a position each, opened by the calls that anybody would make, many in a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from plimsoll.chain.contracts import Deployed, artifact
from plimsoll.chain.transactions import Call
from plimsoll.core import ids
from plimsoll.core.orders import Order
from plimsoll.core.units import WAD
from plimsoll.deploy import parameters as deployment
from plimsoll.deploy.parameters import Parameters
from plimsoll.devnet.boot import PARAMETERS, Devnet
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.orders import market_order

T = TypeVar("T")

ETH = "ETH/USD"
PRICE, LOW = 2_500, 2_400
"""The price at which they enter, and one at which all of them are due and none is bankrupt."""
BASE = WAD * 8 // 10
"""Of each, ETH: 2,000 dollars."""
DOLLARS, SPREAD = 102, 6
"""In each account, and by how much more in the last than in the first, so that each has a health of its own."""
SCALE = 100
"""Times the devnet's: what close-outs may move in a window is no limit then."""
ROOM = 10**10
"""A block's gas while accounts are opened."""
AT_ONCE, TOGETHER = 1_000, 50
"""Accounts that enter at one price, and calls in one transaction."""
CALL_GAS = 310_000


def deep_market() -> Parameters:
    """The devnet's parameters, with a market for ETH that is a hundred times as deep."""
    loaded = deployment.load(PARAMETERS)
    markets = (replace(one, scale=SCALE * one.scale) if one.name == ETH else one for one in loaded.markets)
    return replace(loaded, markets=tuple(markets))


class Crowd:
    """Accounts of a contract that calls for them."""

    def __init__(self, devnet: Devnet, contracts: Contracts, count: int) -> None:
        self.devnet = devnet
        self.contracts = contracts
        self.signer = devnet.signers["alice"]
        address = self.signer.deploy(artifact("Batcher").bytecode).contract_address
        self.batcher = Deployed.of("Batcher", address, devnet.chain)
        self.accounts = [ids.pack(self.batcher.address, 0, index) for index in range(count)]

    def open(self) -> None:
        """Deposits for all, then orders for some at a time, which are executed at the next price."""
        rpc = self.devnet.chain.rpc
        rpc.call("evm_setBlockGasLimit", hex(ROOM))
        self._fund()
        market_id = self.devnet.market(ETH).id
        for part in _parts(self.accounts, AT_ONCE):
            orders = [market_order(one, market_id, BASE, salt=place) for place, one in enumerate(part)]
            self._mine(self._calls([self.contracts.order_book.prepare("place", one) for one in orders]))
            self.devnet.advance(3)
            self.devnet.record()
            self._mine(self._executions(orders))

    def _fund(self) -> None:
        unit = 10**self.contracts.token_decimals
        vault, token, count = self.contracts.vault, self.contracts.token, len(self.accounts)
        self.devnet.mint(self.batcher.address, (DOLLARS + SPREAD) * count)
        deposits = [
            vault.prepare("deposit", one, DOLLARS * unit + SPREAD * unit * place // count)
            for place, one in enumerate(self.accounts)
        ]
        self._mine(self._calls([token.prepare("approve", vault, 2**256 - 1), *deposits]))

    def _calls(self, calls: Sequence[Call]) -> Iterator[Call]:
        for part in _parts(calls, TOGETHER):
            run = self.batcher.prepare("run", [one.to for one in part], [one.data for one in part])
            yield replace(run, gas=CALL_GAS * len(part))

    def _executions(self, orders: Sequence[Order]) -> Iterator[Call]:
        for part in _parts(orders, TOGETHER):
            yield replace(self.contracts.order_book.prepare("executeBatch", part, []), gas=CALL_GAS * len(part))

    def _mine(self, calls: Iterable[Call]) -> None:
        """All in one block, so that they have the same time. Raises Reverted where one fails."""
        rpc, chain = self.devnet.chain.rpc, self.devnet.chain
        rpc.call("evm_setAutomine", False)
        signed = self.signer.sign_many(calls)
        self.signer.broadcast(signed)
        rpc.call("evm_mine")
        rpc.call("evm_setAutomine", True)
        for one in signed:
            receipt = chain.wait_for(one.tx_hash)
            if not receipt.ok:
                raise chain.why(receipt)


def _parts(items: Sequence[T], size: int) -> Iterator[list[T]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))
