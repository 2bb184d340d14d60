"""What the liquidator decides, by the model's forecast: chunks, caps, take-overs, absorptions, by health."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

import pytest

from plimsoll.core.units import WAD
from plimsoll.keepers.liquidations import (
    Absorb,
    Capital,
    CloseOut,
    Decision,
    Deleverage,
    Liquidation,
    Sick,
    Snapshot,
    TakeOver,
    decide,
    deleveragings,
)
from plimsoll.risk import liquidation
from plimsoll.risk.oracle import DOUBTFUL, GRACE
from plimsoll.risk.state import State
from plimsoll.sdk.snapshots import AccountSnapshot, MarketSnapshot, model_state
from tests.python.keepers.made_up import BTC, ETH, NOW, PRICE, TRADER, account, market, position

KEEPER = 0xBEEF
CAPITAL = KEEPER << 96 | 1
SIZE = 100 * WAD


def sick(
    markets: list[MarketSnapshot], health: str = "0.9", *, number: int = TRADER, base: int = SIZE
) -> AccountSnapshot:
    """A long whose cash is what that health takes; its entry is the price."""
    held = [position(base, PRICE)]
    maintenance = account(10**30, held, markets, number=number).maintenance
    return account(maintenance * int(float(health) * 1000) // 1000, held, markets, number=number)


class MadeUp:
    """A ledger of these markets and accounts, everything settled."""

    def __init__(self, markets: Iterable[MarketSnapshot], accounts: Iterable[AccountSnapshot]) -> None:
        self._markets = tuple(markets)
        self._accounts = {one.account: one for one in accounts}
        self.markets = {one.market_id: one.model() for one in self._markets}

    def held(self, account: int) -> Collection[int]:
        return [one.market_id for one in self._accounts[account].positions]

    def state(self) -> State:
        return model_state(self._markets, [])

    def enter(self, state: State, account: int) -> None:
        made = model_state(self._markets, [self._accounts[account]])
        state.accounts[account] = made.accounts[account]
        for one in made.markets.values():
            if account in one.positions:
                state.markets[one.id].positions[account] = one.positions[account]


def snapshot(
    *accounts: AccountSnapshot,
    markets: list[MarketSnapshot],
    taker: AccountSnapshot | None = None,
    refused: dict[tuple[int, int], int] | None = None,
    under_way: tuple[Decision, ...] = (),
) -> Snapshot:
    everyone = [*accounts, *([] if taker is None else [taker])]
    sick = sorted(accounts, key=lambda one: (one.health, one.account))
    return Snapshot(
        NOW,
        KEEPER,
        MadeUp(markets, everyone),
        tuple(Sick(one.account, one.equity, one.maintenance) for one in sick),
        refused or {},
        under_way,
    )


def long_market(**options: int) -> MarketSnapshot:
    return market(long=SIZE, **options)  # type: ignore[arg-type]


# --- close-outs --------------------------------------------------------------------------------------------------


def test_decide__nobody__does_nothing() -> None:
    assert decide(snapshot(markets=[])) == []


def test_decide__unhealthy__closes_a_chunk_that_pays() -> None:
    markets = [long_market()]
    [decision] = decide(snapshot(sick(markets), markets=markets))
    assert isinstance(decision, CloseOut)
    assert (decision.account, decision.market_id) == (TRADER, ETH)
    assert 0 < decision.size < SIZE
    assert decision.reward >= 2 * WAD


def test_decide__healthy_by_the_time_of_execution__is_left_alone() -> None:
    markets = [long_market()]
    assert decide(snapshot(sick(markets, "1.01"), markets=markets)) == []


@pytest.mark.parametrize(
    ("age", "state", "acts"), [(15, 0, True), (16, 0, False), (0, DOUBTFUL, True), (0, GRACE, False)]
)
def test_decide__price_too_old_or_not_usable__waits(age: int, state: int, acts: bool) -> None:
    markets = [long_market(age=age, state=state)]
    # a stale price is widened in the account's favour, so that only a much sicker one stays unhealthy
    assert bool(decide(snapshot(sick(markets, "0.5"), markets=markets))) == acts


def test_decide__sickest_first__and_the_next_one_sees_what_it_did() -> None:
    markets = [market(long=2 * SIZE, short=20 * SIZE)]
    one, two = sick(markets, "0.9", number=1 << 96), sick(markets, "0.6", number=2 << 96)
    first, second = decide(snapshot(one, two, markets=markets))
    assert (first.account, second.account) == (2 << 96, 1 << 96)
    assert isinstance(second, CloseOut)
    [alone] = decide(snapshot(one, markets=markets))
    assert isinstance(alone, CloseOut)
    assert second.size != alone.size  # the first close-out moved the skew


def test_decide__largest_market_of_the_account__goes_first() -> None:
    markets = [market(long=SIZE), market(BTC, price=40_000 * WAD, long=SIZE, scale=37_500 * WAD)]
    held = [position(10 * WAD, PRICE), position(WAD, 40_000 * WAD, market_id=BTC, price=40_000 * WAD)]
    found = account(1_000 * WAD, held, markets)
    [decision] = decide(snapshot(found, markets=markets))
    assert isinstance(decision, CloseOut)
    assert decision.market_id == BTC


def test_decide__more_than_fit_a_round__are_left_for_the_next() -> None:
    markets = [market(long=3 * SIZE)]
    accounts = [sick(markets, number=number << 96) for number in (1, 2, 3)]
    assert [one.account >> 96 for one in decide(snapshot(*accounts, markets=markets), most=2)] == [1, 2]


# --- the cap of a window -----------------------------------------------------------------------------------------


def capped(room: int) -> list[MarketSnapshot]:
    """(maker + taker) × S = 8 bps × 333,333 = 266.67 may be moved in a window, which began now."""
    cap = 333_333 * WAD * 8 // 10_000
    return [market(long=SIZE, moved=cap - room, moved_since=NOW)]


def test_decide__cap_reached__waits_for_the_next_window() -> None:
    markets = capped(WAD // 10)
    found = sick(markets, "0.5")
    assert decide(snapshot(found, markets=markets)) == []
    assert decide(snapshot(found, markets=[replace(markets[0], moved_since=NOW - 4)])) == []
    assert decide(snapshot(found, markets=[replace(markets[0], moved_since=NOW - 5)]))


def test_decide__cap_nearly_reached__closes_what_fits() -> None:
    markets = capped(5 * WAD)
    [decision] = decide(snapshot(sick(markets, "0.5"), markets=markets))
    assert isinstance(decision, CloseOut)
    assert decision.size == 5 * WAD


def test_decide__several_in_one_window__share_its_cap() -> None:
    base = 150 * WAD
    markets = [market(long=2 * base)]
    one, two = (sick(markets, "0.2", number=number << 96, base=base) for number in (1, 2))
    sizes = [
        decision.size for decision in decide(snapshot(one, two, markets=markets)) if isinstance(decision, CloseOut)
    ]
    cap = 333_333 * WAD * 8 // 10_000
    assert len(sizes) == 2
    assert sum(sizes) <= cap


def test_decide__other_market_of_the_account__is_tried_when_one_is_capped() -> None:
    btc = market(BTC, price=40_000 * WAD, long=SIZE, scale=37_500 * WAD)
    markets = [*capped(WAD // 10), btc]
    held = [position(20 * WAD, PRICE), position(WAD, 40_000 * WAD, market_id=BTC, price=40_000 * WAD)]
    [decision] = decide(snapshot(account(1_500 * WAD, held, markets), markets=markets))
    assert isinstance(decision, CloseOut)
    assert decision.market_id == BTC


# --- absorptions -------------------------------------------------------------------------------------------------


def test_decide__bankrupt__is_absorbed() -> None:
    markets = [long_market()]
    found = account(5_000 * WAD, [position(SIZE, PRICE + 60 * WAD)], markets)
    assert found.health < 0
    assert decide(snapshot(found, markets=markets)) == [Absorb(TRADER)]


def test_decide__hardly_solvent__is_closed_out() -> None:
    """Health is rounded down to zero, and the account is not bankrupt."""
    markets = [long_market()]
    found = replace(account(WAD, [position(SIZE, PRICE)], markets), equity=0)
    assert [type(one) for one in decide(snapshot(found, markets=markets))] == [CloseOut]


def test_decide__bankrupt_without_a_usable_price__waits() -> None:
    markets = [long_market(state=GRACE)]
    assert decide(snapshot(account(0, [position(SIZE, 2 * PRICE)], markets), markets=markets)) == []


def test_decide__absorption_refused_at_these_records__waits_for_others() -> None:
    markets = [long_market()]
    found = account(0, [position(SIZE, 2 * PRICE)], markets)
    view = snapshot(found, markets=markets)
    refused = {(TRADER, 0): view.record_of((TRADER, 0))}
    assert decide(snapshot(found, markets=markets, refused=refused)) == []
    assert decide(snapshot(found, markets=[long_market(sequence=6)], refused=refused))


def test_decide__close_out_refused_at_this_record__waits_for_the_next() -> None:
    markets = [long_market()]
    found = sick(markets)
    assert decide(snapshot(found, markets=markets, refused={(TRADER, ETH): 5})) == []
    assert decide(snapshot(found, markets=markets, refused={(TRADER, ETH): 4}))


# --- take-overs --------------------------------------------------------------------------------------------------

PLENTY = Capital(CAPITAL, max_notional=10**30)


def taker(markets: list[MarketSnapshot], dollars: int = 1_000_000) -> AccountSnapshot:
    return AccountSnapshot(CAPITAL, dollars * WAD, 0, dollars * WAD, 0, 0, 2**255 - 1, 0, ())


def take_over(decisions: list[Liquidation]) -> TakeOver:
    [decision] = decisions
    assert isinstance(decision, TakeOver)
    return decision


def test_decide__cap_reached_and_capital__takes_over() -> None:
    markets = capped(WAD // 10)
    taken = take_over(decide(snapshot(sick(markets, "0.5"), markets=markets, taker=taker(markets)), PLENTY))
    assert taken == TakeOver(TRADER, ETH, SIZE, CAPITAL, taken.profit)
    assert taken.profit > 0


def test_decide__room_for_a_close_out__does_not_use_capital() -> None:
    markets = [long_market()]
    [decision] = decide(snapshot(sick(markets, "0.5"), markets=markets, taker=taker(markets)), PLENTY)
    assert isinstance(decision, CloseOut)


def test_decide__little_capital__takes_a_part() -> None:
    markets = capped(WAD // 10)
    found = sick(markets, "0.5")
    taken = take_over(decide(snapshot(found, markets=markets, taker=taker(markets, 5_000)), PLENTY))
    assert taken.base == SIZE // 4
    assert decide(snapshot(found, markets=markets, taker=taker(markets, 100)), PLENTY) == []


def test_decide__limit_of_notional__is_for_all_that_is_held() -> None:
    markets = capped(WAD // 10)
    found = sick(markets, "0.5")
    limit = Capital(CAPITAL, max_notional=200_000 * WAD)
    assert take_over(decide(snapshot(found, markets=markets, taker=taker(markets)), limit)).base == SIZE // 2
    holding = account(10**24, [position(40 * WAD, PRICE)], markets, number=CAPITAL)
    assert take_over(decide(snapshot(found, markets=markets, taker=holding), limit)).base == SIZE // 4


def test_decide__discount_below_the_wanted_profit__waits() -> None:
    markets = capped(WAD // 10)
    found = sick(markets, "0.99")
    assert decide(snapshot(found, markets=markets, taker=taker(markets)), PLENTY) == []
    generous = Capital(CAPITAL, max_notional=10**30, min_profit_bps=-100)
    assert decide(snapshot(found, markets=markets, taker=taker(markets)), generous)


def test_decide__short__is_taken_with_its_sign() -> None:
    cap = 333_333 * WAD * 8 // 10_000
    markets = [market(short=SIZE, moved=cap, moved_since=NOW)]
    held = [position(-SIZE, PRICE)]
    maintenance = account(10**30, held, markets).maintenance
    found = account(maintenance // 2, held, markets)
    assert take_over(decide(snapshot(found, markets=markets, taker=taker(markets)), PLENTY)).base == -SIZE


def test_decide__keepers_own_account_is_the_sick_one__is_not_taken_into_itself() -> None:
    markets = capped(WAD // 10)
    own = sick(markets, "0.5", number=CAPITAL)
    assert decide(snapshot(own, markets=markets, taker=own), PLENTY) == []


def test_describe__says_what_it_would_do() -> None:
    done: list[Liquidation] = [
        CloseOut(TRADER, ETH, WAD, WAD // 2),
        TakeOver(TRADER, ETH, -WAD, CAPITAL, 3),
        Absorb(TRADER),
    ]
    assert [one.describe()["do"] for one in done] == ["close out", "take over", "absorb"]
    assert done[0].describe()["reward"] == "0.5"


# --- deleveraging --------------------------------------------------------------------------------------------------


def test_deleveragings__pool_could_not_pay__is_due_where_no_liquidation_does_it() -> None:
    """100 ETH short for a pool of 50,000 dollars is six times its capital; it may be three."""
    poor, rich = market(long=SIZE, pool_cash=50_000 * WAD), market(BTC, long=SIZE)
    found = snapshot(markets=[poor, rich])
    assert deleveragings(found, []) == [Deleverage(ETH)]
    assert deleveragings(found, [CloseOut(TRADER, ETH, WAD, 0)]) == []
    assert deleveragings(found, [CloseOut(TRADER, BTC, WAD, 0)]) == [Deleverage(ETH)]
    holder = sick([poor], number=7 << 96)
    assert deleveragings(snapshot(holder, markets=[poor]), [Absorb(7 << 96)]) == []


def test_deleveragings__refused_at_this_record__waits_for_the_next() -> None:
    poor = market(long=SIZE, pool_cash=50_000 * WAD, sequence=5)
    assert deleveragings(snapshot(markets=[poor], refused={(0, ETH): 5}), []) == []
    assert deleveragings(snapshot(markets=[poor], refused={(0, ETH): 4}), []) == [Deleverage(ETH)]


# --- what is under way ---------------------------------------------------------------------------------------------


def test_decide__one_is_under_way__the_others_see_what_it_does() -> None:
    markets = [market(long=2 * SIZE, short=20 * SIZE)]
    one, two = sick(markets, "0.6", number=1 << 96), sick(markets, "0.9", number=2 << 96)
    first, second = decide(snapshot(one, two, markets=markets))
    assert decide(snapshot(one, two, markets=markets, under_way=(first,))) == [second]
    assert decide(snapshot(one, two, markets=markets, under_way=(first, second))) == []


def test_decide__cap_taken_by_what_is_under_way__waits() -> None:
    base = 250 * WAD
    markets = [market(long=2 * base)]
    one, two = (sick(markets, "0.2", number=number << 96, base=base) for number in (1, 2))
    first, *_ = decide(snapshot(one, two, markets=markets))
    assert isinstance(first, CloseOut)
    left = decide(snapshot(one, two, markets=markets, under_way=(first,)))
    cap = 333_333 * WAD * 8 // 10_000
    assert first.size + sum(done.size for done in left if isinstance(done, CloseOut)) <= cap


def test_decide__take_over_under_way__counts_toward_the_limit() -> None:
    markets = capped(WAD // 10)
    one, two = (sick(markets, "0.5", number=number << 96) for number in (1, 2))
    limit = Capital(CAPITAL, max_notional=400_000 * WAD)
    first, second = decide(snapshot(one, two, markets=markets, taker=taker(markets)), limit)
    assert isinstance(first, TakeOver)
    assert isinstance(second, TakeOver)
    again = decide(snapshot(one, two, markets=markets, taker=taker(markets), under_way=(first,)), limit)
    assert again == [second]


def test_decide__window_is_full__the_model_is_asked_once_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand that wait for the next window cost no forecast each."""
    markets = capped(WAD // 10)
    accounts = [sick(markets, "0.5", number=number << 96) for number in range(1, 9)]
    asked = []
    real = liquidation.liquidate

    def liquidate(*args: Any) -> object:
        asked.append(args)
        return real(*args)

    monkeypatch.setattr(liquidation, "liquidate", liquidate)
    assert decide(snapshot(*accounts, markets=markets)) == []
    assert len(asked) == 1


def test_deleveragings__under_way__are_not_sent_again() -> None:
    poor = market(long=SIZE, pool_cash=50_000 * WAD)
    assert deleveragings(snapshot(markets=[poor], under_way=(Deleverage(ETH),)), []) == []
    closing = CloseOut(TRADER, ETH, WAD, 0)
    assert deleveragings(snapshot(sick([poor]), markets=[poor], under_way=(closing,)), []) == []
