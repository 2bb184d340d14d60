"""Delegates: bots and session keys that trade for an account, within a scope, and never withdraw."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.core.orders import NO_SCOPE, Scope
from tests.support.core import (
    BTC,
    BTC_PRICE,
    ETH,
    ETH_PARAMS,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    LISTING,
    MARKET_ORDER,
    MAX_PRICE,
    ORDER_CONFIG,
    STOP_LOSS,
    WAD,
    Core,
    account_id,
    owner_of,
)
from tests.support.evm import ANYONE, ZERO_ADDRESS, reverts
from tests.support.signed import Signed, key_of
from tests.unit.orders.matched import pair, sums
from tests.unit.orders.reference import DELAY, EXECUTION_FEE, QUEUED, SPENT, WAITING, status
from tests.unit.orders.steps import set_cash

DAY = 86_400
FOREVER = 2**40 - 1
MINIMUM_USE = 1_000
KEY = key_of("bot")
BOT: str = KEY.address
KEEPER_ACCOUNT = account_id(KEEPER)


@pytest.fixture
def signed(core: Core) -> Signed:
    core.track(KEEPER_ACCOUNT)
    return Signed(core)


@pytest.fixture
def alice(signed: Signed) -> int:
    return signed.trader("alice", 100_000)


def allow(core: Core, account: int, delegate: str = BOT, **changes: Any) -> Scope:
    """Give a scope in both markets, without end, of a million a day."""
    scope = Scope(0b11, FOREVER, 1_000_000)._replace(**changes)
    core.order_book.setDelegate(account, delegate, scope, sender=owner_of(account))
    return scope


def used(core: Core, account: int, delegate: str = BOT) -> int:
    """Whole dollars of today's budget."""
    found: int = core.order_book.delegation(account, delegate)[1]
    return found


def place(core: Core, account: int, base: int = WAD, market: int = ETH, **options: Any) -> dict[str, Any]:
    """As the bot."""
    order = core.order(account, market, base, **{"kind": LIMIT_ORDER, **options})
    core.order_book.place(order, sender=BOT)
    return order


# --- setting a scope ---


def test_set_delegate__event_and_scope(core: Core, alice: int) -> None:
    """OB-06."""
    scope = Scope(0b10, 1_800_000_000, 50_000, may_match=True, may_take_over=False)
    receipt = core.order_book.setDelegate(alice, BOT, scope, sender=owner_of(alice))
    assert receipt.event("DelegateSet").args == {"account": alice, "delegate": BOT, "scope": scope}
    assert core.order_book.delegation(alice, BOT) == (scope, 0)
    assert core.order_book.delegation(alice, ANYONE) == (NO_SCOPE, 0)


def test_set_delegate__the_largest_scope__is_kept_whole(core: Core, alice: int) -> None:
    scope = Scope(2**16 - 1, 2**40 - 1, 2**64 - 1, may_match=True, may_take_over=True)
    core.order_book.setDelegate(alice, BOT, scope, sender=owner_of(alice))
    assert core.order_book.delegation(alice, BOT) == (scope, 0)
    place(core, alice)
    assert core.order_book.delegation(alice, BOT) == (scope, 3_000)


def test_set_delegate__by_somebody_else__is_refused(core: Core, alice: int) -> None:
    """Nor by a delegate, whatever he may."""
    allow(core, alice, may_match=True, may_take_over=True)
    for caller in (BOT, ANYONE):
        with reverts("OrderBook_NotPermitted", alice, caller):
            core.order_book.setDelegate(alice, caller, Scope(1, FOREVER, 1), sender=caller)


def test_set_delegate__nobody__is_refused(core: Core, alice: int) -> None:
    """Address zero stands for a signer that nobody could be recovered for."""
    with reverts("OrderBook_InvalidTerms", b"delegate".ljust(32, b"\0")):
        core.order_book.setDelegate(alice, ZERO_ADDRESS, Scope(1, FOREVER, 10**6), sender=owner_of(alice))


