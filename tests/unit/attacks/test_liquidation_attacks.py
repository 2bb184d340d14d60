"""Attacks 14, 15, 20 and 24: rewards, take-overs and the cap of close-outs turned to one's own use."""

from __future__ import annotations

import pytest

from tests.support.core import (
    BTC,
    BTC_PRICE,
    ETH,
    ETH_PARAMS,
    ETH_PRICE,
    KEEPER,
    RISK,
    SCALES,
    WAD,
    account_id,
    actor,
    deploy_core,
)
from tests.support.evm import Evm, known, reverts
from tests.unit.attacks.reference import MALLORY, base_of, crowd, execute, main_account, place, wealth

CAP = SCALES[ETH] * 8 // 10_000
CAP_SECONDS = 4
TAKER = 6


def fee_of(quote: int) -> int:
    return -(-abs(quote) * TAKER // 10_000)


# --- 14: farming rewards ---


@pytest.mark.parametrize("fall_bps", [200, 300, 400, 480])
def test_farming__tiny_matched_pairs__cost_more_than_their_rewards(evm: Evm, fall_bps: int) -> None:
    """Pairs of a long and a short of the least size, which together risk nothing, are opened at full leverage; the one
    the price turns against is liquidated by its owner for keeperMin, of which a draft paid more than the account was
    charged. Initial margin holds the cost of a liquidation, and the reward comes out of that: it is his own money, of
    which the insurance fund keeps the most, and opening and closing cost fees. (Within the last dollar of equity it is
    not: there the fund tops the reward up to keeperMin.)"""
    core = deploy_core(evm, markets=1, pool_dollars=60_000_000, fund_dollars=100_000)
    base = base_of(1_000, ETH_PRICE) + 1
    longs = [core.trader("mallory", 52, index=index + 1) for index in range(10)]
    shorts = [core.trader("mallory", 53, index=index + 101) for index in range(10)]
    mine = [main_account(core, 100), *longs, *shorts]
    before = wealth(core, mine)
    for accounts, size in ((longs, base), (shorts, -base)):
        for account in accounts:
            order = core.order(account, ETH, size)
            place(core, order)
            core.tick(2)
            execute(core, order)
    core.tick(2, {ETH: ETH_PRICE * (10_000 - fall_bps) // 10_000})
    for account in longs:
        event = core.liquidator.liquidate(account, ETH, [], sender=MALLORY).event("Liquidated")
        assert event["reward"] >= 2 * WAD
        assert event["topUp"] == 0
    for account in shorts:
        order = core.order(account, ETH, base, reduce_only=True)
        place(core, order)
        core.tick(2)
        execute(core, order)
    assert [core.market.position(account, ETH)[0] for account in mine] == [0] * len(mine)
    assert wealth(core, mine) < before - 10 * WAD  # a dollar a pair at least
    core.check_sums()


def test_farming__many_chunks_out_of_one_account__pay_out_of_what_each_is_charged(evm: Evm) -> None:
    """The window is kept nearly full, so that an account is closed out in chunk after chunk of the least size, each for
    keeperMin. The chunk has at least the minimum position, whose penalty is more than the reward."""
    core = deploy_core(evm, markets=1, pool_dollars=60_000_000, fund_dollars=100_000)
    account = core.trader("mallory", 55_000, index=1)
    mine = [main_account(core, 100), account]
    core.open(account, ETH, base_of(1_000_000, ETH_PRICE))
    victims = crowd(core, 2, balanced=True)
    core.tick(2, {ETH: ETH_PRICE * 97 // 100})
    before = wealth(core, mine)
    for _ in range(4):
        for victim in victims:
            if core.liquidator.isLiquidatable(victim):
                core.liquidator.liquidate(victim, ETH, [], sender=KEEPER)
                break
        event = core.liquidator.liquidate(account, ETH, [], sender=MALLORY).event("Liquidated")
        assert event["reward"] < event["cost"]
        core.tick(CAP_SECONDS + 1)
        if not core.liquidator.isLiquidatable(account):
            break
    core.track(account_id(KEEPER))
    assert wealth(core, mine) < before
    core.check_sums()


def test_farming__size_below_the_minimum__is_refused(evm: Evm) -> None:
    """Smaller accounts than that, whose penalty would not cover keeperMin, can't be opened."""
    core = deploy_core(evm, markets=1)
    account = main_account(core, 1_000)
    receipt = core.try_open(account, ETH, base_of(999, ETH_PRICE))
    held = base_of(999, ETH_PRICE) * ETH_PRICE // WAD
    reason = receipt.event("OrderFailed")["reason"]
    assert known().registry.decode_error(reason) == ("PerpMarket_BelowMinimumPosition", (held, 1_000 * WAD))
    assert core.market.position(account, ETH) == (0, 0, 0)
    core.track(account_id(KEEPER))
    core.check_sums()


# --- 15: take-over across markets ---


@pytest.mark.parametrize("percent", [20, 60, 100])
@pytest.mark.parametrize("market", [BTC, 3])
def test_take_over__of_the_safer_part__leaves_the_rest_no_sicker(evm: Evm, market: int, percent: int) -> None:
    """BTC at 1.75 % maintenance and an altcoin at 10 % in one account of health 0.57. A draft's discount went by the
    account's health alone: the BTC part was a bargain, and the account left sicker (0.5 → 0.44), for the next one to
    finish. The discount is at most health times the maintenance released, so that health doesn't fall."""
    core = deploy_core(evm, fund_dollars=100_000)
    core.set_params(BTC, imBaseBps=292, imSlopeBps=0, maxSkewBps=150)
    alt_price = 10 * WAD
    alt = core.list_market(alt_price, 10**9 * WAD, {**ETH_PARAMS, "imBaseBps": 1_667, "imSlopeBps": 0})
    core.pool.setWeights([3_000, 3_000, 4_000], sender=RISK)
    core.post(core.pool_account(alt), 10**7 * WAD)
    account = core.trader("victim", 36_500)
    core.open(account, BTC, base_of(500_000, BTC_PRICE))
    core.open(account, alt, base_of(100_000, alt_price))
    core.tick(2, {alt: alt_price * 7_500 // 10_000})
    taker = main_account(core, 1_000_000)

    equity, maintenance = core.market.healthOf(account)
    assert 0.5 < equity / maintenance < 0.6
    base, _, _ = core.market.position(account, market)
    taken = base * percent // 100
    before = wealth(core, [taker])
    event = core.liquidator.takeOver(account, market, taken, taker, b"", [], sender=MALLORY).event("TakenOver")
    notional = -(-taken * core.prices[market] // WAD)
    after, required = core.market.healthOf(account)
    released = maintenance - required
    by_health = (maintenance - equity) * notional * 500 // (maintenance * 10_000)
    by_maintenance = equity * released // maintenance
    assert event["discount"] == min(by_health, by_maintenance)
    assert (by_maintenance < by_health) == (market == BTC)  # what a draft gave for the safer part was more
    assert after * maintenance >= (equity - 3) * required
    assert event["fee"] == fee_of(notional - event["discount"])
    assert abs(wealth(core, [taker]) - before - event["discount"] + event["fee"]) <= 3
    core.check_sums()


# --- 20: window starvation ---


def test_starvation__cap_filled_with_ones_own_accounts__costs_and_holds_up_nobody_for_long(evm: Evm) -> None:
    """Fill the cap of the close-outs with small liquidations of one's own, so that others aren't closed out while their
    debt grows: free of cost in a draft, for as long as one liked. Filling it costs the penalties, less the keeper's
    share; it lasts until the window ends, five seconds, so that a minute of it costs $47,000 (with CAP_SECONDS = 15 it
    was $15,000); and take-overs and absorptions aren't bound by it at all."""
    core = deploy_core(evm, markets=1, pool_dollars=60_000_000, fund_dollars=1_000_000)
    own = [core.trader("mallory", 2_800, index=index + 1) for index in range(17)]
    mine = [main_account(core, 100), *own]
    core.open(core.trader("bystander", 1_000_000, index=99), ETH, -base_of(850_000, ETH_PRICE))
    for account in own:
        core.open(account, ETH, base_of(50_000, ETH_PRICE))
    victim, other = crowd(core, 2, balanced=True)
    taker = core.trader("taker", 1_000_000)
    core.tick(2, {ETH: ETH_PRICE * 952 // 1_000})
    before = wealth(core, mine)
    began, moved, cost, reward = core.evm.timestamp, 0, 0, 0
    for account in own:
        if CAP - moved < base_of(1_000, core.prices[ETH]):
            break
        event = core.liquidator.liquidate(account, ETH, [], sender=MALLORY).event("Liquidated")
        moved, cost, reward = moved - event["base"], cost + event["cost"], reward + event["reward"]
    assert wealth(core, mine) < before - (cost - reward)  # the rest of what he lost is impact
    assert cost - reward > 3_900 * WAD
    assert moved > CAP - base_of(1_000, core.prices[ETH])

    with reverts("Liquidator_CapReached", ETH, began + CAP_SECONDS + 1, CAP - moved):
        core.liquidator.liquidate(victim, ETH, [], sender=KEEPER)
    half = core.market.position(victim, ETH)[0] // 2
    core.liquidator.takeOver(victim, ETH, half, taker, b"", [], sender=actor("taker")).event("TakenOver")
    with core.evm.isolated():
        core.evm.advance(1)
        core.oracle.record(ETH, ETH_PRICE * 94 // 100, 0, core.evm.timestamp, 0)
        core.liquidator.absorb(other, [], sender=KEEPER).event("Absorbed")
    core.tick(CAP_SECONDS + 1)
    core.liquidator.liquidate(other, ETH, [], sender=KEEPER).event("Liquidated")
    core.track(account_id(KEEPER))
    core.check_sums()


# --- 24: free close by take-over ---


@pytest.mark.parametrize("sign", [1, -1])
def test_free_close__own_accounts_netted_by_take_over__pay_the_taker_fee(evm: Evm, sign: int) -> None:
    """Two large opposite positions of one owner: closing them against the pool costs two fees and the impact, until he
    lets the one become liquidatable and takes it over into the other, where they net, for nothing in a draft. The taker
    pays the taker fee on what he takes; discount and loss are his own on either side."""
    core = deploy_core(evm, markets=1, pool_dollars=60_000_000, fund_dollars=100_000)
    base = sign * base_of(1_000_000, ETH_PRICE)
    weak, strong = core.trader("mallory", 53_000, index=1), core.trader("mallory", 1_000_000, index=2)
    core.open(weak, ETH, base)
    core.open(strong, ETH, -base)
    mine = [main_account(core), weak, strong]
    core.tick(2, {ETH: ETH_PRICE * (100 - 3 * sign) // 100})
    before, unswept, pool = (
        wealth(core, mine),
        sum(core.market.unsweptFees(ETH)),
        core.market.position(core.pool_account(ETH), ETH),
    )
    event = core.liquidator.takeOver(weak, ETH, base, strong, b"", [], sender=MALLORY).event("TakenOver")
    assert core.market.position(weak, ETH) == core.market.position(strong, ETH) == (0, 0, 0)
    assert event["fee"] == fee_of(event["quote"]) > 550 * WAD
    assert before - wealth(core, mine) == event["fee"]
    to_others = event["fee"] * 2_000 // 10_000 + event["fee"] * 1_000 // 10_000
    assert sum(core.market.unsweptFees(ETH)) - unswept == to_others
    assert core.market.position(core.pool_account(ETH), ETH)[1] - pool[1] == event["fee"] - to_others
    core.check_sums()


def test_free_close__of_a_strangers_position__earns_the_discount_less_the_fee(evm: Evm) -> None:
    """A short nets against a stranger's liquidatable long: the taker fee is due for a reduction too."""
    core = deploy_core(evm, markets=1, pool_dollars=60_000_000, fund_dollars=100_000)
    base = base_of(1_000_000, ETH_PRICE)
    victim, taker = core.trader("victim", 53_000), main_account(core, 1_000_000)
    core.open(victim, ETH, base)
    core.open(taker, ETH, -base)
    core.tick(2, {ETH: ETH_PRICE * 98 // 100})
    before = wealth(core, [taker])
    event = core.liquidator.takeOver(victim, ETH, base, taker, b"", [], sender=MALLORY).event("TakenOver")
    assert event["fee"] == fee_of(event["quote"])
    assert abs(wealth(core, [taker]) - before - event["discount"] + event["fee"]) <= 3
    core.check_sums()
