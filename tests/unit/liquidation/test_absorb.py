"""Absorption: the pool takes what a bankrupt account has, fund and pool bear what it owes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import (
    BTC,
    DOUBTFUL,
    DOWN,
    ETH,
    ETH_PRICE,
    GRACE,
    KEEPER,
    OPEN,
    WAD,
    Core,
    account_id,
    deploy_core,
)
from tests.support.evm import ANYONE, Evm, reverts
from tests.unit.liquidation.conftest import SetEquity, bankrupt
from tests.unit.liquidation.reference import holding

KEEPER_ACCOUNT = account_id(KEEPER)
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])


def unrealised(core: Core, account: int, market: int) -> int:
    """u at the plain price, of a position that was settled."""
    base, quote, _ = core.market.position(account, market)
    result: int = base * core.oracle.price(market)[0] // WAD + quote
    return result


@SIDES
def test_absorb__one_position__events_and_resulting_state(core: Core, set_equity: SetEquity, sign: int) -> None:
    """LQ-03: nothing of the account remains, neither position nor debt."""
    account = bankrupt(core, set_equity, {ETH: sign * 100 * WAD}, -3_000 * WAD)
    core.give_fund(1_000)
    h = holding(core, account, ETH)
    quote = h.close_quote(h.size)
    debt = -(h.cash + h.quote + quote)
    assert debt > 1_000 * WAD
    pool = core.market.position(core.pool_account(ETH), ETH)[1] - quote

    receipt = core.liquidator.absorb(account, [], sender=KEEPER)

    assert receipt.event("PositionAbsorbed").args == {
        "account": account,
        "marketId": ETH,
        "base": -h.base,
        "quote": quote,
        "publishedAt": core.evm.timestamp,
    }
    assert receipt.event("Filled").args == {
        "account": account,
        "marketId": ETH,
        "counter": core.pool_account(ETH),
        "base": -h.base,
        "quote": quote,
        "newBase": 0,
        "newQuote": 0,
    }
    assert receipt.event("Absorbed").args == {
        "account": account,
        "keeper": KEEPER,
        "equity": -3_000 * WAD,
        "reward": 0,
    }
    by_pool = debt - 1_000 * WAD
    assert receipt.event("PoolCharged").args == {"marketId": ETH, "amount": by_pool, "poolQuote": pool - by_pool}
    assert receipt.event("DebtCovered").args == {
        "account": account,
        "debt": debt,
        "byFund": 1_000 * WAD,
        "byPool": by_pool,
    }
    assert core.vault.balanceOf(account) == 0
    assert core.market.position(account, ETH) == (0, 0, 0)
    assert core.cash(core.fund_main) == 0
    assert core.market.position(core.pool_account(ETH), ETH) == (0, pool - by_pool, 0)
    assert core.market.openInterest(ETH) == (0, 0)
    assert core.liquidator.counters(ETH) == (0, 0, 0, 0)
    core.check_sums()


def test_absorb__several_markets__all_closed_and_the_debt_shared_by_their_losses(
    core: Core, set_equity: SetEquity
) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD, BTC: -10 * WAD})
    core.tick(1, {ETH: 2_900 * WAD, BTC: 41_500 * WAD})
    set_equity(account, -5_000 * WAD)
    core.give_fund(300)
    held = [holding(core, account, market) for market in (ETH, BTC)]
    quotes = [h.close_quote(h.size) for h in held]
    weights = [max(0, -(h.base * h.price // WAD + h.quote)) for h in held]
    assert all(weights)
    owed = sum(core.market.position(account, market)[2] for market in (ETH, BTC))
    debt = -(core.cash(account) - owed + sum(h.quote for h in held) + sum(quotes))
    rest = debt - 300 * WAD
    shares = [rest * weights[0] // sum(weights)]
    shares.append(rest - shares[0])

    receipt = core.liquidator.absorb(account, [], sender=KEEPER)

    closed = {event["marketId"]: (event["base"], event["quote"]) for event in receipt.events("PositionAbsorbed")}
    assert closed == {ETH: (-100 * WAD, quotes[0]), BTC: (10 * WAD, quotes[1])}
    assert [event["marketId"] for event in receipt.events("PoolCharged")] == [ETH, BTC]
    assert [event["amount"] for event in receipt.events("PoolCharged")] == shares
    covered = receipt.event("DebtCovered")
    assert (covered["debt"], covered["byFund"], covered["byPool"]) == (debt, 300 * WAD, rest)
    assert core.vault.balanceOf(account) == 0
    core.check_sums()


def test_absorb__market_with_a_gain__bears_nothing_of_the_debt(core: Core, set_equity: SetEquity) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD, BTC: 10 * WAD})
    core.tick(1, {ETH: 2_900 * WAD, BTC: 41_500 * WAD})
    set_equity(account, -5_000 * WAD)
    assert unrealised(core, account, BTC) > 0 > unrealised(core, account, ETH)
    receipt = core.liquidator.absorb(account, [], sender=KEEPER)
    assert receipt.event("PoolCharged")["marketId"] == ETH
    assert receipt.event("PoolCharged")["amount"] == receipt.event("DebtCovered")["debt"]


def test_absorb__no_market_with_a_loss__debt_is_shared_alike(core: Core, set_equity: SetEquity) -> None:
    """The debt is older than the positions: each market bears as much, the last the odd wei."""
    account = bankrupt(core, set_equity, {ETH: 100 * WAD, BTC: 10 * WAD})
    core.tick(1, {ETH: 3_100 * WAD, BTC: 41_500 * WAD})
    set_equity(account, -5_000 * WAD)
    receipt = core.liquidator.absorb(account, [], sender=KEEPER)
    debt = receipt.event("DebtCovered")["byPool"]
    assert [event["amount"] for event in receipt.events("PoolCharged")] == [debt // 2, debt - debt // 2]
    core.check_sums()


@pytest.mark.parametrize(("surplus", "by_pool"), [(0, 0), (-1, 1), (1, 0)])
def test_absorb__debt_at_what_the_fund_has__costs_the_pool_no_more_than_the_rest(
    core: Core, set_equity: SetEquity, surplus: int, by_pool: int
) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD}, -3_000 * WAD)
    h = holding(core, account, ETH)
    debt = -(h.cash + h.quote + h.close_quote(h.size))
    core.post(core.fund_main, debt + surplus)
    receipt = core.liquidator.absorb(account, [], sender=KEEPER)
    covered = receipt.event("DebtCovered")
    assert (covered["debt"], covered["byFund"], covered["byPool"]) == (debt, debt - by_pool, by_pool)
    assert len(receipt.events("PoolCharged")) == by_pool
    assert core.cash(core.fund_main) == max(0, surplus)
    core.check_sums(dust_bound=10**12)


def test_absorb__fills_better_than_the_index__leaves_the_account_what_is_over(
    core: Core, set_equity: SetEquity
) -> None:
    """The skew pays who brings it back: a bankrupt account may end with cash, which is its owner's."""
    account = bankrupt(core, set_equity, {ETH: 100 * WAD}, 0)
    h = holding(core, account, ETH)
    left = h.cash + h.quote + h.close_quote(h.size)
    assert left > 0
    receipt = core.liquidator.absorb(account, [], sender=KEEPER)
    assert not receipt.events("DebtCovered")
    assert core.vault.balanceOf(account) == core.cash(account) == left
    core.check_sums()


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_absorb__with_other_tokens__the_ledger_adds_up(evm: Evm, decimals: int) -> None:
    core = deploy_core(evm, decimals=decimals)
    account = core.trader("trader", 20_000)
    core.open(account, ETH, 100 * WAD)
    core.tick(1, {ETH: ETH_PRICE - 300 * WAD})
    h = holding(core, account, ETH)
    debt = -(h.cash + h.quote + h.close_quote(h.size))
    receipt = core.liquidator.absorb(account, [], sender=KEEPER)
    assert receipt.event("DebtCovered").args == {"account": account, "debt": debt, "byFund": 0, "byPool": debt}
    core.check_sums()