def test_set_delegate__for_one_account__gives_nothing_in_the_owners_others(
    core: Core, signed: Signed, alice: int
) -> None:
    other = signed.trader("alice", 10_000, index=1)
    isolated = signed.trader("alice", 10_000, isolated_market=ETH)
    allow(core, alice)
    for account in (other, isolated):
        with reverts("OrderBook_NotPermitted", account, BOT):
            place(core, account)
    place(core, alice)


# --- what he may ---


@pytest.mark.parametrize("kind", [MARKET_ORDER, LIMIT_ORDER, STOP_LOSS])
def test_place__by_a_delegate__is_the_accounts_order(core: Core, alice: int, kind: int) -> None:
    allow(core, alice)
    order = place(core, alice, 2 * WAD, kind=kind, trigger=ETH_PRICE if kind == STOP_LOSS else 0)
    assert status(core, order) == (QUEUED if kind == MARKET_ORDER else WAITING)
    core.settle(order).event("OrderExecuted")
    assert core.market.position(alice, ETH)[0] == 2 * WAD
    assert (used(core, alice), core.cash(account_id(BOT))) == (6_000, 0)
    core.check_sums()


def test_place__by_nobodys_delegate__is_refused(core: Core, alice: int) -> None:
    with reverts("OrderBook_NotPermitted", alice, BOT):
        place(core, alice)


def test_cancel__by_a_delegate__needs_a_scope_and_no_budget(core: Core, alice: int) -> None:
    allow(core, alice, daily_budget=3_000)
    order = place(core, alice)
    assert used(core, alice) == 3_000
    core.order_book.cancel(order, sender=BOT).event("OrderCancelled")
    assert (status(core, order), used(core, alice)) == (SPENT, 3_000)

    owners = core.order(alice, ETH, WAD, kind=LIMIT_ORDER)
    core.place(owners)
    allow(core, alice, markets=0b10)
    with reverts("OrderBook_NotPermitted", alice, BOT):
        core.order_book.cancel(owners, sender=BOT)
    allow(core, alice, markets=0b01, daily_budget=0)
    core.order_book.cancel(owners, sender=BOT).event("OrderCancelled")


@pytest.mark.parametrize(("markets", "allowed"), [(0b01, ETH), (0b10, BTC)])
def test_place__scope_of_one_market__is_refused_in_the_other(
    core: Core, alice: int, markets: int, allowed: int
) -> None:
    allow(core, alice, markets=markets)
    place(core, alice, market=allowed)
    with reverts("OrderBook_NotPermitted", alice, BOT):
        place(core, alice, market=ETH + BTC - allowed)


@pytest.mark.parametrize("market", [0, 17, 18, 256, 257, 2**16, 2**255, 2**256 - 1])
def test_place__market_that_no_scope_has_a_bit_for__is_refused(core: Core, alice: int, market: int) -> None:
    allow(core, alice, markets=2**16 - 1)
    with reverts("OrderBook_NotPermitted", alice, BOT):
        place(core, alice, market=market)


def test_place__in_the_last_second_of_a_scope__is_allowed_and_then_refused(core: Core, alice: int) -> None:
    until = core.evm.timestamp + 100
    allow(core, alice, until=until)
    core.tick(100)
    order = place(core, alice)
    core.evm.advance(1)
    with reverts("OrderBook_NotPermitted", alice, BOT):
        place(core, alice)
    with reverts("OrderBook_NotPermitted", alice, BOT):
        core.order_book.cancel(order, sender=BOT)
    core.tick(DELAY)
    core.execute(order).event("OrderExecuted")
    core.check_sums()


def test_place_for__signed_by_a_delegate__is_within_his_scope(core: Core, signed: Signed, alice: int) -> None:
    """OB-06: the relayer's fee is the account's."""
    allow(core, alice, daily_budget=3_000)
    order, second = (core.order(alice, ETH, WAD, expiry=core.evm.timestamp) for _ in range(2))
    cash = core.cash(alice)
    core.order_book.placeFor(order, signed.order(order, KEY), sender=KEEPER)
    assert (used(core, alice), status(core, order)) == (3_000, QUEUED)
    assert core.cash(KEEPER_ACCOUNT) == cash - core.cash(alice) == ORDER_CONFIG["relayFee"]
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 0, 3_000):
        core.order_book.placeFor(second, signed.order(second, KEY), sender=KEEPER)
    core.check_sums()


