"""A crash on a devnet with a rollup's blocks: what a keeper's process does about everybody who is due at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from plimsoll.chain.rpc import RpcClient
from plimsoll.core.units import WAD
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.index.store import StoredEvent
from plimsoll.keepers.ledger import Ledger
from plimsoll.keepers.sums import Sums
from tests.bench.liquidations.crowd import ETH, LOW, PRICE, Crowd, deep_market
from tests.integration.keepers.conftest import Stage, until

BLOCK_GAS = 60_000_000
BLOCK_SECONDS = 2.0
POOL_DOLLARS = 200_000_000
LONGEST = 180.0
"""Seconds that the last close-out is waited for."""


@dataclass(frozen=True)
class Measured:
    """`blocks`: from the one with the price to the one with the last close-out, the first not counted.

    `order`: pairs of close-outs that follow each other with the healthier one first.
    """

    accounts: int
    blocks: int
    blocks_with_some: int
    gas: int
    gas_limit: int
    transactions: int
    reverted: int
    failed: int
    twice: int
    order: int
    per_block: tuple[int, ...]
    largest: int
    """Gas limit of the largest transaction."""
    wrong: str
    """Where the mirror is not what the contracts store; empty where it is."""

    @property
    def gas_each(self) -> float:
        return self.gas / self.accounts

    @property
    def ratio(self) -> float:
        """Blocks that were used by those that the gas alone takes."""
        return self.blocks / (self.gas / self.gas_limit)

    def figures(self) -> dict[str, object]:
        return {
            "accounts": self.accounts,
            "blocks": self.blocks,
            "blocks_by_gas_alone": round(self.gas / self.gas_limit, 2),
            "ratio": round(self.ratio, 3),
            "gas_each": round(self.gas_each),
            "transactions": self.transactions,
            "reverted": self.reverted,
            "failed_in_batches": self.failed,
            "twice": self.twice,
            "out_of_order": self.order,
            "per_block": self.per_block,
        }


class Clockwork:
    """A block every two seconds by the machine's clock, however long it takes to make one."""

    def __init__(self, devnet: Devnet) -> None:
        self._rpc = RpcClient(devnet.node.url)
        self._time = devnet.now
        self._stop = threading.Event()
        self.late = 0.0
        """Seconds by which a block was late at most."""
        self._rpc.call("evm_setAutomine", False)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._time += int(BLOCK_SECONDS)
            self._rpc.batch([("evm_setNextBlockTimestamp", [self._time]), ("evm_mine", [])])
            due += BLOCK_SECONDS
            self.late = max(self.late, time.monotonic() - due)

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)
        self._rpc.close()


class _Still:
    """No blocks but those that are asked for."""

    paused, wait, block_time = True, 0.0, 0


@contextmanager
def crowded(count: int, folder: Path, report: Callable[[str], None]) -> Iterator[tuple[Stage, Crowd]]:
    """A devnet with that many accounts, which stands still."""
    with boot_devnet(
        folder=folder, parameters=deep_market(), prices={ETH: PRICE * WAD}, pool_dollars=POOL_DOLLARS
    ) as devnet:
        stage = Stage(devnet, folder, _Still())  # type: ignore[arg-type]  # a miner's settings are all that is read
        crowd = Crowd(devnet, stage.deployment.on(devnet.chain), count)
        began = time.monotonic()
        crowd.open()
        report(f"{count:,} accounts opened in {time.monotonic() - began:.0f} s")
        try:
            yield stage, crowd
        finally:
            for bot in stage.bots:
                bot.kill()


def measure(count: int, folder: Path, report: Callable[[str], None] = lambda line: None) -> Measured:
    """Open, crash, wait for the last close-out, and count."""
    with crowded(count, folder, report) as (stage, crowd):
        devnet, contracts = stage.devnet, crowd.contracts
        devnet.chain.rpc.call("evm_setBlockGasLimit", hex(BLOCK_GAS))
        clock = Clockwork(devnet)
        clock.start()
        try:
            stage.start("publisher", "provider", store=f"{folder}/keepers.sqlite")
            keeper = stage.start("liquidator", "keeper", store=f"{folder}/keepers.sqlite")
            ledger = Ledger(contracts)
            ledger.at(devnet.chain.block())
            stage.pass_seconds(10)
            report("crash")
            stage.set_prices({ETH: LOW * WAD})
            until("all are closed out", lambda: _closed(ledger, devnet) >= count, LONGEST)
            stage.pass_seconds(6)
        finally:
            clock.stop()
        report(f"blocks were late by {clock.late:.2f} s at most")
        report(f"troubles: {keeper.said('trouble')}")
        return _counted(count, stage, crowd, ledger, len(keeper.said("failed")))


def _closed(ledger: Ledger, devnet: Devnet) -> int:
    ledger.at(devnet.chain.block())
    time.sleep(0.5)
    return len({one.account for one in _close_outs(ledger)})


def _close_outs(ledger: Ledger) -> list[StoredEvent]:
    return ledger.index.store.events("name IN ('Liquidated', 'Absorbed')")


def _counted(count: int, stage: Stage, crowd: Crowd, ledger: Ledger, failed: int) -> Measured:
    devnet = stage.devnet
    ledger.at(devnet.chain.block())
    done = _close_outs(ledger)
    price = str(LOW * WAD)
    [first, *_] = [
        one.block for one in ledger.index.store.events("name = 'PriceRecorded'") if one.fields["price"] == price
    ]
    hashes = list(dict.fromkeys(one.tx for one in done))
    raws = devnet.chain.rpc.batch([("eth_getTransactionReceipt", [one]) for one in hashes])
    sent = devnet.chain.rpc.batch([("eth_getTransactionByHash", [one]) for one in hashes])
    blocks = [one.block for one in done]
    per_block = tuple(blocks.count(number) for number in range(first, max(blocks) + 1))
    place = {f"{account:#066x}": at for at, account in enumerate(crowd.accounts)}
    order = [place[str(one.account)] for one in done]
    return Measured(
        accounts=count,
        blocks=max(blocks) - first,
        blocks_with_some=len(set(blocks)),
        gas=sum(int(one["gasUsed"], 16) for one in raws),
        gas_limit=BLOCK_GAS,
        transactions=len(hashes),
        reverted=len(stage.reverted("keeper")),
        failed=failed,
        twice=len(done) - len({one.account for one in done}),
        order=sum(one > other for one, other in pairwise(order)),
        per_block=per_block,
        largest=max(int(one["gas"], 16) for one in sent),
        wrong=Sums(ledger, sample=2 * count).add_up().wrong(),
    )
