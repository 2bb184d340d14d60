"""Matching: two signed limit orders, a band around the index, both accounts' margin; cash and base conserved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind, Scope, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.risk.commitments import FILLED, MATCHING, SPENT
from plimsoll.risk.config import MarketParams
from plimsoll.risk.matching import MakerFill, Match
from plimsoll.risk.oracle import DOUBTFUL
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.signing import order_hash
from tests.python.risk.setting import (
    ACCOUNT,
    BTC,
    ETH,
    KEEPER,
    KEEPER_ACCOUNT,
    NOW,
    OTHER,
    OTHER_ACCOUNT,
    PARAMS,
    PRICE,
    TRADER,
    UNIT,
    buy,
    deployed,
    refused,
    set_price,
)  # fmt: skip

FEE = WAD // 10
BOT = 0x4001
TAKER = Order(ACCOUNT, ETH, OrderKind.LIMIT, 10 * WAD, 1_001 * WAD, salt=1)
MAKER = Order(OTHER_ACCOUNT, ETH, OrderKind.LIMIT, -10 * WAD, PRICE, salt=2)
IOC, FOK = TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL
SECOND_MAKER = ids.pack(0x1003)


def match(
    protocol: Protocol,
    maker: Order = MAKER,
    taker: Order = TAKER,
    base: int = 10 * WAD,
    now: int = NOW,
    sender: int = KEEPER,
    maker_signer: int | None = -1,
    taker_signer: int | None = -1,
) -> Match:
    """The owners sign, unless told otherwise."""
    return protocol.match_orders(
        maker,
        maker.account >> 96 if maker_signer == -1 else maker_signer,
        taker,
        taker.account >> 96 if taker_signer == -1 else taker_signer,
        base,
        now=now,
        sender=sender,
    )


def batch(protocol: Protocol, *fills: tuple[Order, int], taker: Order = TAKER, **rest: Any) -> list[Match | Refusal]:
    makers = [MakerFill(order, order.account >> 96, base) for order, base in fills]
    return protocol.match_batch(
        taker, rest.get("signer", taker.account >> 96), makers, now=rest.get("now", NOW), sender=KEEPER
    )


def balance(protocol: Protocol) -> int:
    """Σ cash + Σ quote + fees: what a match must not change, at one moment."""
    state = protocol.state
    total = sum(account.cash for account in state.accounts.values())
    for market in state.markets.values():
        total += market.pool_quote + market.unswept_insurance + market.unswept_treasury
        total += sum(position.quote for position in market.positions.values())
    return total


# --------------------------------------------------------------------------------------------------- what is exchanged


def test_matchOrders__new_positions__at_the_makers_price_with_both_fees():
    protocol = deployed()
    before = balance(protocol)
    maker = MAKER._replace(acceptable_price=1_000 * WAD + 1)
    done = match(protocol, maker, base=4 * WAD)
    assert done == Match(4 * WAD, -4_000 * WAD - 4, 800_000_000_000_000_001, 2_400_000_000_000_000_001, FEE)
    assert protocol.position(ACCOUNT, ETH, NOW) == (4 * WAD, done.quote, 0)
    assert protocol.position(OTHER_ACCOUNT, ETH, NOW) == (-4 * WAD, -done.quote, 0)
    assert protocol.cash_of(ACCOUNT) == 100_000 * WAD - done.taker_fee - FEE
    assert protocol.cash_of(OTHER_ACCOUNT) == 100_000 * WAD - done.maker_fee
    assert protocol.cash_of(KEEPER_ACCOUNT) == FEE
    assert (protocol.open_interest(ETH), protocol.skew(ETH)) == ((4 * WAD, 4 * WAD), 0)
    assert protocol.state.orders[TAKER].matched == protocol.state.orders[maker].matched == 4 * WAD
    assert balance(protocol) == before
    protocol.check_sums(NOW)


def test_matchOrders__selling_taker__rounds_his_quote_down():
    protocol = deployed()
    maker, taker = (
        MAKER._replace(base=3 * WAD, acceptable_price=PRICE + 1),
        TAKER._replace(base=-3 * WAD, acceptable_price=0),
    )
    done = match(protocol, maker, taker, 3 * WAD - 1)
    assert (done.base, done.quote) == (1 - 3 * WAD, (3 * WAD - 1) * (PRICE + 1) // WAD)
    protocol.check_sums(NOW)


def test_matchOrders__fees__are_split_as_one_fee_is():
    protocol = deployed()
    market = protocol.state.markets[ETH]
    protocol.sweep(ETH)
    quote = market.pool_quote
    done = match(protocol)
    fee = done.maker_fee + done.taker_fee
    assert (market.unswept_insurance, market.unswept_treasury) == (fee * 2_000 // 10_000, fee * 1_000 // 10_000)
    assert market.pool_quote - quote == fee - market.unswept_insurance - market.unswept_treasury


@given(
    price=st.integers(997_500 * WAD // 1_000, 1_002_500 * WAD // 1_000),
    first=st.integers(2 * WAD, 40 * WAD),
    second=st.integers(WAD, 60 * WAD),
    buys=st.booleans(),
    wait=st.integers(0, 15),
)
@settings(max_examples=60, deadline=None)
def test_matchOrders__any_two__conserve_cash_and_base(price, first, second, buys, wait):
    """Opening, then in either direction: reductions, closes, crossings."""
    protocol = deployed()
    match(protocol, base=first, taker=TAKER._replace(base=first), maker=MAKER._replace(base=-first))
    sign = 1 if buys else -1
    before, state = balance(protocol), protocol.state
    taker = TAKER._replace(base=sign * second, acceptable_price=2**200 if buys else 0, salt=5)
    maker = MAKER._replace(base=-sign * second, acceptable_price=price, salt=6)
    now = NOW + wait
    accrued = state.markets[ETH].pending(state.cash_of(state.markets[ETH].pool_account), now)
    try:
        match(protocol, maker, taker, second, now)
    except Refusal:
        return
    bases = [protocol.position(account, ETH, now)[0] for account in (ACCOUNT, OTHER_ACCOUNT)]
    assert bases == [first + sign * second, -first - sign * second]
    assert protocol.skew(ETH) == 0
    assert accrued is None or balance(protocol) <= before
    protocol.check_sums(now)


def test_matchOrders__caller_is_a_side__is_paid_after_the_margin_was_judged():
    protocol = deployed(account_dollars=1_000)
    done = match(protocol, base=2 * WAD, sender=TRADER)
    assert protocol.cash_of(ACCOUNT) == 1_000 * WAD - done.taker_fee
    protocol.check_sums(NOW)


# ------------------------------------------------------------------------------------------------------------- refusals


def test_matchOrders__invalid__refused_in_the_order_of_the_specification():
    protocol = deployed(PARAMS, PARAMS)
    maker = MAKER._replace(
        account=ACCOUNT + 1,
        kind=OrderKind.STOP_LOSS,
        market_id=BTC,
        base=10 * WAD,
        time_in_force=IOC,
        parent=b"p" * 32,
        acceptable_price=TAKER.acceptable_price + 1,
        expiry=NOW - 1,
    )
    taker = TAKER._replace(expiry=NOW - 1, salt=1 << 128)

    def attempt(base: int = WAD, **rest: Any) -> None:
        match(protocol, maker, taker, base, **rest)

    with refused(protocol, "OrderBook_ZeroSize"):
        attempt(0)
    with refused(protocol, "OrderBook_InvalidTerms", "kind"):
        attempt()
    maker = maker._replace(kind=OrderKind.LIMIT)
    with refused(protocol, "OrderBook_InvalidTerms", "marketId"):
        attempt()
    maker = maker._replace(market_id=ETH)
    with refused(protocol, "OrderBook_InvalidTerms", "side"):
        attempt()
    maker = maker._replace(base=-10 * WAD)
    with refused(protocol, "OrderBook_InvalidTerms", "timeInForce"):
        attempt()
    maker = maker._replace(time_in_force=TimeInForce.POST_ONLY)
    with refused(protocol, "OrderBook_InvalidTerms", "parent"):
        attempt()
    maker = maker._replace(parent=bytes(32))
    with refused(protocol, "OrderBook_SelfMatch", TRADER):
        attempt()
    maker = maker._replace(account=OTHER_ACCOUNT)
    with refused(protocol, "OrderBook_NotCrossing", maker.acceptable_price, taker.acceptable_price):
        attempt()
    maker = maker._replace(acceptable_price=taker.acceptable_price)
    with refused(protocol, "OrderBook_Expired", NOW - 1):
        attempt()
    taker = taker._replace(expiry=0)
    with refused(protocol, "OrderBook_WrongCounter", ACCOUNT, 0):
        attempt()
    taker = taker._replace(salt=1)
    with refused(protocol, "OrderBook_Overfilled", taker, 10 * WAD):
        attempt(10 * WAD + 1, taker_signer=KEEPER)
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, 0):
        attempt(taker_signer=None)
    with refused(protocol, "OrderBook_Expired", NOW - 1):
        attempt()
    taker = taker._replace(time_in_force=FOK)
    with refused(protocol, "OrderBook_FillOrKill", taker, 10 * WAD - 1):
        attempt(10 * WAD - 1)
    taker = taker._replace(time_in_force=TimeInForce.GOOD_TILL_TIME)
    maker = maker._replace(expiry=NOW, base=-WAD)
    with refused(protocol, "OrderBook_Overfilled", maker, WAD):
        attempt(WAD + 1)
    with refused(protocol, "OrderBook_NotPermitted", OTHER_ACCOUNT, KEEPER):
        attempt(maker_signer=KEEPER)
    maker = maker._replace(base=-10 * WAD)
    taker = taker._replace(time_in_force=FOK)
    attempt(10 * WAD)


@pytest.mark.parametrize(
    ("maker", "taker", "field"),
    [
        (MAKER, TAKER._replace(kind=OrderKind.MARKET), "kind"),
        (MAKER, TAKER._replace(time_in_force=TimeInForce.POST_ONLY), "timeInForce"),
        (MAKER._replace(time_in_force=FOK), TAKER, "timeInForce"),
        (MAKER, TAKER._replace(parent=b"p" * 32), "parent"),
        (MAKER, TAKER._replace(base=-WAD), "side"),
    ],
)
def test_matchOrders__terms_that_make_no_sense__refused(maker, taker, field):
    protocol = deployed()
    with refused(protocol, "OrderBook_InvalidTerms", field):
        match(protocol, maker, taker)


@pytest.mark.parametrize("buys", [True, False])
def test_matchOrders__prices__cross_at_equality(buys):
    protocol = deployed()
    sign = 1 if buys else -1
    taker = TAKER._replace(base=sign * 10 * WAD, acceptable_price=PRICE - sign)
    maker = MAKER._replace(base=-sign * 10 * WAD)
    with refused(protocol, "OrderBook_NotCrossing", PRICE, PRICE - sign):
        match(protocol, maker, taker)
    match(protocol, maker, taker._replace(acceptable_price=PRICE))


@pytest.mark.parametrize("offset", [-1, 1])
def test_matchOrders__band__one_wei_on_both_sides(offset):
    protocol = deployed()
    taker = TAKER._replace(acceptable_price=2**200)
    edge = PRICE + offset * 25 * WAD // 10
    with refused(protocol, "OrderBook_OutsideBand", edge + offset, PRICE):
        match(protocol, MAKER._replace(acceptable_price=edge + offset), taker)
    match(protocol, MAKER._replace(acceptable_price=edge), taker)


def test_matchOrders__index_price__must_be_fresh():
    protocol = deployed()
    with refused(protocol, "PerpMarket_StalePrice", ETH, NOW):
        match(protocol, now=NOW + 16)
    match(protocol, now=NOW + 15)


def test_matchOrders__market_that_is_not_listed__has_no_price():
    protocol = deployed()
    with refused(protocol, "PerpMarket_StalePrice", 7, 0):
        match(protocol, MAKER._replace(market_id=7), TAKER._replace(market_id=7))


def test_matchOrders__placed_cancelled_or_filled__is_unknown():
    protocol = deployed()
    placed = TAKER._replace(salt=9)
    protocol.place(placed, now=NOW, sender=TRADER)
    gone = MAKER._replace(salt=9)
    protocol.cancel(gone, now=NOW, sender=OTHER)
    with refused(protocol, "OrderBook_UnknownOrder", placed):
        match(protocol, taker=placed)
    with refused(protocol, "OrderBook_UnknownOrder", gone):
        match(protocol, gone)
    match(protocol)
    with refused(protocol, "OrderBook_UnknownOrder", TAKER):
        match(protocol)
    for order in (TAKER, MAKER):
        with refused(protocol, "OrderBook_AlreadyUsed", order):
            protocol.place(order, now=NOW, sender=order.account >> 96)
        with refused(protocol, "OrderBook_UnknownOrder", order):
            protocol.execute(order, now=NOW, sender=KEEPER)


def test_matchOrders__after_cancelAll__refused():
    protocol = deployed()
    match(protocol, base=4 * WAD)
    protocol.cancel_all(OTHER_ACCOUNT, sender=OTHER)
    with refused(protocol, "OrderBook_WrongCounter", OTHER_ACCOUNT, 1):
        match(protocol, base=4 * WAD)


def test_matchOrders__partial_fills__remembered_and_one_execution_fee():
    protocol = deployed()
    assert match(protocol, base=4 * WAD).execution_fee == FEE
    assert [protocol.state.orders[order].status for order in (TAKER, MAKER)] == [MATCHING, MATCHING]
    with refused(protocol, "OrderBook_Overfilled", TAKER, 6 * WAD):
        match(protocol, base=6 * WAD + 1)
    assert match(protocol, base=5 * WAD).execution_fee == 0
    other = MAKER._replace(salt=8)
    assert match(protocol, other, base=WAD).execution_fee == 0
    assert [protocol.state.orders[order].status for order in (TAKER, MAKER, other)] == [FILLED, MATCHING, MATCHING]
    protocol.check_sums(NOW)


def test_matchOrders__partly_matched__can_be_cancelled_but_not_placed():
    protocol = deployed()
    match(protocol, base=4 * WAD)
    with refused(protocol, "OrderBook_AlreadyUsed", MAKER):
        protocol.place(MAKER, now=NOW, sender=OTHER)
    protocol.cancel(MAKER, now=NOW, sender=OTHER)
    with refused(protocol, "OrderBook_UnknownOrder", MAKER):
        match(protocol, base=WAD)


@pytest.mark.parametrize(("base", "status"), [(4 * WAD, SPENT), (10 * WAD, FILLED)])
def test_matchOrders__immediate_or_cancel__rest_is_spent(base, status):
    protocol = deployed()
    taker = TAKER._replace(time_in_force=IOC)
    match(protocol, taker=taker, base=base)
    assert protocol.state.orders[taker].status == status
    assert protocol.state.orders[taker].matched == base


def test_execute__parent_matched_in_part_and_spent__counts_as_filled():
    protocol = deployed()
    protocol.order_hash = order_hash
    taker = TAKER._replace(time_in_force=IOC)
    stop = Order(
        ACCOUNT, ETH, OrderKind.STOP_LOSS, -10 * WAD, 0, PRICE, reduce_only=True, parent=order_hash(taker), salt=4
    )
    protocol.place(stop, now=NOW, sender=TRADER)
    match(protocol, taker=taker, base=4 * WAD)
    set_price(protocol, PRICE, NOW + 2)
    outcome = protocol.execute(stop, now=NOW + 2, sender=KEEPER)
    assert outcome.trade is not None
    assert outcome.trade.size == -4 * WAD


# ------------------------------------------------------------------------------------------------------------ delegates


def test_matchOrders__delegates__need_the_permission_and_their_budgets():
    protocol = deployed()
    scope = Scope(1, NOW, 10_000, may_take_over=True)
    protocol.set_delegate(ACCOUNT, BOT, scope, sender=TRADER)
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, BOT):
        match(protocol, taker_signer=BOT)
    scope = scope._replace(may_match=True, may_take_over=False)
    protocol.set_delegate(ACCOUNT, BOT, scope, sender=TRADER)
    protocol.set_delegate(OTHER_ACCOUNT, BOT, scope._replace(daily_budget=3_999), sender=OTHER)
    with refused(protocol, "OrderBook_BudgetExceeded", OTHER_ACCOUNT, BOT, 3_999, 4_000):
        match(protocol, base=4 * WAD, taker_signer=BOT, maker_signer=BOT)
    match(protocol, base=2 * WAD, taker_signer=BOT, maker_signer=BOT)
    assert protocol.delegation(ACCOUNT, BOT, NOW)[1] == protocol.delegation(OTHER_ACCOUNT, BOT, NOW)[1] == 2_000
    with refused(protocol, "OrderBook_BudgetExceeded", ACCOUNT, BOT, 8_000, 8_001):
        match(protocol, MAKER._replace(salt=7), TAKER._replace(salt=7), 8 * WAD + 1, taker_signer=BOT)
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, BOT):
        match(protocol, now=NOW + 1, base=WAD, taker_signer=BOT)


def test_matchOrders__delegate_and_no_price__refused():
    protocol = Protocol()
    protocol.list_market(WAD, PARAMS, now=NOW)
    protocol.set_delegate(ACCOUNT, BOT, Scope(1, NOW, 10**9, may_match=True), sender=TRADER)
    with refused(protocol, "OrderBook_NoPrice", ETH):
        match(protocol, taker_signer=BOT)
    with refused(protocol, "PerpMarket_StalePrice", ETH, 0):
        match(protocol)


# ------------------------------------------------------------------------------------------------- the exchange's rules


def test_matchOrders__reduce_only__does_not_clamp():
    protocol = deployed()
    for reducer in (TAKER._replace(reduce_only=True), TAKER):
        maker = MAKER._replace(reduce_only=not reducer.reduce_only)
        account = ACCOUNT if reducer.reduce_only else OTHER_ACCOUNT
        with refused(protocol, "PerpMarket_NothingToReduce", account, ETH):
            match(protocol, maker, reducer)
    buy(protocol, -5 * WAD)
    with refused(protocol, "PerpMarket_NothingToReduce", ACCOUNT, ETH):
        match(protocol, taker=TAKER._replace(reduce_only=True), base=5 * WAD + 1)
    match(protocol, taker=TAKER._replace(reduce_only=True), base=5 * WAD)
    assert protocol.position(ACCOUNT, ETH, NOW)[0] == 0


@pytest.mark.parametrize("side", ["taker", "maker"])
def test_matchOrders__wrong_market_or_isolated_only__refused(side):
    params = replace(PARAMS, isolated_only=True)
    protocol = deployed(PARAMS, PARAMS)
    other = {"taker": TRADER, "maker": OTHER}[side]
    account = ids.pack(other, BTC)
    protocol.deposit(account, 10_000 * UNIT)
    orders = {"taker": TAKER, "maker": MAKER}
    orders[side] = orders[side]._replace(account=account)
    for reduces, error in ((False, "PerpMarket_WrongMarket"), (True, "PerpMarket_NothingToReduce")):
        wrong = {name: order._replace(reduce_only=reduces and name == side) for name, order in orders.items()}
        with refused(protocol, error, account, ETH):
            match(protocol, wrong["maker"], wrong["taker"])
    protocol.set_params(ETH, params, now=NOW)
    with refused(protocol, "PerpMarket_IsolatedOnly", ETH):
        match(protocol)
    isolated = ids.pack(other, ETH)
    protocol.deposit(isolated, 10_000 * UNIT)
    orders[side] = orders[side]._replace(account=isolated)
    with refused(protocol, "PerpMarket_IsolatedOnly", ETH):
        match(protocol, orders["maker"], orders["taker"])


@pytest.mark.parametrize("halted", ["state", "halt"])
def test_matchOrders__opening_halted__only_reductions_match(halted):
    protocol = deployed()
    match(protocol)
    if halted == "state":
        set_price(protocol, PRICE, NOW + 1, state=DOUBTFUL)
        error = ("PerpMarket_OpeningHalted", ETH, DOUBTFUL, 0)
    else:
        protocol.halt_opening(ETH, NOW + 2)
        error = ("PerpMarket_OpeningHalted", ETH, 0, NOW + 2)
    more = TAKER._replace(salt=5), MAKER._replace(salt=5)
    with refused(protocol, *error):
        match(protocol, more[1], more[0], now=NOW + 1)
    back = TAKER._replace(base=-10 * WAD, acceptable_price=0, salt=6), MAKER._replace(base=10 * WAD, salt=6)
    match(protocol, back[1], back[0], now=NOW + 1)
    assert protocol.open_interest(ETH) == (0, 0)


def test_matchOrders__another_market_is_stale__nobody_may_grow():
    protocol = deployed(PARAMS, PARAMS)
    buy(protocol, 10 * WAD, account=OTHER_ACCOUNT, market=BTC)
    set_price(protocol, PRICE, NOW + 16)
    with refused(protocol, "PerpMarket_StalePrice", BTC, NOW):
        match(protocol, now=NOW + 16)


def test_matchOrders__ninth_market__refused():
    protocol = deployed(*[PARAMS] * 9, account_dollars=1_000_000)
    for market in range(2, 10):
        protocol.state.credit(protocol.state.markets[market].pool_account, 10**6 * WAD)
        buy(protocol, 10 * WAD, market=market)
    with refused(protocol, "PerpMarket_TooManyMarkets", ACCOUNT):
        match(protocol)


def test_matchOrders__minimum_position__of_what_results():
    protocol = deployed()
    taker = TAKER._replace(base=WAD - 1)
    with refused(protocol, "PerpMarket_BelowMinimumPosition", 1_000 * WAD - 1_000, 1_000 * WAD):
        match(protocol, taker=taker, base=WAD - 1)
    match(protocol, base=WAD)


def test_matchOrders__dust__only_where_it_is_all_that_is_left():
    protocol = deployed()
    with refused(protocol, "OrderBook_TooSmall", 1_000 * WAD - 1_000, 1_000 * WAD):
        match(protocol, base=WAD - 1)
    match(protocol, base=WAD)
    match(protocol, base=9 * WAD - 1)
    other = MAKER._replace(salt=7)
    match(protocol, other, base=1)
    with refused(protocol, "OrderBook_TooSmall", 1_000, 1_000 * WAD):
        match(protocol, other, TAKER._replace(salt=7), 1)
    match(protocol, MAKER, TAKER._replace(salt=8), 1)
    protocol.check_sums(NOW)


@pytest.mark.parametrize("reducing", ["nobody", "maker"])
def test_matchOrders__open_interest__of_the_sides_that_grow(reducing):
    """The pool's capital allows $20,000 a side. One holder for another leaves a side as it was, and still asks."""
    params = replace(PARAMS, open_interest_bps=10, exposure_bps=10)
    protocol = deployed(params, pool_dollars=20_000_000)
    if reducing == "maker":
        buy(protocol, 20 * WAD, account=OTHER_ACCOUNT)
        protocol.set_params(ETH, replace(params, open_interest_bps=5), now=NOW)
        with pytest.raises(Refusal, match="PerpMarket_OpenInterestLimit"):
            match(protocol)
        return
    maker, taker = MAKER._replace(base=-30 * WAD), TAKER._replace(base=30 * WAD)
    match(protocol, maker, taker, 20 * WAD)
    with pytest.raises(Refusal, match="PerpMarket_OpenInterestLimit"):
        match(protocol, maker, taker, WAD)