# --- what he uses ---


@pytest.mark.parametrize(
    ("base", "dollars"),
    [
        pytest.param(WAD, 3_000, id="whole dollars"),
        pytest.param(-WAD, 3_000, id="a sell"),
        pytest.param(WAD + 1, 3_001, id="a wei more is another dollar"),
        pytest.param(WAD - 1, 3_000, id="a wei less is not"),
        pytest.param(WAD // 3, 1_000, id="a thousand"),
        pytest.param(WAD // 3 + 1, 1_001, id="a wei more than a thousand"),
        pytest.param(1, MINIMUM_USE, id="dust counts as a thousand"),
        pytest.param(-1, MINIMUM_USE, id="dust sold too"),
    ],
)
@pytest.mark.parametrize("kind", [MARKET_ORDER, LIMIT_ORDER])
def test_place__by_a_delegate__uses_its_notional_in_whole_dollars(
    core: Core, alice: int, base: int, dollars: int, kind: int
) -> None:
    allow(core, alice)
    place(core, alice, base, kind=kind)
    assert used(core, alice) == dollars
    place(core, alice, base, kind=kind, reduce_only=True)  # reductions too
    assert used(core, alice) == 2 * dollars


def test_place__of_exactly_the_budget__is_allowed_and_a_dollar_more_refused(core: Core, alice: int) -> None:
    allow(core, alice, daily_budget=2_999)
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 2_999, 3_000):
        place(core, alice)
    allow(core, alice, daily_budget=7_000)
    place(core, alice)
    place(core, alice, -WAD)
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 1_000, 1_001):
        place(core, alice, WAD // 3 + 1)
    place(core, alice, 1)
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 0, 1_000):
        place(core, alice, 1)
    assert used(core, alice) == 7_000


def test_place__budget__is_one_for_all_markets_at_their_newest_prices(core: Core, alice: int) -> None:
    allow(core, alice, daily_budget=43_000)
    place(core, alice, WAD, BTC)
    assert used(core, alice) == BTC_PRICE // WAD
    core.tick(1, {ETH: ETH_PRICE + 1})
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 3_000, 3_001):
        place(core, alice)
    core.tick(1, {ETH: ETH_PRICE})
    place(core, alice)


def test_place__the_next_day__has_a_budget_of_its_own(core: Core, alice: int) -> None:
    """The days of UTC: what is left of one is not carried over."""
    allow(core, alice, daily_budget=3_000)
    place(core, alice)
    midnight = (core.evm.timestamp // DAY + 1) * DAY
    core.tick(midnight - 1 - core.evm.timestamp)
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 0, 3_000):
        place(core, alice)
    core.tick(1)
    assert used(core, alice) == 0
    place(core, alice)
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 0, 1_000):
        place(core, alice, 1)
    core.tick(3 * DAY)
    place(core, alice)


def test_place__by_the_owner__uses_nobodys_budget(core: Core, alice: int) -> None:
    """Also where he made himself a delegate without any."""
    allow(core, alice, daily_budget=3_000)
    allow(core, alice, delegate=owner_of(alice), daily_budget=0, markets=0)
    core.place(core.order(alice, ETH, WAD, kind=LIMIT_ORDER))
    assert used(core, alice) == 0


def test_place__two_delegates__have_budgets_of_their_own(core: Core, alice: int) -> None:
    allow(core, alice, daily_budget=3_000)
    allow(core, alice, delegate=ANYONE, daily_budget=3_000)
    place(core, alice)
    core.order_book.place(core.order(alice, ETH, WAD, kind=LIMIT_ORDER), sender=ANYONE)
    assert (used(core, alice), used(core, alice, ANYONE)) == (3_000, 3_000)