def test_absorb__with_an_order_queued__its_reservation_ends_with_the_order(core: Core, set_equity: SetEquity) -> None:
    """What was set aside is cash like any other: it is gone, and the executor of the order gets nothing."""
    account = bankrupt(core, set_equity, {ETH: 100 * WAD}, 20_000 * WAD)
    order = core.order(account, ETH, WAD)
    core.place(order)
    core.tick(2)
    set_equity(account, -3_000 * WAD)
    core.liquidator.absorb(account, [], sender=KEEPER)
    aside = WAD // 2 + ETH_PRICE * 6 // 10_000
    assert (core.cash(account), core.vault.balanceOf(account)) == (0, aside << 128)
    event = core.execute(order).event("OrderFailed")
    assert (event["paid"], event["forfeited"]) == (0, 0)
    assert core.vault.balanceOf(account) == 0
    core.check_sums()


# --- who ---


@SIDES
def test_absorb__equity_of_one_wei__is_not_bankrupt_and_of_none_is(
    core: Core, set_equity: SetEquity, sign: int
) -> None:
    """LQ-03: h ≤ 0 only, at health prices."""
    account = bankrupt(core, set_equity, {ETH: sign * 100 * WAD})
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE, 5 * WAD)
    set_equity(account, 1)
    with reverts("Liquidator_NotBankrupt", account, 1):
        core.liquidator.absorb(account, [], sender=KEEPER)
    set_equity(account, 0)
    assert core.liquidator.health(account) == 0
    assert core.liquidator.absorb(account, [], sender=KEEPER).event("Absorbed")["equity"] == 0