@pytest.mark.parametrize("side", ["taker", "maker"])
def test_matchOrders__margin_of_who_grows__to_the_wei(side):
    """A fill in one's own favour is no collateral."""
    account = ACCOUNT if side == "taker" else OTHER_ACCOUNT
    price = 998 * WAD if side == "taker" else 1_002 * WAD
    maker, taker = MAKER._replace(acceptable_price=price), TAKER._replace(acceptable_price=2**200)
    trial = deployed()
    match(trial, maker, taker)
    needed, _ = trial.requirements(account, NOW)
    paid = 100_000 * WAD - trial.cash_of(account)
    for short, fits in ((0, True), (1, False)):
        protocol = deployed()
        protocol.state.credit(account, needed + paid - short - protocol.cash_of(account))
        if fits:
            match(protocol, maker, taker)
        else:
            with refused(protocol, "PerpMarket_InsufficientMargin", account, needed - 1, needed):
                match(protocol, maker, taker)


def test_matchOrders__maker_without_margin__refused_and_nothing_happened():
    protocol = deployed()
    protocol.withdraw(OTHER_ACCOUNT, 100_000 * UNIT, OTHER, now=NOW, sender=OTHER)
    with pytest.raises(Refusal, match="PerpMarket_InsufficientMargin"):
        match(protocol)
    assert protocol.state.orders == {}
    assert protocol.open_interest(ETH) == (0, 0)


