"""A devnet in which prices fall, and accounts that were opened so that each is due for one kind of liquidation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from plimsoll.chain.contracts import Deployed, artifact, interface
from plimsoll.chain.transactions import Call, Receipt
from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.deployments import load
from plimsoll.sdk.receipts import Receipt as Checked
from plimsoll.sdk.receipts import receipt_of
from plimsoll.sdk.slots import VAULT_BALANCES, slot_of

ETH, BTC = 1, 2
CRASHED = {"ETH/USD": 2_350 * WAD, "BTC/USD": 56_400 * WAD}
"""Six hundredths down."""
LONG_ETH = "40"


class Crash:
    """Accounts by what is due for them once prices have fallen; nothing is mined in between but what is sent."""

    def __init__(self, devnet: Devnet, folder: Path) -> None:
        self.devnet = devnet
        self.folder = folder
        self.chain = devnet.chain
        self.deployment = load(devnet.manifest_path)
        self.contracts = self.deployment.on(devnet.chain)
        self.alice = self.client("alice")
        self.keeper = devnet.signers["keeper"]
        self.liquidator = self.contracts.liquidator
        self.unhealthy = self.account(1, 8_500, {"ETH": LONG_ETH})
        self.bargain = self.account(2, 7_200, {"ETH": LONG_ETH})
        self.bankrupt = self.account(3, 6_600, {"ETH": "25", "BTC": "1"})
        self.taker = devnet.deposit("keeper", 200_000)

    def client(self, name: str) -> Plimsoll:
        return Plimsoll(self.chain, self.contracts, self.devnet.signers[name], markets=self.deployment.markets)

    def account(self, index: int, dollars: int, sizes: Mapping[str, str]) -> int:
        """One of alice's accounts, with that much cash before it opened these positions."""
        account = ids.pack(self.alice.signer.address, index=index)
        if dollars:
            self.devnet.deposit("alice", dollars, account)
        for market, size in sizes.items():
            placed = self.alice.place_market(market, size, account=account, slippage_bps=500)
            self.devnet.advance(2)
            self.devnet.record()
            self.contracts.order_book.transact(self.keeper, "execute", placed.order, [])
        return account

    def fall(self) -> None:
        self.devnet.record(CRASHED)

    def pool_of(self, dollars: int) -> None:
        """Set the pool's cash in ETH, for exposure that it can't bear; the ledger doesn't add up any more."""
        account = ids.pack(self.contracts.addresses["LiquidityPool"], isolated_market=ETH)
        self.write(self.contracts.vault, slot_of(VAULT_BALANCES, account), dollars * WAD)

    def write(self, contract: Deployed, slot: int, word: int) -> None:
        """Into a contract's storage."""
        self.chain.rpc.call("anvil_setStorageAt", contract.address, hex(slot), f"0x{word:064x}")

    def close_out(self, account: int) -> Call:
        return self.liquidator.prepare("liquidate", account, ETH, [], gas=2_000_000)

    def take_over(self, account: int, size: int, taker: int) -> Call:
        return self.liquidator.prepare("takeOver", account, ETH, size, taker, b"", [], gas=2_000_000)

    def absorb(self, account: int) -> Call:
        return self.liquidator.prepare("absorb", account, [], gas=3_000_000)

    def send(self, call: Call) -> Receipt:
        """In a block of its own."""
        (receipt,) = self.keeper.send_many([call], check=True)
        return receipt

    def send_together(self, calls: Sequence[Call]) -> list[Receipt]:
        """Each a transaction, all in one block."""
        rpc = self.chain.rpc
        rpc.call("evm_setAutomine", False)
        try:
            signed = self.keeper.sign_many(calls)
            self.keeper.broadcast(signed)
            rpc.call("evm_mine")
        finally:
            rpc.call("evm_setAutomine", True)
        receipts = [self.chain.wait_for(one.tx_hash) for one in signed]
        assert all(one.ok for one in receipts)
        assert len({one.block_number for one in receipts}) == 1
        return receipts

    def batcher(self) -> Deployed:
        """A keeper's contract that does several things in one transaction."""
        receipt = self.keeper.deploy(artifact("Batcher").bytecode)
        assert receipt.contract_address is not None
        return Deployed(interface("Batcher"), receipt.contract_address, self.chain)

    def check(self, receipt: Receipt) -> Checked:
        return receipt_of(self.contracts, receipt.tx_hash)


@pytest.fixture(scope="module")
def scene(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crash]:
    folder = tmp_path_factory.mktemp("devnet")
    with boot_devnet(folder=folder) as devnet:
        yield Crash(devnet, folder)


@pytest.fixture
def crash(scene: Crash) -> Iterator[Crash]:
    """Before the fall; each test has it for itself."""
    prices, snapshot = dict(scene.devnet.prices), scene.devnet.snapshot()
    yield scene
    scene.devnet.restore(snapshot)
    scene.devnet.prices.update(prices)