@pytest.mark.parametrize("dollars", [0, 5])
def test_absorb__without_a_position__is_refused(core: Core, dollars: int) -> None:
    account = core.trader("trader", dollars)
    with reverts("Liquidator_NotBankrupt", account, dollars * WAD):
        core.liquidator.absorb(account, [], sender=KEEPER)


def test_absorb__a_second_time__is_refused(core: Core, set_equity: SetEquity) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD}, -WAD)
    core.liquidator.absorb(account, [], sender=KEEPER)
    with reverts("Liquidator_NotBankrupt", account, core.cash(account)):
        core.liquidator.absorb(account, [], sender=KEEPER)


def test_absorb__by_anyone__is_allowed(core: Core, set_equity: SetEquity) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD}, -WAD)
    assert core.liquidator.absorb(account, [], sender=ANYONE).event("Absorbed")["keeper"] == ANYONE


# --- the prices ---


@pytest.mark.parametrize("state", [GRACE, DOWN])
def test_absorb__no_market_with_a_usable_price__is_refused(core: Core, set_equity: SetEquity, state: int) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD, BTC: 10 * WAD}, -WAD)
    core.tick(1, state=state)
    set_equity(account, -WAD)
    with reverts("Liquidator_PriceUnusable", ETH, core.evm.timestamp, state):
        core.liquidator.absorb(account, [], sender=KEEPER)


@pytest.mark.parametrize("state", [OPEN, DOUBTFUL])
def test_absorb__one_market_with_a_usable_price__closes_all(core: Core, set_equity: SetEquity, state: int) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD, BTC: 10 * WAD}, -WAD)
    core.evm.advance(1)
    core.record(ETH, state=DOWN)
    core.record(BTC, state=state)
    set_equity(account, -WAD)
    receipt = core.liquidator.absorb(account, [], sender=KEEPER)
    assert [event["marketId"] for event in receipt.events("PositionAbsorbed")] == [ETH, BTC]
    assert core.vault.balanceOf(account) == core.cash(account)


def test_absorb__prices_at_their_greatest_age__are_usable_and_a_second_older_not(
    core: Core, set_equity: SetEquity
) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD, BTC: 10 * WAD})
    published = core.evm.timestamp
    core.evm.advance(16)
    set_equity(account, -WAD)
    with reverts("Liquidator_PriceUnusable", ETH, published, OPEN):
        core.liquidator.absorb(account, [], sender=KEEPER)
    core.evm.advance(-1)
    set_equity(account, -WAD)
    assert core.liquidator.absorb(account, [], sender=KEEPER).event("Absorbed")["equity"] == -WAD


def test_absorb__stale_market_beside_a_fresh_one__closes_at_its_last_price(core: Core, set_equity: SetEquity) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD, BTC: 10 * WAD})
    published = core.evm.timestamp
    core.evm.advance(60)
    core.record(BTC)
    set_equity(account, -WAD)
    stale = holding(core, account, ETH)
    assert stale.price == ETH_PRICE * 105 // 100
    receipt = core.liquidator.absorb(account, [], sender=KEEPER)
    closed = {event["marketId"]: event for event in receipt.events("PositionAbsorbed")}
    assert (closed[ETH]["quote"], closed[ETH]["publishedAt"]) == (stale.close_quote(stale.size), published)
    assert closed[BTC]["publishedAt"] == core.evm.timestamp


def test_absorb__price_data__is_recorded_first(core: Core, set_equity: SetEquity) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD}, 50 * WAD)
    core.evm.advance(1)
    now = core.evm.timestamp
    data = b"".join(word.to_bytes(32, "big") for word in (ETH, ETH_PRICE - WAD, 0, now, OPEN))
    receipt = core.liquidator.absorb(account, [data], sender=KEEPER)
    assert receipt.event("PositionAbsorbed")["publishedAt"] == now
    assert receipt.event("Absorbed")["equity"] < 0


# --- what the caps count ---