def sick(cash: int) -> Protocol:
    """The trader's long of 100 at $1,000, index $970."""
    protocol = deployed(account_dollars=100_000)
    buy(protocol, 100 * WAD)
    set_price(protocol, 970 * WAD, NOW + 1)
    protocol.state.credit(ACCOUNT, cash - protocol.cash_of(ACCOUNT))
    return protocol


def test_matchOrders__reduction_of_the_sick__at_a_good_price_only():
    protocol = sick(3_150 * WAD)
    equity, required = protocol.state.health(ACCOUNT, NOW + 1)
    assert 0 < equity < required
    exit_ = TAKER._replace(base=-10 * WAD, acceptable_price=0)
    bid = MAKER._replace(base=10 * WAD, acceptable_price=968 * WAD)
    with pytest.raises(Refusal) as caught, protocol.simulated():
        match(protocol, bid, exit_, now=NOW + 1)
    values: Any = caught.value.values
    account, equity_after, required_after = values
    assert (caught.value.name, account) == ("PerpMarket_LessHealthy", ACCOUNT)
    assert equity_after * required < equity * required_after
    match(protocol, bid._replace(acceptable_price=970 * WAD), exit_, now=NOW + 1)
    after = protocol.state.health(ACCOUNT, NOW + 1)
    assert after[0] * required >= equity * after[1]


