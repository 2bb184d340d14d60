"""Close-out: who, how much, at what cost, and what becomes of account, keeper, fund and pool."""

from __future__ import annotations

import pytest

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
from tests.support.evm import Evm, reverts
from tests.unit.liquidation.conftest import SetEquity, Weaken
from tests.unit.liquidation.reference import close_out, holding

KEEPER_ACCOUNT = account_id(KEEPER)
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])


@pytest.fixture
def trader(core: Core) -> int:
    """Long 100 ETH."""
    account = core.trader("trader", 1_000_000)
    core.open(account, ETH, 100 * WAD)
    return account


def test_liquidate__partly__event_and_resulting_state(core: Core, trader: int, weaken: Weaken) -> None:
    """LQ-01: a chunk goes to the pool, its cost is split between keeper and insurance fund."""
    core.tick(3, {ETH: 2_990 * WAD})
    core.track(KEEPER_ACCOUNT)
    weaken(trader, WAD * 95 // 100)
    h = holding(core, trader, ETH)
    expected = close_out(h)
    assert 0 < expected.size < h.size
    pool = core.market.position(core.pool_account(ETH), ETH)
    keeper, fees = core.cash(KEEPER_ACCOUNT), core.market.unsweptFees(ETH)

    receipt = core.liquidator.liquidate(trader, ETH, [], sender=KEEPER)

    rest = h.base + expected.base
    quote = h.quote - h.freed_quote(expected.size)
    assert receipt.event("Liquidated").args == {
        "account": trader,
        "marketId": ETH,
        "keeper": KEEPER,
        "base": expected.base,
        "quote": expected.quote,
        "healthPrice": h.price,
        "publishedAt": core.evm.timestamp,
        "equity": h.equity,
        "maintenance": h.maintenance,
        "cost": expected.cost,
        "reward": expected.reward,
        "topUp": 0,
    }
    assert receipt.event("Filled").args == {
        "account": trader,
        "marketId": ETH,
        "counter": core.pool_account(ETH),
        "base": expected.base,
        "quote": expected.quote,
        "newBase": rest,
        "newQuote": quote,
    }
    assert core.market.position(trader, ETH) == (rest, quote, 0)
    assert core.cash(trader) == h.cash + h.freed_quote(expected.size) + expected.quote - expected.cost
    assert core.cash(KEEPER_ACCOUNT) == keeper + expected.reward
    assert core.cash(core.fund_main) == expected.cost - expected.reward
    assert core.market.position(core.pool_account(ETH), ETH) == (-rest, pool[1] - expected.quote, 0)
    assert core.market.openInterest(ETH) == (rest, 0)
    assert core.market.unsweptFees(ETH) == fees
    assert core.liquidator.counters(ETH) == (
        core.evm.timestamp,
        expected.size,
        core.evm.timestamp // 3_600,
        0,
    )
    assert not receipt.events("DebtCovered")
    core.check_sums()


@SIDES
@pytest.mark.parametrize("health", [99, 90, 70, 50, 30, 10, 1])
@pytest.mark.parametrize("confidence_bps", [0, 20, 60])
def test_liquidate__at_any_health__closes_what_the_sums_say(
    core: Core, weaken: Weaken, sign: int, health: int, confidence_bps: int
) -> None:
    """LQ-01: the account is never left sicker than it was."""
    account = core.trader("trader", 1_000_000)
    core.open(account, ETH, sign * 100 * WAD)
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE - sign * 20 * WAD, ETH_PRICE * confidence_bps // 10_000)
    weaken(account, WAD * health // 100)
    h = holding(core, account, ETH)
    expected = close_out(h)

    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")

    assert (event["base"], event["quote"]) == (expected.base, expected.quote)
    assert (event["healthPrice"], event["equity"], event["maintenance"]) == (h.price, h.equity, h.maintenance)
    assert (event["cost"], event["reward"], event["topUp"]) == (expected.cost, expected.reward, 0)
    after = holding(core, account, ETH)
    assert after.base == h.base + expected.base
    assert after.equity * h.maintenance >= h.equity * after.maintenance
    assert after.base == 0 or after.equity >= after.maintenance
    core.check_sums()


@pytest.mark.parametrize("decimals", [6, 8, 18])
@SIDES
def test_liquidate__with_other_tokens__the_same_to_the_wei(evm: Evm, decimals: int, sign: int) -> None:
    core = deploy_core(evm, decimals=decimals)
    account = core.trader("trader", 20_000)
    core.open(account, ETH, sign * 100 * WAD)
    core.tick(1, {ETH: ETH_PRICE - sign * 110 * WAD})
    h = holding(core, account, ETH)
    expected = close_out(h)
    assert 0 < h.equity < h.maintenance
    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert (event["base"], event["cost"], event["reward"]) == (expected.base, expected.cost, expected.reward)
    core.check_sums()
    reward = core.vault.withdrawable(KEEPER_ACCOUNT)
    assert reward == (expected.reward + WAD // 2) // 10 ** (18 - decimals)
    core.vault.withdraw(KEEPER_ACCOUNT, reward, KEEPER, sender=KEEPER)
    assert core.token.balanceOf(KEEPER) == reward
    core.check_sums()


def test_liquidate__isolated_account__in_its_own_market(core: Core, weaken: Weaken) -> None:
    account = core.trader("trader", 1_000_000, isolated_market=ETH, index=7)
    core.open(account, ETH, -50 * WAD)
    weaken(account, WAD // 2)
    h = holding(core, account, ETH)
    core.liquidator.liquidate(account, ETH, [], sender=KEEPER)
    assert core.market.position(account, ETH)[0] == h.base + close_out(h).base


def test_liquidate__one_of_two_markets__other_position_untouched(core: Core, trader: int, weaken: Weaken) -> None:
    """Health is the whole account's; whoever liquidates chooses the market."""
    core.open(trader, BTC, -4 * WAD)
    core.tick(2)
    weaken(trader, WAD * 9 // 10)
    h, other = holding(core, trader, BTC), core.market.position(trader, ETH)
    expected = close_out(h)
    event = core.liquidator.liquidate(trader, BTC, [], sender=KEEPER).event("Liquidated")
    assert (event["base"], event["quote"]) == (expected.base, expected.quote)
    assert (event["cost"], event["reward"]) == (expected.cost, expected.reward)
    assert core.market.position(trader, ETH) == other
    assert core.market.position(trader, BTC)[0] == h.base + expected.base
    core.check_sums()


# --- health: who may be liquidated ---


@SIDES
@pytest.mark.parametrize("confidence", [0, 5 * WAD, 30 * WAD])
def test_liquidate__equity_equal_to_maintenance__is_healthy(
    core: Core, set_equity: SetEquity, sign: int, confidence: int
) -> None:
    """LQ-01: h = 1 exactly is healthy, one wei of equity less is not."""
    account = core.trader("trader", 1_000_000)
    core.open(account, ETH, sign * 100 * WAD)
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE, confidence)
    required = holding(core, account, ETH).maintenance
    for equity in (required + 1, required):
        set_equity(account, equity)
        assert not core.liquidator.isLiquidatable(account)
        assert core.liquidator.health(account) == equity * WAD // required >= WAD
        with reverts("Liquidator_Healthy", account, equity, required):
            core.liquidator.liquidate(account, ETH, [], sender=KEEPER)
    set_equity(account, required - 1)
    assert core.liquidator.isLiquidatable(account)
    assert core.liquidator.health(account) == WAD - 1
    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert (event["equity"], event["maintenance"]) == (required - 1, required)


def test_liquidate__equity_of_one_wei__closes_and_of_none_is_bankrupt(
    core: Core, trader: int, set_equity: SetEquity
) -> None:
    """LQ-01: h ≤ 0 is for absorb."""
    for equity in (-1, 0):
        set_equity(trader, equity)
        with reverts("Liquidator_Bankrupt", trader, equity):
            core.liquidator.liquidate(trader, ETH, [], sender=KEEPER)
    set_equity(trader, 1)
    h = holding(core, trader, ETH)
    expected = close_out(h)
    event = core.liquidator.liquidate(trader, ETH, [], sender=KEEPER).event("Liquidated")
    assert (event["equity"], event["base"], event["cost"]) == (1, -100 * WAD, expected.cost)
    assert core.cash(trader) == 1 - h.loss(h.size) - expected.cost


def test_liquidate__without_a_position__is_refused(core: Core, trader: int, weaken: Weaken) -> None:
    weaken(trader, WAD // 2)
    with reverts("Liquidator_NoPosition", trader, BTC):
        core.liquidator.liquidate(trader, BTC, [], sender=KEEPER)
    nobody = core.trader("nobody")
    with reverts("Liquidator_NoPosition", nobody, ETH):
        core.liquidator.liquidate(nobody, ETH, [], sender=KEEPER)


def test_liquidate__of_the_pools_account__is_refused(core: Core, trader: int) -> None:
    """The pool's position is not stored: it has none to liquidate."""
    pool = core.pool_account(ETH)
    assert core.market.position(pool, ETH)[0] == -100 * WAD
    with reverts("Liquidator_NoPosition", pool, ETH):
        core.liquidator.liquidate(pool, ETH, [], sender=KEEPER)


@pytest.mark.parametrize("market", [0, 3])
def test_liquidate__unlisted_market__is_refused(core: Core, trader: int, market: int) -> None:
    with reverts("PerpMarket_NotListed", market):
        core.liquidator.liquidate(trader, market, [], sender=KEEPER)


# --- the price ---


@pytest.mark.parametrize("state", [OPEN, DOUBTFUL])
def test_liquidate__open_or_doubtful_price__is_allowed(core: Core, trader: int, weaken: Weaken, state: int) -> None:
    core.tick(1, state=state)
    weaken(trader, WAD // 2)
    assert core.liquidator.liquidate(trader, ETH, [], sender=KEEPER).event("Liquidated")["account"] == trader


@pytest.mark.parametrize("state", [GRACE, DOWN])
def test_liquidate__grace_or_down__is_refused(core: Core, trader: int, weaken: Weaken, state: int) -> None:
    core.tick(1, state=state)
    weaken(trader, WAD // 2)
    with reverts("Liquidator_PriceUnusable", ETH, core.evm.timestamp, state):
        core.liquidator.liquidate(trader, ETH, [], sender=KEEPER)


def test_liquidate__price_at_its_greatest_age__is_allowed(core: Core, trader: int, weaken: Weaken) -> None:
    """A record of maxPriceAge = 15 seconds is fresh, one a second older is not."""
    core.tick(1)
    published = core.evm.timestamp
    core.evm.advance(16)
    weaken(trader, WAD // 2)
    with reverts("Liquidator_PriceUnusable", ETH, published, OPEN):
        core.liquidator.liquidate(trader, ETH, [], sender=KEEPER)
    core.evm.advance(-1)
    weaken(trader, WAD // 2)
    event = core.liquidator.liquidate(trader, ETH, [], sender=KEEPER).event("Liquidated")
    assert event["publishedAt"] == published


def test_liquidate__price_data__is_recorded_first(core: Core, trader: int, set_equity: SetEquity) -> None:
    core.evm.advance(1)
    now = core.evm.timestamp
    required = holding(core, trader, ETH).maintenance
    set_equity(trader, required + 100 * WAD)
    with reverts("Liquidator_Healthy", trader, required + 100 * WAD, required):
        core.liquidator.liquidate(trader, ETH, [], sender=KEEPER)
    words = (ETH, 2_980 * WAD, 0, now, OPEN)
    data = b"".join(word.to_bytes(32, "big") for word in words)
    event = core.liquidator.liquidate(trader, ETH, [data], sender=KEEPER).event("Liquidated")
    assert (event["healthPrice"], event["publishedAt"]) == (2_980 * WAD, now)


def test_liquidate__ether_that_no_oracle_takes__is_refused(core: Core, trader: int, weaken: Weaken) -> None:
    """Ether goes to the oracle with the data, and nothing stays in the liquidator."""
    weaken(trader, WAD // 2)
    core.evm.set_balance(KEEPER, 5)
    with reverts("MockPriceRecords_ValueUnused", 5):
        core.liquidator.liquidate(trader, ETH, [], sender=KEEPER, value=5)
