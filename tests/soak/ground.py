"""What a soak stands on: a devnet whose blocks are mined by hand, its prices in a file, Redis, and two bad nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from eth_utils import keccak

from plimsoll.chain.transactions import Block, Call, KeyWallet, Signer
from plimsoll.core.units import BPS, from_wad
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.deployments import Deployment, load
from tests.soak.setting import BLOCK_SECONDS
from tests.support.faulty import FaultyNode
from tests.support.redis_server import RedisServer

ETHER = 10**18
KEPT_STATES = 400
"""Blocks whose state the node keeps: reorganisations and keepers look back less far."""
POOL_FORGETS = 1_000
"""Seconds after which a pool that nobody trades bounds no price: there are no arbitrageurs here."""
PUSH_BPS = 25
PUSH_SECONDS = 40


class Ground:
    """The chain's clock is ours: nothing is mined but by `mine` and `reorganise`."""

    def __init__(self, devnet: Devnet, folder: Path, redis: RedisServer, nodes: tuple[FaultyNode, FaultyNode]) -> None:
        self.devnet = devnet
        self.folder = folder
        self.redis = redis
        self.nodes = nodes
        self.deployment: Deployment = load(devnet.manifest_path)
        self.contracts: Contracts = self.deployment.on(devnet.chain)
        self.prices = folder / "prices.json"
        self._rpc = devnet.chain.rpc
        self._pushed: dict[str, tuple[int, int]] = {}
        devnet.advance(POOL_FORGETS)
        devnet.record()
        self._rpc.call("evm_setAutomine", False)
        self.block: Block = devnet.chain.block()
        self.set_prices(devnet.prices)

    def signer(self, name: str) -> Signer:
        """Someone with ether, whose key comes from the name."""
        wallet = KeyWallet(keccak(text=f"soak {name}"))
        self._rpc.call("anvil_setBalance", wallet.address, hex(100 * ETHER))
        return Signer(self.devnet.chain, wallet, name=name)

    def set_prices(self, prices: Mapping[str, int]) -> None:
        """What publishers read from now on, WAD dollars; push feeds follow as their operators have them."""
        self.devnet.prices.update(prices)
        text = json.dumps({name: f"{from_wad(price):f}" for name, price in prices.items()})
        fresh = self.prices.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.prices)
        self._push(prices)

    def _push(self, prices: Mapping[str, int]) -> None:
        now, calls = self.block.timestamp, []
        for name, price in prices.items():
            last, at = self._pushed.get(name, (0, 0))
            if abs(price - last) * BPS >= last * PUSH_BPS or now - at >= PUSH_SECONDS:
                self._pushed[name] = price, now
                calls.append(self.devnet.environment.push_call(name, price, now))
        self.send(self.devnet.signers["faucet"], calls)

    def send(self, signer: Signer, calls: list[Call]) -> None:
        """Into the node's pool, without waiting; each call has its gas."""
        if calls:
            signer.broadcast(signer.sign_many(calls))

    def mine(self, at: int | None = None) -> Block:
        """The next block, at the next moment or at one that is given."""
        then = self.block.timestamp + BLOCK_SECONDS if at is None else at
        self._rpc.batch([("evm_setNextBlockTimestamp", [then]), ("evm_mine", [])])
        self.block = self.devnet.chain.block()
        return self.block

    def reorganise(self, depth: int) -> Block:
        """The last blocks are exchanged for others at the same moments, without what was in them."""
        head = self.block.number
        raws = self._rpc.batch(
            [("eth_getBlockByNumber", [hex(one), False]) for one in range(head - depth + 1, head + 1)]
        )
        self._rpc.call("anvil_rollback", depth)
        self.devnet.forget_nonces()
        for raw in raws:
            self.mine(int(raw["timestamp"], 16))
        return self.block


@contextmanager
def standing(folder: Path) -> Iterator[Ground]:
    """A ground that is cleared away at the end of the context."""
    with ExitStack() as stop:
        devnet = stop.enter_context(boot_devnet(folder=folder, extra=("--prune-history", str(KEPT_STATES))))
        redis = stop.enter_context(RedisServer(folder))
        nodes = tuple(stop.enter_context(FaultyNode(devnet.node.url)) for _ in range(2))
        yield Ground(devnet, folder, redis, (nodes[0], nodes[1]))