@pytest.mark.parametrize("short", [0, 1])
def test_matchOrders__bankrupt_closed__not_one_wei_of_debt(short):
    """Payment and fee are out of the cash that has to be left."""
    exit_ = TAKER._replace(base=-100 * WAD, acceptable_price=0)
    bid = MAKER._replace(base=100 * WAD, acceptable_price=970 * WAD)
    trial = sick(50_000 * WAD)
    match(trial, bid, exit_, 100 * WAD, now=NOW + 1)
    assert trial.markets_bitmap(ACCOUNT) == 0
    protocol = sick(50_000 * WAD - trial.cash_of(ACCOUNT) - short)
    if short:
        with refused(protocol, "PerpMarket_LessHealthy", ACCOUNT, -1, 0):
            match(protocol, bid, exit_, 100 * WAD, now=NOW + 1)
    else:
        match(protocol, bid, exit_, 100 * WAD, now=NOW + 1)
        assert protocol.cash_of(ACCOUNT) == 0


# -------------------------------------------------------------------------------------------------------------- batches


def test_matchBatch__makers_in_turn__who_is_refused_is_skipped():
    protocol = deployed()
    protocol.deposit(SECOND_MAKER, 100_000 * UNIT)
    poor, far = MAKER._replace(account=ids.pack(0x55)), MAKER._replace(acceptable_price=1_003 * WAD, salt=3)
    second = MAKER._replace(account=SECOND_MAKER, acceptable_price=1_001 * WAD)
    taker = TAKER._replace(acceptable_price=2**200)
    done = batch(
        protocol,
        (poor, WAD),
        (MAKER, 0),
        (MAKER, 4 * WAD),
        (far, WAD),
        (second, 7 * WAD),
        (second, 6 * WAD),
        taker=taker,
    )
    assert [one.name if isinstance(one, Refusal) else one.base for one in done] == [
        "PerpMarket_InsufficientMargin",
        "OrderBook_ZeroSize",
        4 * WAD,
        "OrderBook_OutsideBand",
        "OrderBook_Overfilled",
        6 * WAD,
    ]
    assert [one.execution_fee for one in done if isinstance(one, Match)] == [FEE, 0]
    assert protocol.position(ACCOUNT, ETH, NOW) == (10 * WAD, -10_006 * WAD, 0)
    assert protocol.state.orders[taker].status == FILLED
    assert {poor, far}.isdisjoint(protocol.state.orders)
    assert protocol.cash_of(KEEPER_ACCOUNT) == FEE
    protocol.check_sums(NOW)


