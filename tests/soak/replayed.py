"""The whole run once more, from its events alone, transaction by transaction through a new mirror.

It says of every block who could be liquidated after it, and so how long everybody waited; and of every liquidation
whether its account could be liquidated right before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from plimsoll.core.units import BPS, WAD
from plimsoll.index.follow import Index
from plimsoll.index.mirror import Mirror
from plimsoll.index.rows import records_of
from plimsoll.replay.stored import sums_of
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import DOUBTFUL
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import Absorbed, Deposited, Happened, Liquidated, PositionAbsorbed, TakenOver, Withdrawn
from tests.soak.setting import BLOCK_SECONDS
from tests.support.mirrored import layout_of, mirrored

SAMPLED = 60
"""Blocks between sums of the ledger."""
DUST = 10**9
"""Wei that the ledger may keep of roundings: a billionth of a dollar."""


@dataclass(slots=True)
class Wait:
    """An account that could be liquidated after block `since`, and until block `until` nobody touched it.

    `excused`: blocks among them in which the contracts would have refused: without a usable price, beyond the cap.
    """

    account: int
    since: int
    until: int = 0
    excused: int = 0
    was_liquidated: bool = False
    """Else it became healthy by itself, or the run ended."""

    @property
    def blocks(self) -> int:
        """Until somebody came, without those in which nobody could."""
        return self.until - self.since - self.excused


@dataclass(slots=True)
class Replayed:
    """What was found."""

    waits: list[Wait] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    """Accounts that could be liquidated after the last block."""
    liquidations: list[Liquidated | TakenOver | Absorbed] = field(default_factory=list)
    unfounded: list[Happened] = field(default_factory=list)
    """Liquidations of accounts that were healthy before, or which say other figures than the mirror has."""
    most_unhealthy: int = 0
    sums: int = 0
    wrong_sums: list[str] = field(default_factory=list)
    dust: int = 0
    """At the last sums, wei."""


def replay(index: Index, first: int, last: int) -> Replayed:
    """Blocks from the deployment to `last`; waits are counted after block `first`. `index` has read all of them."""
    return _Replay(index, first, last).run()


class _Replay:
    def __init__(self, index: Index, first: int, last: int) -> None:
        self._contracts: Contracts = index.contracts
        self._store = index.store
        self._first, self._last = first, last
        pool, fund = (int(self._contracts.addresses[name], 16) for name in ("LiquidityPool", "InsuranceFund"))
        self._mirror = Mirror(pool=pool, fund=fund, token_unit=self._contracts.token_unit)
        self._tokens = 0
        self._waiting: dict[int, Wait] = {}
        self._found = Replayed()

    def run(self) -> Replayed:
        times = self._times()
        start = self._contracts.from_block
        blocks = dict(self._by_block())
        for number in range(start, self._last + 1):
            records = blocks.get(number, [])
            touched = self._apply(number, times[number], records)
            if number >= self._first:
                self._judge(number, times[number], touched)
            if number % SAMPLED == 0 or number == self._last:
                self._add_up(number)
        self._found.left = sorted(self._waiting)
        for wait in self._waiting.values():
            wait.until = self._last
            self._found.waits.append(wait)
        return self._found

    # --- events ----------------------------------------------------------------------------------------------------

    def _by_block(self) -> Iterator[tuple[int, list[Happened]]]:
        rows = [row for part in self._store.all_events() for row in part]
        for block, group in groupby(rows, key=lambda row: row.block):
            yield block, records_of(group)

    def _times(self) -> dict[int, int]:
        numbers = range(self._contracts.from_block, self._last + 1)
        raws = self._contracts.chain.rpc.batch([("eth_getBlockByNumber", [hex(one), False]) for one in numbers])
        return {number: int(raw["timestamp"], 16) for number, raw in zip(numbers, raws, strict=True)}

    def _apply(self, number: int, time: int, records: Sequence[Happened]) -> set[int]:
        """Returns the accounts that were liquidated in the block."""
        touched: set[int] = set()
        for _, group in groupby(records, key=lambda one: one.tx_hash):
            part = list(group)
            self._check(time, part)
            self._count_moved(part)
            self._mirror.apply(number, time, part)
            self._tokens += sum(one.amount for one in part if isinstance(one, Deposited))
            self._tokens -= sum(one.amount for one in part if isinstance(one, Withdrawn))
            touched |= {one.account for one in part if isinstance(one, Liquidated | TakenOver | Absorbed)}
        return touched

    def _check(self, time: int, part: Sequence[Happened]) -> None:
        """Before a transaction: the first thing that it does to an account must have been due."""
        seen: set[int] = set()
        for one in part:
            if not isinstance(one, Liquidated | TakenOver | Absorbed):
                continue
            self._found.liquidations.append(one)
            if one.account in seen:
                continue
            seen.add(one.account)
            equity, maintenance = self._mirror.monitor.health(one.account, time)
            due = equity <= 0 if isinstance(one, Absorbed) else equity < maintenance
            said = one.equity if isinstance(one, Absorbed) else (one.equity, one.maintenance)
            if not due or said != (equity if isinstance(one, Absorbed) else (equity, maintenance)):
                self._found.unfounded.append(one)

    def _count_moved(self, part: Sequence[Happened]) -> None:
        """The liquidator's windows, which the mirror hasn't: of absorptions at most what they could have added."""
        for one in part:
            if isinstance(one, Liquidated | PositionAbsorbed):
                self._mirror.markets[one.market_id].count_moved(one.published_at, abs(one.base))

    # --- who waits -------------------------------------------------------------------------------------------------

    def _judge(self, number: int, time: int, touched: set[int]) -> None:
        """After a block."""
        unhealthy = set(self._mirror.monitor.liquidatable(time))
        self._found.most_unhealthy = max(self._found.most_unhealthy, len(unhealthy))
        for account in list(self._waiting):
            if account in touched or account not in unhealthy:
                wait = self._waiting.pop(account)
                wait.until, wait.was_liquidated = number, account in touched
                self._found.waits.append(wait)
        for account in unhealthy:
            wait = self._waiting.setdefault(account, Wait(account, number))
            if not self._can_be_liquidated(account, time):
                wait.excused += 1

    def _can_be_liquidated(self, account: int, time: int) -> bool:
        """In the next block, at the prices of this one."""
        monitor, then = self._mirror.monitor, time + BLOCK_SECONDS
        equity, _ = monitor.health(account, time)
        usable = [
            (market, abs(held.base))
            for market_id, held in monitor.positions(account)
            if _is_usable(market := monitor.markets[market_id], then)
        ]
        if equity <= 0:
            return bool(usable)
        return any(_has_room(market, size) for market, size in usable)

    # --- sums ------------------------------------------------------------------------------------------------------

    def _add_up(self, number: int) -> None:
        layout = layout_of(self._mirror)
        markets = self._mirror.markets
        if any(market.newest is None for market in markets.values()):
            return
        prices = {one.id: one.newest.price for one in markets.values() if one.newest}
        ends = {one.id: (one.ends_long, one.ends_short) for one in markets.values()}
        sums = sums_of(mirrored(self._mirror, layout), self._tokens * self._contracts.token_unit, prices, ends)
        self._found.sums += 1
        self._found.dust = sums.dust
        wrong = [f"base {off}" for off in sums.base.values() if abs(off) > DUST]
        wrong += [f"dust {sums.dust} wei"] if not -DUST <= sums.dust <= DUST else []
        wrong += [f"equity {sums.equity} wei"] if abs(sums.equity) > DUST else []
        if wrong:
            self._found.wrong_sums.append(f"block {number}: {', '.join(wrong)}")


def _is_usable(market: Market, now: int) -> bool:
    return market.newest is not None and market.is_fresh(now) and market.newest.state <= DOUBTFUL


def _has_room(market: Market, held: int) -> bool:
    """Whether a close-out is possible within the window of the newest record: of all of it or of a minimum position."""
    assert market.newest is not None
    params = market.rules.params
    least = -(-market.rules.min_position * WAD // market.newest.price)
    cap = max(market.scale * (params.maker_bps + params.taker_bps) // BPS, 2 * least)
    return cap - market.moved_in(market.newest.published_at) >= min(held, 2 * least)