def test_set_delegate__again__forgets_what_was_used(core: Core, alice: int) -> None:
    allow(core, alice, daily_budget=3_000)
    place(core, alice)
    allow(core, alice, daily_budget=3_000)
    assert used(core, alice) == 0
    place(core, alice)


def test_place__refused_after_its_budget__uses_nothing(core: Core, signed: Signed) -> None:
    poor = signed.trader("poor")
    allow(core, poor)
    with reverts("OrderBook_InsufficientCash", 0, EXECUTION_FEE + 18 * WAD // 10):
        place(core, poor, kind=MARKET_ORDER)
    assert used(core, poor) == 0


def test_place__by_a_delegate_without_any_price__is_refused(core: Core, alice: int) -> None:
    core.configurator.listMarket(3, 1_000 * WAD, ETH_PARAMS, sender=LISTING)
    core.order_book.setOrderConfig(3, ORDER_CONFIG, sender=LISTING)
    allow(core, alice, markets=0b111)
    with reverts("OrderBook_NoPrice", 3):
        place(core, alice, market=3)
    core.place(core.order(alice, 3, WAD, kind=LIMIT_ORDER))  # the owner needs none


# --- what he may not ---


def test_delegate__with_the_largest_scope__moves_no_money(core: Core, alice: int) -> None:
    """OB-06: never withdraw, never transfer."""
    allow(core, alice, markets=2**16 - 1, daily_budget=2**64 - 1, may_match=True, may_take_over=True)
    bots = core.trader("bot", 0)
    calls = (
        lambda: core.vault.withdraw(alice, 1, BOT, sender=BOT),
        lambda: core.vault.transfer(alice, account_id(BOT), 1, sender=BOT),
        lambda: core.vault.transfer(alice, account_id(owner_of(alice), 0, 1), 1, sender=BOT),
    )
    for call in calls:
        with reverts("MarginVault_NotOwner", alice, BOT):
            call()
    with reverts("OrderBook_NotPermitted", alice, BOT):
        core.order_book.cancelAll(alice, sender=BOT)
    assert (core.cash(alice), core.cash(bots)) == (100_000 * WAD, 0)


def test_delegate__revoked__may_nothing(core: Core, signed: Signed, alice: int) -> None:
    allow(core, alice, may_match=True, may_take_over=True)
    order = place(core, alice)
    core.order_book.setDelegate(alice, BOT, NO_SCOPE, sender=owner_of(alice))
    made, taken = pair(signed, signed.trader("maker", 10_000), alice, WAD)
    for call in (
        lambda: place(core, alice),
        lambda: core.order_book.cancel(order, sender=BOT),
        lambda: signed.match(made, taken, taker_key=KEY),
    ):
        with reverts("OrderBook_NotPermitted", alice, BOT):
            call()
    assert status(core, order) == WAITING  # what he placed is the account's, and stays until its owner ends it
    core.check_sums()


# --- matches ---


@pytest.mark.parametrize("who", ["maker", "taker"])
def test_match__signed_by_a_delegate__needs_the_permission_for_it(
    core: Core, signed: Signed, alice: int, who: str
) -> None:
    other = signed.trader("other", 100_000)
    made, taken = pair(signed, *((alice, other) if who == "maker" else (other, alice)), 2 * WAD)
    keys: dict[str, Any] = {f"{who}_key": KEY}
    allow(core, alice, may_take_over=True)
    with reverts("OrderBook_NotPermitted", alice, BOT):
        signed.match(made, taken, **keys)
    allow(core, alice, may_match=True, markets=0b10)
    with reverts("OrderBook_NotPermitted", alice, BOT):
        signed.match(made, taken, **keys)
    allow(core, alice, may_match=True, markets=0b01, daily_budget=2_999)
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 2_999, 3_000):
        signed.match(made, taken, WAD, **keys)
    allow(core, alice, may_match=True, markets=0b01, daily_budget=3_000)
    signed.match(made, taken, WAD, **keys)
    assert used(core, alice) == 3_000  # of his side, and of what was matched
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 0, 3_000):
        signed.match(made, taken, WAD, **keys)
    core.check_sums()