@pytest.mark.parametrize(
    ("taker", "error"),
    [
        (TAKER._replace(kind=OrderKind.TAKE_PROFIT), ("OrderBook_InvalidTerms", "kind")),
        (TAKER._replace(time_in_force=TimeInForce.POST_ONLY), ("OrderBook_InvalidTerms", "timeInForce")),
        (TAKER._replace(parent=b"p" * 32), ("OrderBook_InvalidTerms", "parent")),
        (TAKER._replace(expiry=NOW - 1), ("OrderBook_Expired", NOW - 1)),
        (TAKER._replace(salt=1 << 128), ("OrderBook_WrongCounter", ACCOUNT, 0)),
    ],
)
def test_matchBatch__taker_refused__reverts(taker, error):
    protocol = deployed()
    with refused(protocol, *error):
        batch(protocol, (MAKER, WAD), taker=taker)


def test_matchBatch__takers_signature_or_end__reverts():
    protocol = deployed()
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, KEEPER):
        batch(protocol, (MAKER, WAD), signer=KEEPER)
    protocol.cancel(TAKER, now=NOW, sender=TRADER)
    with refused(protocol, "OrderBook_UnknownOrder", TAKER):
        batch(protocol, (MAKER, WAD))


@pytest.mark.parametrize("fills", [(), ((MAKER._replace(market_id=BTC), WAD),)])
def test_matchBatch__nothing_matched__reverts(fills):
    protocol = deployed()
    for taker in (TAKER, TAKER._replace(time_in_force=FOK)):
        with refused(protocol, "OrderBook_NothingMatched", taker):
            batch(protocol, *fills, taker=taker)