@SIDES
@pytest.mark.parametrize("others", [0, -60, -100, -130])
def test_absorb__counts_what_makes_the_skew_grow(core: Core, set_equity: SetEquity, sign: int, others: int) -> None:
    """|k| grows where the others are on the side that the account is not; beyond any cap it is counted all the same."""
    rest = sign * others * WAD
    if rest:
        core.open(core.trader("other", 5_000_000), ETH, rest)
    account = bankrupt(core, set_equity, {ETH: sign * 100 * WAD})
    before, now = core.market.skew(ETH), core.evm.timestamp
    assert before == rest + sign * 100 * WAD
    core.liquidator.absorb(account, [], sender=KEEPER)
    grown = max(0, abs(rest) - abs(before))
    assert core.liquidator.counters(ETH) == ((now, grown, now // 3_600, grown) if grown else (0, 0, 0, 0))


def test_absorb__after_a_close_out_in_the_same_window__adds_up(core: Core, set_equity: SetEquity) -> None:
    core.open(core.trader("other", 5_000_000), ETH, -200 * WAD)
    sick = core.trader("sick", 5_000_000)
    core.open(sick, ETH, 10 * WAD)
    account = bankrupt(core, set_equity, {ETH: 100 * WAD}, -WAD)
    set_equity(sick, 100 * WAD)
    size = abs(core.liquidator.liquidate(sick, ETH, [], sender=KEEPER).event("Liquidated")["base"])
    core.liquidator.absorb(account, [], sender=KEEPER)
    now = core.evm.timestamp
    assert core.liquidator.counters(ETH) == (now, size + 100 * WAD, now // 3_600, 100 * WAD)


def test_absorb__at_a_price_that_is_old__counts_in_the_window_of_its_publication(
    core: Core, set_equity: SetEquity
) -> None:
    """LQ-03: also where it is too old for a close-out: what its record moved is of its window."""
    core.open(core.trader("other", 5_000_000), ETH, -200 * WAD)
    account = bankrupt(core, set_equity, {ETH: 100 * WAD, BTC: WAD})
    published = core.evm.timestamp
    core.evm.advance(40)
    core.record(BTC)
    set_equity(account, -WAD)
    core.liquidator.absorb(account, [], sender=KEEPER)
    assert core.liquidator.counters(ETH) == (published, 100 * WAD, core.evm.timestamp // 3_600, 100 * WAD)


def test_absorb__in_the_next_hour__counts_from_zero(core: Core, set_equity: SetEquity) -> None:
    core.open(core.trader("other", 5_000_000), ETH, -300 * WAD)
    first = core.trader("first", 5_000_000)
    core.open(first, ETH, 50 * WAD)
    second = bankrupt(core, set_equity, {ETH: 70 * WAD})
    core.tick(3_599 - core.evm.timestamp % 3_600)
    set_equity(first, 0)
    core.liquidator.absorb(first, [], sender=KEEPER)
    hour = core.evm.timestamp // 3_600
    assert core.liquidator.counters(ETH) == (core.evm.timestamp, 50 * WAD, hour, 50 * WAD)
    began = core.evm.timestamp
    core.tick(1)
    set_equity(second, 0)
    core.liquidator.absorb(second, [], sender=KEEPER)
    assert core.liquidator.counters(ETH) == (began, 120 * WAD, hour + 1, 70 * WAD)


# --- anything ---


@settings(max_examples=30)
@given(
    bases=st.tuples(*[st.integers(-2_000, 2_000).filter(lambda base: abs(base) > 10)] * 2),
    moves=st.tuples(*[st.integers(-1_500, 1_500)] * 2),
    equity=st.integers(-(10**24), 0),
    fund=st.integers(0, 10**6),
)
def test_absorb__any_bankrupt_account__nothing_remains_and_the_ledger_adds_up(
    bases: tuple[int, int], moves: tuple[int, int], equity: int, fund: int
) -> None:
    core = deploy_core(Evm())
    account, bystander = core.trader("trader", 5_000_000), core.trader("bystander", 50_000_000)
    for market, base in zip((ETH, BTC), bases, strict=True):
        core.open(account, market, base * WAD // (1 if market == ETH else 10))
    core.tick(2, {m: p * (10_000 + move) // 10_000 for (m, p), move in zip(core.prices.items(), moves, strict=True)})
    found, _ = core.market.healthOf(account)
    core.vault.post([(account, equity - found, 0, 0), (bystander, found - equity, 0, 0)], sender=core.pool)
    core.give_fund(fund)
    core.liquidator.absorb(account, [], sender=KEEPER)
    assert core.vault.balanceOf(account) == core.cash(account) >= 0
    assert core.cash(core.fund_main) >= 0
    for market in (ETH, BTC):
        assert core.market.position(account, market) == (0, 0, 0)
    core.check_sums()