def test_match__dust_of_what_a_delegate_signed__is_refused_and_uses_no_budget(
    core: Core, signed: Signed, alice: int
) -> None:
    """Each fill counts a thousand: a matcher who brought a wei of his order at a time would leave him none."""
    other = signed.trader("other", 100_000)
    signed.match(*pair(signed, other, alice, WAD))
    allow(core, alice, may_match=True, daily_budget=3_000)
    made, taken = pair(signed, other, alice, WAD)
    for dust in (1, WAD // 3):
        with reverts("OrderBook_TooSmall", dust * ETH_PRICE // WAD, 1_000 * WAD):
            signed.match(made, taken, dust, taker_key=KEY)
    assert used(core, alice) == 0
    signed.match(made, taken, taker_key=KEY)
    assert used(core, alice) == 3_000
    core.check_sums()


def test_match__dust_that_is_all_a_delegate_signed__uses_a_thousand_each_time(
    core: Core, signed: Signed, alice: int
) -> None:
    other = signed.trader("other", 100_000)
    signed.match(*pair(signed, other, alice, WAD))
    allow(core, alice, may_match=True, daily_budget=2_000)
    for _ in range(2):
        signed.match(*pair(signed, other, alice, 1), taker_key=KEY)
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 0, 1_000):
        signed.match(*pair(signed, other, alice, 1), taker_key=KEY)
    core.check_sums()


def test_match__too_small_for_a_budget_that_is_used_up__names_the_budget(
    core: Core, signed: Signed, alice: int
) -> None:
    """5 before 6."""
    allow(core, alice, may_match=True, daily_budget=999)
    made, taken = pair(signed, signed.trader("other", 100_000), alice, WAD)
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 999, 1_000):
        signed.match(made, taken, 1, taker_key=KEY)
    core.check_sums()


def test_match__delegates_of_both_sides__use_a_budget_each(core: Core, signed: Signed, alice: int) -> None:
    """One bot for both: the accounts have two owners, so that it is no trade with oneself; each has its own budget."""
    other = signed.trader("other", 100_000)
    for account in (alice, other):
        allow(core, account, may_match=True, daily_budget=6_000)
    made, taken = pair(signed, other, alice, 2 * WAD)
    signed.match(made, taken, maker_key=KEY, taker_key=KEY)
    assert (used(core, alice), used(core, other)) == (6_000, 6_000)
    core.check_sums()


# --- take-overs ---


def sick(core: Core, signed: Signed) -> int:
    """A long of 100 ETH at sixty per cent of its maintenance."""
    victim = signed.trader("victim", 1_000_000)
    core.open(victim, ETH, 100 * WAD)
    core.tick(1)
    equity, required = core.market.healthOf(victim)
    set_cash(core, victim, core.cash(victim) + required * 6 // 10 - equity)
    return victim


def test_take_over__by_a_delegate__needs_the_permission_and_a_budget(core: Core, signed: Signed, alice: int) -> None:
    victim = sick(core, signed)
    arguments: tuple[Any, ...] = (victim, ETH, 10 * WAD, alice, b"", [])
    with reverts("OrderBook_NotPermitted", alice, BOT):
        core.liquidator.takeOver(*arguments, sender=BOT)
    for changes in ({"may_match": True}, {"may_take_over": True, "markets": 0b10}):
        allow(core, alice, **changes)
        with reverts("OrderBook_NotPermitted", alice, BOT):
            core.liquidator.takeOver(*arguments, sender=BOT)
    allow(core, alice, may_take_over=True, daily_budget=29_999)
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 29_999, 30_000):
        core.liquidator.takeOver(*arguments, sender=BOT)
    allow(core, alice, may_take_over=True, daily_budget=30_000)
    core.liquidator.takeOver(*arguments, sender=BOT).event("TakenOver")
    assert (core.market.position(alice, ETH)[0], used(core, alice)) == (10 * WAD, 30_000)
    core.check_sums()