def test_matchBatch__fill_or_kill__all_fills_together():
    protocol = deployed()
    taker, second = TAKER._replace(time_in_force=FOK), MAKER._replace(salt=3)
    with refused(protocol, "OrderBook_FillOrKill", taker, 10 * WAD - 1):
        batch(protocol, (MAKER, 4 * WAD), (second, 6 * WAD - 1), taker=taker)
    batch(protocol, (MAKER, 4 * WAD), (second, 6 * WAD), taker=taker)
    assert protocol.state.orders[taker].status == FILLED


def test_matchBatch__immediate_or_cancel__rest_is_spent_after_the_last():
    protocol = deployed()
    taker = TAKER._replace(time_in_force=IOC)
    done = batch(protocol, (MAKER, 4 * WAD), (MAKER, 5 * WAD), taker=taker)
    assert len([one for one in done if isinstance(one, Match)]) == 2
    assert protocol.state.orders[taker].status == SPENT


def test_matchBatch__skipped_maker__uses_nobodys_budget():
    protocol = deployed()
    protocol.set_delegate(ACCOUNT, BOT, Scope(1, NOW, 10_000, may_match=True), sender=TRADER)
    poor = MAKER._replace(account=ids.pack(0x55))
    batch(protocol, (poor, 9 * WAD), (MAKER, 10 * WAD), signer=BOT)
    assert protocol.delegation(ACCOUNT, BOT, NOW)[1] == 10_000


def test_matchBatch__a_hundred_makers_fail__the_others_fill():
    protocol = deployed(MarketParams(), account_dollars=1_000_000)
    poor = [MAKER._replace(account=ids.pack(0x5000 + number)) for number in range(100)]
    fills = [(one, WAD) for one in poor] + [(MAKER, 10 * WAD)]
    done = batch(protocol, *fills)
    assert sum(isinstance(one, Refusal) for one in done) == 100
    assert protocol.position(ACCOUNT, ETH, NOW)[0] == 10 * WAD
    protocol.check_sums(NOW)
