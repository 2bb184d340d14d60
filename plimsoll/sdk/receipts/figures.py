"""A liquidation recomputed: each figure of its events beside what the reference model makes of the state before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.risk import liquidation
from plimsoll.risk.config import Gas
from plimsoll.risk.margin import health_price
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import State
from plimsoll.sdk.events import Happened, Liquidated, PositionAbsorbed, TakenOver
from plimsoll.sdk.receipts.steps import Step
from plimsoll.sdk.receipts.told import Told
from plimsoll.sdk.receipts.words import BALANCE, Key, words_of
from plimsoll.sdk.words import unpack_balance

USD, BASE, TIME, SHARE, TEXT = "usd", "base", "time", "share", "text"
"""What a figure is in: WAD dollars, WAD of the asset, Unix seconds, a WAD fraction."""
_LOAN = 10**40
_MARGIN = ("PerpMarket_InsufficientMargin", "PerpMarket_LessHealthy")


@dataclass(frozen=True, slots=True)
class Figure:
    """`said` by the events or stored, `found` by the model; None where there is nothing of the kind."""

    name: str
    unit: str
    said: int | None
    found: int | None

    @property
    def is_compared(self) -> bool:
        return self.said is not None

    @property
    def is_right(self) -> bool:
        return self.said is None or self.said == self.found


@dataclass(frozen=True, slots=True)
class Checked:
    """A liquidation and its figures. `refused` is why the rules would not have let it happen; empty where they would.

    `words` counts those of the ledger that were compared after it, `differ` names those in which it differs.
    """

    step: Step
    figures: tuple[Figure, ...]
    refused: str = ""
    words: int = 0
    differ: tuple[str, ...] = ()
    judged_later: int = 0
    """The account of a flash take-over, whose margin is judged at its end; 0 of another."""

    @property
    def wrong(self) -> list[Figure]:
        return [one for one in self.figures if not one.is_right]

    @property
    def is_right(self) -> bool:
        return not (self.wrong or self.refused or self.differ)


def check(told: Told, step: Step, records: Sequence[Happened], keys: Sequence[Key], gas: Gas) -> Checked:
    """Recompute a step from the state that was told so far, then tell its events and compare what results.

    `records` are the step's own; `gas` is what it costs, and whether this transaction was paid for before.
    """
    recompute = _Recompute(told.state, told.now, step, gas)
    figures: list[Figure] = []
    refused, after = "", {}
    try:
        figures += recompute.figures()
        after = recompute.after(lambda: words_of(told.state, keys))
    except Refusal as refusal:
        refused = str(refusal)
    told.tell_all(records)
    if not after:
        return Checked(step, tuple(figures), refused)
    now = words_of(told.state, keys)
    cash = {account: (unpack_balance(now[key]).cash, unpack_balance(after[key]).cash)
            for account in recompute.paid if (key := Key(BALANCE, (account,))) in now}  # fmt: skip
    figures += (Figure(f"cash of {recompute.paid[one]} after", USD, said, found) for one, (said, found) in cash.items())
    differ = tuple(in_words(key) for key, word in now.items() if word != after[key])
    return Checked(step, tuple(figures), "", len(now), differ, recompute.judged_later)


def in_words(key: Key) -> str:
    """Which word of the ledger it is."""
    names = {
        "market": ("longs' accumulators", "shorts' accumulators", "open interest", "pool's quote and rate", "unswept"),
        "position": ("size", "accumulators"),
        "config": ("margin", "trading", "liquidity"),
    }
    part = f" ({names[key.kind][key.place]})" if key.kind in names else ""
    if key.kind == "position":
        return f"position of {key.of[0]:#x} in market {key.of[1]}{part}"
    return f"{key.kind} of {key.of[0]:#x}{part}" if key.kind == "balance" else f"{key.kind} {key.of[0]}{part}"


class _Recompute:
    """One step in the model; the state is as before after every method."""

    def __init__(self, state: State, now: int, step: Step, gas: Gas) -> None:
        self.state, self.now, self.step, self.gas = state, now, step, gas
        self.judged_later = 0
        main = step.main
        self.paid = {main.account: "the account"}
        """Whose cash is looked at, and what they are called."""
        if isinstance(main, TakenOver):
            self.paid[main.to_account] = "the taker"
        else:
            self.paid.setdefault(ids.pack(main.keeper), "the keeper")
            self.paid.setdefault(state.fund_account, "the insurance fund")

    def figures(self) -> list[Figure]:
        """Raises Refusal where the model would not do it."""
        if isinstance(self.step.main, Liquidated):
            return list(self._close_out(self.step.main))
        if isinstance(self.step.main, TakenOver):
            return list(self._take_over(self.step.main))
        return list(self._absorption())

    def after(self, look: Callable[[], dict[Key, int]]) -> dict[Key, int]:
        """What is seen once the model has done it."""
        with self.state.journal.discarded():
            self._do()
            return look()

    def _do(self) -> Any:
        state, now, main = self.state, self.now, self.step.main
        if isinstance(main, Liquidated):
            return liquidation.liquidate(state, now, int(main.keeper, 16), main.account, main.market_id, self.gas)
        if isinstance(main, TakenOver):
            return self._do_take_over(main)
        return liquidation.absorb(state, now, int(main.keeper, 16), main.account, self.gas)

    def _do_take_over(self, main: TakenOver) -> liquidation.TakeOver:
        """In a flash take-over the margin is judged later: a loan takes the judgement out, and changes nothing else."""
        state, owner = self.state, main.to_account >> 96
        taken = (main.account, main.market_id, main.base, main.to_account)
        point = state.journal.begin()
        try:
            done = liquidation.take_over(state, self.now, owner, *taken)
        except Refusal as refusal:
            state.journal.rollback(point)
            if refusal.name not in _MARGIN:
                raise
            self.judged_later = main.to_account
        else:
            state.journal.commit()
            return done
        state.credit(main.to_account, _LOAN)
        done = liquidation.take_over(state, self.now, owner, *taken)
        state.credit(main.to_account, -_LOAN)
        return done

    # --- the three kinds ---

    def _close_out(self, said: Liquidated) -> Iterator[Figure]:
        state = self.state
        before = state.cash_of(state.fund_account)
        with state.journal.discarded():
            done: liquidation.CloseOut = self._do()
            from_fund = done.cost - done.reward - (state.cash_of(state.fund_account) - before)
        with state.journal.discarded():
            market, record = self._brought_up(said.market_id)
            held, _ = state.settle(market, said.account)
            size = -done.size if held > 0 else done.size
            quote = market.fill_quote(size, record.price, record.confidence)
            yield from self._standing(market, record, held, said)
        yield Figure("size closed", BASE, said.base, size)
        yield Figure("fill price", USD, None, quote.price)
        yield Figure("fill sum", USD, said.quote, quote.amount)
        yield Figure("cost", USD, said.cost, done.cost)
        yield Figure("of it to the keeper", USD, said.reward, done.reward)
        yield Figure("of it to the insurance fund", USD, said.cost - said.reward, done.cost - done.reward)
        yield Figure("fund's top-up of the keeper", USD, said.top_up, done.top_up)
        yield from _debt(self.step, done.debt, from_fund, done.by_side)

    def _take_over(self, said: TakenOver) -> Iterator[Figure]:
        state = self.state
        with state.journal.discarded():
            done: liquidation.TakeOver = self._do()
        with state.journal.discarded():
            market, record = self._brought_up(said.market_id)
            held, _ = state.settle(market, said.account)
            yield from self._standing(market, record, held, said)
        size = done.size if held > 0 else -done.size
        params = market.rules.params
        insurance, treasury = (
            done.fee * share // 10_000 for share in (params.insurance_share_bps, params.treasury_share_bps)
        )
        yield Figure("size taken over", BASE, said.base, size)
        yield Figure("sum for it", USD, said.quote, done.amount if held > 0 else -done.amount)
        yield Figure("discount in it", USD, said.discount, done.discount)
        yield Figure("taker's fee", USD, said.fee, done.fee)
        yield Figure("of it to the pool", USD, None, done.fee - insurance - treasury)
        yield Figure("of it to the insurance fund", USD, None, insurance)
        yield Figure("of it to the treasury", USD, None, treasury)

    def _absorption(self) -> Iterator[Figure]:
        state, main = self.state, self.step.main
        assert not isinstance(main, Liquidated | TakenOver)
        with state.journal.discarded():
            done: liquidation.Absorption = self._do()
        with state.journal.discarded():
            markets = list(state.markets_of(main.account))
            for market in markets:
                state.bring_up(market, self.now)
            _, required = state.health(main.account, self.now)
            yield Figure("equity", USD, main.equity, done.equity)
            yield Figure("requirement", USD, None, required)
            yield Figure("positions", TEXT, len(self.step.positions), done.positions)
            for market in markets:
                yield from self._absorbed_in(market, done)
        yield Figure("keeper's reward, from the fund", USD, main.reward, done.reward)
        yield from _debt(self.step, done.debt, done.from_fund, done.by_sides)

    def _absorbed_in(self, market: Market, done: liquidation.Absorption) -> Iterator[Figure]:
        """One position of an absorption; the markets don't depend on each other."""
        where = f" in market {market.id}"
        said = next((one for one in self.step.positions if one.market_id == market.id), None)
        against = next((one for one in done.against_sides if one.market_id == market.id), None)
        record = market.newest
        assert record is not None, "the model absorbed it, so there is a price"
        held, _ = self.state.settle(market, self.step.account)
        size = -held - (against.base if against else 0)
        quote = market.fill_quote(size, record.price, record.confidence) if size else None
        yield Figure("price" + where, USD, None, record.price)
        yield Figure("confidence" + where, USD, None, record.confidence)
        yield Figure("publish time" + where, TIME, _value(said, "published_at"), record.published_at)
        yield Figure("size to the pool" + where, BASE, _value(said, "base"), size)
        yield Figure("fill price" + where, USD, None, quote.price if quote else 0)
        yield Figure("fill sum" + where, USD, _value(said, "quote"), quote.amount if quote else 0)
        told = next((one for one in self.step.against_sides if one.market_id == market.id), None)
        if against is None and told is None:
            return
        for name, unit, field in (
            ("size closed against the other side", BASE, "base"),
            ("sum for it", USD, "flow"),
            ("zero price", USD, "zero_price"),
            ("part of that side", SHARE, "fraction"),
        ):
            yield Figure(name + where, unit, _value(told, field), getattr(against, field, 0))

    # --- parts ---

    def _brought_up(self, market_id: int) -> tuple[Market, Record]:
        market = self.state.markets[market_id]
        self.state.bring_up(market, self.now)
        assert market.newest is not None, "the model did it, so there is a price"
        return market, market.newest

    def _standing(self, market: Market, record: Record, held: int, said: Liquidated | TakenOver) -> Iterator[Figure]:
        """At which price the account was judged, and how it stood."""
        equity, required = self.state.health(said.account, self.now)
        yield Figure("price", USD, None, record.price)
        yield Figure("confidence", USD, None, record.confidence)
        price = health_price(held, record, market.is_fresh(self.now), market.rules)
        yield Figure("health price", USD, said.health_price, price)
        yield Figure("publish time", TIME, said.published_at, record.published_at)
        yield Figure("equity", USD, said.equity, equity)
        yield Figure("requirement", USD, said.maintenance, required)
        yield Figure("health", SHARE, None, equity * WAD // required)


def _value(record: PositionAbsorbed | Happened | None, field: str) -> int:
    """A field of an event that must be there where the model finds something; 0 where it isn't."""
    return int(getattr(record, field, 0))


def _debt(step: Step, debt: int, from_fund: int, by_sides: int) -> Iterator[Figure]:
    """What was left unpaid, and who bore it."""
    said = step.debt
    if said is None and not debt:
        return
    yield Figure("debt", USD, said.debt if said else 0, debt)
    yield Figure("borne by the insurance fund", USD, said.by_fund if said else 0, from_fund)
    yield Figure("charged to the pool", USD, said.by_pool if said else 0, debt - from_fund)
    if step.charged or by_sides:
        yield Figure("of it borne by the other side", USD, step.charged, by_sides)
