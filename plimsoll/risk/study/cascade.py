"""One run: a crowd enters, the price falls, keepers do at every record all that the protocol lets them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from plimsoll.core.units import SECONDS_PER_MINUTE, WAD
from plimsoll.risk.liquidation import AgainstSide
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.study.actors import Actor, Buyers, Taker
from plimsoll.risk.study.crash import Crash
from plimsoll.risk.study.crowd import Entry, crowd
from plimsoll.risk.study.result import Result, Sample
from plimsoll.risk.study.setting import PATIENCE_BPS, Setting
from plimsoll.risk.study.watch import Due, Watch
from plimsoll.risk.study.world import KEEPER, MARKET, World


class Cascade:
    """Records of a crash and what keepers do at each. Who enters is the setting's crowd, unless `entries` says."""

    def __init__(self, crash: Crash, setting: Setting, entries: Sequence[Entry] | None = None) -> None:
        self.crash = crash
        self.setting = setting
        self.world = World(setting, crash.seconds[0], crash.start)
        self.watch = Watch(self.world)
        self.result = Result()
        self.taker = Taker(self.world, setting.take_over_usd) if setting.take_over_usd else None
        self.buyers = Buyers(self.world, setting.buyers_usd) if setting.buyers_usd else None
        self._others: list[Actor] = [actor for actor in (self.taker, self.buyers) if actor]
        self._entries = deque(crowd(setting, crash) if entries is None else entries)
        self._since: dict[int, int] = {}
        self._liquidated: set[int] = set()
        self._counterparties: set[int] = set()
        self._pool_before = self._unwound_before = self._fund_before = 0
        self._events = self._closed_against = 0
        self._has_begun = False
        self._last_minute: deque[tuple[int, int]] = deque()

    def join(self, actor: Actor) -> None:
        """From now on he acts at every record, before the keepers and after them, ahead of the others."""
        self._others.insert(0, actor)

    def run(self, *, trace: bool = False) -> Result:
        """To the end of the crash. The ledger's sums are checked there: AssertionError where they don't hold."""
        for now, price in self.crash.published(self.setting.publish_seconds):
            self.world.publish(now, price)
            self.step()
            if trace:
                self._sample()
        return self.end()

    def step(self) -> None:
        """What happens at the newest record."""
        world = self.world
        world.protocol.accrue(MARKET, now=world.now)
        self._enter()
        self._look_after_events()
        if not self._has_begun and world.now >= self.crash.worst:
            self._begin()
        for actor in self._others:
            actor.before(world)
        due = self.watch.due()
        if due:
            self._liquidate(due)
            self._look_after_events()
        for actor in self._others:
            actor.after(world)
        self._settle_delays(due)
        if self.taker:
            self.watch.look(self.taker.account)
        if self._has_begun:
            self._measure()

    def end(self) -> Result:
        """The result, as of the newest record."""
        world, result = self.world, self.result
        if self.taker:
            self._liquidated.discard(self.taker.account)
        result.accounts = len(self._liquidated)
        result.deleveragings = world.market.events - self._closed_against
        result.counterparties = len(self._counterparties)
        result.left = sum(world.protocol.equity(account, world.now) for account in self._liquidated)
        result.fund = world.fund_cash - self._fund_before
        result.pool = world.pool_equity - self._pool_before
        result.pool_unwound = world.pool_unwound - self._unwound_before
        result.still_unhealthy = len(self._since)
        if self.taker:
            result.taker, result.taker_discount = self.taker.result(world), self.taker.discounts - self.taker.fees
        if self.buyers:
            result.bought = self.buyers.bought
        world.protocol.check_sums(world.now)
        return result

    # ------------------------------------------------------------------------------------------------------ the parts

    def _enter(self) -> None:
        world = self.world
        while self._entries and self._entries[0].at <= world.now:
            entry = self._entries.popleft()
            account = world.account(entry.collateral)
            world.open(account, entry.dollars * WAD // world.price)
            self.watch.look(account)

    def _begin(self) -> None:
        world, result = self.world, self.result
        world.enforce_limits()
        self._has_begun = True
        self._pool_before, self._unwound_before = world.pool_equity, world.pool_unwound
        self._fund_before = world.fund_cash
        result.skew_at_start = result.skew_lowest = result.skew_highest = world.skew_bps

    def _liquidate(self, due: list[Due]) -> None:
        """Whoever is worth nothing is absorbed; then keepers with capital take what pays them, the rest is closed out
        as far as the window's cap goes, the sickest first."""
        for _, account, equity in due:
            self._since.setdefault(account, self.world.now)
            if equity <= 0:
                self._absorb(account)
        alive = [one.account for one in due if one.equity > 0]
        for account in alive if self.taker else ():
            self._take_over(account)
        for account in alive:
            if not self._close_out(account):
                break

    def _absorb(self, account: int) -> None:
        world, result = self.world, self.result
        base = world.base_of(account)
        if not base:
            return
        before = world.protocol.equity(account, world.now)
        done = world.protocol.absorb(account, now=world.now, sender=KEEPER)
        closed = sum(abs(part.base) for part in done.against_sides)
        result.bankrupt += 1
        result.absorbed += world.value(abs(base) - closed)
        result.debt_fund += done.from_fund
        result.debt_pool += done.debt - done.from_fund
        given = sum(self._against(part) for part in done.against_sides)
        result.impact += before + given + done.debt
        self._liquidated.add(account)
        self.watch.look(account)

    def _against(self, part: AgainstSide) -> int:
        """Returns what the account got of the others beyond the index price."""
        world, result = self.world, self.result
        worth = world.value(part.base)
        given = part.flow - worth if part.base < 0 else worth - part.flow
        result.against += worth
        result.given_up += given
        self._counterparties.update(
            account for account, held in world.market.positions.items() if held.base * part.base > 0
        )
        self._closed_against += 1
        return given

    def _take_over(self, account: int) -> None:
        assert self.taker is not None
        if account == self.taker.account:
            return
        done = self.taker.take(self.world, account)
        if done is None:
            return
        self.result.taken_over += self.world.value(done.size)
        self.result.paid += done.discount
        self._liquidated.add(account)
        self.watch.look(account)

    def _close_out(self, account: int) -> bool:
        """False where the window has no room left for anybody."""
        world, result = self.world, self.result
        before = world.protocol.equity(account, world.now)
        try:
            done = world.protocol.liquidate(account, MARKET, now=world.now, sender=KEEPER)
        except Refusal as refusal:
            if refusal.name in ("Liquidator_Healthy", "Liquidator_NoPosition"):
                return True
            if refusal.name == "Liquidator_CapReached":
                return False
            raise
        lost = before - world.protocol.equity(account, world.now) + done.debt
        result.closed_out += world.value(done.size)
        result.paid += lost
        result.impact += lost - done.cost
        result.rewards += done.reward
        result.debt_fund += done.debt
        self._liquidated.add(account)
        self.watch.look(account)
        return True

    def _look_after_events(self) -> None:
        """Where a part of a side was closed, positions have changed that nobody touched."""
        if self.world.market.events != self._events:
            self._events = self.world.market.events
            self.watch.look_at_all()

    def _settle_delays(self, due: list[Due]) -> None:
        """Who was unhealthy and no longer is: liquidated, which counts, or saved by the price."""
        if not self._since:
            return
        world = self.world
        sick = {one.account for one in due}
        for account in list(self._since):
            if account not in sick:
                del self._since[account]
                continue
            equity, required = world.protocol.state.health(account, world.now)
            if equity >= required:
                self.result.delays.append(world.now - self._since.pop(account))

    def _measure(self) -> None:
        result, skew = self.result, self.world.skew_bps
        result.skew_lowest = min(result.skew_lowest, skew)
        result.skew_highest = max(result.skew_highest, skew)
        self._last_minute.append((self.world.now, skew))
        while self._last_minute[0][0] < self.world.now - SECONDS_PER_MINUTE:
            self._last_minute.popleft()
        fallen = max(before for _, before in self._last_minute) - skew
        result.fall_in_a_minute = max(result.fall_in_a_minute, fallen)
        result.pool_lowest = min(result.pool_lowest, self.world.pool_equity - self._pool_before)
        if skew < -PATIENCE_BPS * 100:
            result.below_seconds += self.setting.publish_seconds

    def _sample(self) -> None:
        world = self.world
        waiting = sum(world.value(world.base_of(account)) for account in self._since)
        self.result.trace.append(
            Sample(world.now, world.price, world.skew_bps, waiting, self.result.against, world.pool_equity)
        )