def test_take_over__after_the_scope_ended__is_refused(core: Core, signed: Signed, alice: int) -> None:
    victim = sick(core, signed)
    allow(core, alice, may_take_over=True, until=core.evm.timestamp)
    with core.evm.isolated():
        core.liquidator.takeOver(victim, ETH, 10 * WAD, alice, b"", [], sender=BOT)
    core.evm.advance(1)
    with reverts("OrderBook_NotPermitted", alice, BOT):
        core.liquidator.takeOver(victim, ETH, 10 * WAD, alice, b"", [], sender=BOT)
    core.check_sums()


def test_use_for_take_over__by_anybody_but_the_liquidator__is_refused(core: Core, alice: int) -> None:
    """Else anybody could use up a delegate's budget."""
    allow(core, alice, may_take_over=True)
    for caller in (BOT, owner_of(alice), ANYONE):
        with reverts("OrderBook_NotModule", caller):
            core.order_book.useForTakeOver(alice, BOT, ETH, WAD, sender=caller)
    assert used(core, alice) == 0


# --- attack 9: he trades the account away ---


def test_delegate__who_may_not_match__has_no_way_to_choose_a_counterpart(
    core: Core, signed: Signed, alice: int
) -> None:
    mallory = signed.trader("mallory", 100_000)
    allow(core, alice)
    with reverts("OrderBook_NotPermitted", alice, BOT):
        signed.match(*pair(signed, mallory, alice, WAD), taker_key=KEY)
    core.check_sums()


@pytest.mark.parametrize("budget", [50_000, 200_000])
def test_delegate__who_trades_the_account_away_against_himself__gets_what_band_and_budget_allow(
    core: Core, signed: Signed, alice: int, budget: int
) -> None:
    """Attack 9: in at the upper edge of the band, out at the lower one, again and again. In a draft that drew out 95 %
    of the margin; now a day's budget has to pay for both legs, each at most 25 basis points off, and fees."""
    mallory = signed.trader("mallory", 200_000)
    allow(core, alice, may_match=True, daily_budget=budget)
    equity, wealth = core.market.equity(alice), core.market.equity(mallory)
    edge = ETH_PRICE * 25 // 10_000
    size, rounds = 8 * WAD, 0
    while used(core, alice) + 2 * 24_000 <= budget:
        for sign in (1, -1):
            made, taken = pair(signed, mallory, alice, sign * size, ETH_PRICE + sign * edge)
            signed.match(made, taken, taker_key=KEY, sender=owner_of(mallory))
        rounds += 1
    with reverts("OrderBook_BudgetExceeded", alice, BOT, budget - rounds * 48_000, 24_000):
        signed.match(*pair(signed, mallory, alice, size, ETH_PRICE + edge), taker_key=KEY)
    lost = equity - core.market.equity(alice)
    fees = sum(sums(sign * size, ETH_PRICE + sign * edge).taker_fee + EXECUTION_FEE for sign in (1, -1))
    assert lost == rounds * (2 * 8 * edge + fees)
    assert core.market.equity(mallory) - wealth < rounds * 2 * (8 * edge + EXECUTION_FEE)
    assert lost <= budget * WAD * (25 + 7) // 10_000
    core.check_sums()


def test_delegate__who_executes_dust_for_the_fees__is_bounded_by_a_thousand_dollars_a_use(
    core: Core, signed: Signed, alice: int
) -> None:
    """Attack 9, by fees: every order of a wei would pay its executor, who is he, the execution fee."""
    budget = 10_000
    allow(core, alice, daily_budget=budget)
    core.track(account_id(BOT))
    cash = core.cash(alice)
    for _ in range(budget // MINIMUM_USE):
        order = place(core, alice, 1, kind=MARKET_ORDER, acceptable=MAX_PRICE)
        core.evm.advance(DELAY)
        core.record(ETH)
        core.execute(order, sender=BOT).event("OrderFailed")
    with reverts("OrderBook_BudgetExceeded", alice, BOT, 0, MINIMUM_USE):
        place(core, alice, 1, kind=MARKET_ORDER)
    assert core.cash(account_id(BOT)) == cash - core.cash(alice) == budget // MINIMUM_USE * EXECUTION_FEE
    core.check_sums()
