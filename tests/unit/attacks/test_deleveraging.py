"""Attack 5: deleveraging the light side, at K = 0, and again and again; in the accounting, where events are injected,
and by what anybody can call."""

from __future__ import annotations

import pytest

from tests.support.core import ETH, ETH_PRICE, WAD, Core, account_id, actor, deploy_core
from tests.support.evm import Evm, Receipt, reverts
from tests.unit.attacks.reference import base_of, main_account, wealth

RAY = 10**27
NINE_TENTHS = 9 * WAD // 10
MILLION = base_of(1_000_000, ETH_PRICE)


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, markets=1, pool_dollars=60_000_000, market_contract="PerpMarketHarness")


def deleverage(core: Core, is_long: bool, fraction: int) -> Receipt:
    receipt: Receipt = core.market.injectDeleveraging(ETH, is_long, fraction, core.prices[ETH])
    return receipt


def open_interest(core: Core, is_long: bool) -> int:
    long, short = core.market.openInterest(ETH)
    interest: int = long if is_long else short
    return interest


def check_sums(core: Core, events: int, price: int = ETH_PRICE) -> None:
    """As `Core.check_sums`, with the base that events leave ownerless and the dust that it is worth, of either sign."""
    total = bases = 0
    for account in core.known_accounts():
        base, quote, owed = core.market.position(account, ETH)
        bases += base
        total += core.cash(account) + quote - owed
    total += sum(core.market.unsweptFees(ETH))
    ownerless = events * (2 + 4 * len(core.accounts) + 2 * MILLION // 10**9)
    assert abs(bases) <= ownerless
    assert abs(core.token.balanceOf(core.vault) * core.unit - total) <= (ownerless + 1) * price // WAD * events + 10**6


@pytest.mark.parametrize("sign", [1, -1])
def test_deleveraging__nineteen_times_nine_tenths__neither_stops_nor_pays(core: Core, sign: int) -> None:
    """Nineteen events of nine tenths brought a draft's scale to zero, and the next settlement divided by it: every
    position of the side was locked in. The scale begins anew before, with an epoch; positions walk over it. He trades
    through all of them, in the hope of a base that is forgotten on one side only, and has what his position was
    worth at the price, less fees."""
    account, victim = main_account(core, 1_000_000), core.trader("victim", 1_000_000)
    core.open(account, ETH, sign * MILLION)
    core.open(victim, ETH, sign * MILLION)
    before = wealth(core, [account])
    for number in range(19):
        interest = open_interest(core, sign > 0)
        deleverage(core, sign > 0, NINE_TENTHS)
        assert open_interest(core, sign > 0) == interest - interest * NINE_TENTHS // WAD
        if number % 6 == 5:
            core.open(account, ETH, sign * WAD)  # settles in mid-way
    state = core.market.marketState(ETH)
    assert (state.longEpoch if sign > 0 else state.shortEpoch) >= 1
    assert (state.longK if sign > 0 else state.shortK) >= RAY // 10**9
    assert abs(core.market.position(victim, ETH)[0]) <= 1 + MILLION // 10**9
    assert wealth(core, [account]) <= before
    base, _, _ = core.market.position(account, ETH)
    if base:
        core.open(account, ETH, sign * WAD)
        core.close(account, ETH)
    core.open(victim, ETH, -sign * MILLION)  # neither is locked in
    assert wealth(core, [account]) <= before
    check_sums(core, 19)


@pytest.mark.parametrize("sign", [1, -1])
def test_deleveraging__of_all__closes_everyone_and_the_next_position_is_new(core: Core, sign: int) -> None:
    """f = 1 makes the scale zero at once. It ends the epoch: old positions are closed at the price, to the wei of their
    dust, and one opened afterwards starts at a scale of one and is untouched by what was before."""
    old, new = core.trader("victim", 1_000_000), main_account(core, 1_000_000)
    core.open(old, ETH, sign * MILLION)
    equity = core.market.equity(old)
    deleverage(core, sign > 0, WAD)
    state = core.market.marketState(ETH)
    assert (state.longK, state.shortK) == (RAY, RAY)
    assert (state.longEpoch, state.shortEpoch) == ((1, 0) if sign > 0 else (0, 1))
    assert open_interest(core, sign > 0) == 0
    assert core.market.position(old, ETH)[:2] == (0, 0)
    assert equity - 10**6 <= core.market.equity(old) <= equity

    before = wealth(core, [new])
    core.open(new, ETH, sign * MILLION)
    assert core.market.position(new, ETH)[0] == sign * MILLION
    assert wealth(core, [new]) < before
    core.close(new, ETH)
    assert wealth(core, [new]) < before
    check_sums(core, 1)


@pytest.mark.parametrize("sign", [1, -1])
def test_deleveraging__opened_just_after_or_closed_just_before__pays_nobodys_part(core: Core, sign: int) -> None:
    """He closes before the event and opens after it, so that others are reduced by his part too. The fraction is the
    same for every position that is there, at the price, which is worth nothing to avoid."""
    dodger, victim = main_account(core, 1_000_000), core.trader("victim", 1_000_000)
    core.open(dodger, ETH, sign * MILLION)
    core.open(victim, ETH, sign * MILLION)
    core.tick(1)
    before, equity = wealth(core, [dodger]), core.market.equity(victim)
    core.close(dodger, ETH)
    deleverage(core, sign > 0, WAD // 2)
    core.open(dodger, ETH, sign * MILLION)
    assert core.market.position(dodger, ETH)[0] == sign * MILLION
    assert abs(core.market.position(victim, ETH)[0] - sign * MILLION // 2) <= 1 + MILLION // 10**9
    assert equity - core.market.equity(victim) <= WAD  # funding of a few seconds
    assert wealth(core, [dodger]) < before  # two fees are more than what the event took off the premium
    check_sums(core, 1)


@pytest.mark.parametrize("sign", [1, -1])
def test_deleveraging__of_the_heavy_side__lowers_the_pools_exposure_and_of_the_light_side_raises_it(
    core: Core, sign: int
) -> None:
    """A draft reduced whichever side was named: cutting the light side raises the exposure that the event is for. The
    accounting moves the skew by exactly what is cut, so that the heavy side only can lower it; no account of the light
    side is touched by it, the attacker's neither."""
    heavy, light = core.trader("victim", 1_000_000), main_account(core, 1_000_000)
    core.open(heavy, ETH, sign * 2 * MILLION)
    core.open(light, ETH, -sign * MILLION)
    skew = core.market.skew(ETH)
    position, before = core.market.position(light, ETH), wealth(core, [light])
    with core.evm.isolated():
        deleverage(core, sign < 0, WAD // 4)
        assert abs(core.market.skew(ETH)) == abs(skew) + MILLION // 4
    deleverage(core, sign > 0, WAD // 4)
    assert core.market.skew(ETH) == skew - sign * (2 * MILLION // 4)
    assert core.market.position(light, ETH) == position
    assert wealth(core, [light]) == before
    check_sums(core, 1)


# --- as anybody may call it ---


def leave_capital(core: Core, wanted: int) -> None:
    """The pool's capital is `wanted`: a bystander has the rest."""
    bystander = core.track(account_id(actor("bystander")))
    core.market.accrue(ETH)
    change = wanted - core.market.poolCapital(ETH)[0]
    core.vault.post([(core.pool_account(ETH), change, 0, 0), (bystander, -change, 0, 0)], sender=core.pool)


@pytest.mark.parametrize("sign", [1, -1])
def test_deleverage__whoever_calls_and_whenever__never_closes_the_light_side(core: Core, sign: int) -> None:
    """He is on the heavy side and wants the others' closed, or is on the light side and wants out at the index without
    an impact. No call names a side: it is the heavy one, as long as it is, and not at all when neither is."""
    heavy, light = core.trader("victim", 1_000_000), main_account(core, 1_000_000)
    core.fund_account(account_id(actor("bystander")), 1_000_000)
    core.open(heavy, ETH, sign * 2 * MILLION)
    core.open(light, ETH, -sign * MILLION)
    core.tick(1)
    for capital in (300_000, 1_000, 10, -10, -10_000):
        position = core.market.position(light, ETH)
        skew = abs(core.market.skew(ETH))
        leave_capital(core, capital * WAD)
        event = core.liquidator.deleverage(ETH, [], sender=actor("mallory")).event("Deleveraged")
        assert event["isLong"] == (sign > 0)
        assert abs(core.market.skew(ETH)) < skew
        assert core.market.position(light, ETH) == position
        with reverts("Liquidator_NothingDue", ETH):
            core.liquidator.deleverage(ETH, [], sender=actor("mallory"))
        if abs(core.market.skew(ETH)) * ETH_PRICE < WAD * WAD:
            break
    assert abs(core.market.skew(ETH)) * ETH_PRICE // WAD <= WAD
    leave_capital(core, -1_000_000 * WAD)
    with reverts("Liquidator_NothingDue", ETH):
        core.liquidator.deleverage(ETH, [], sender=actor("mallory"))
    check_sums(core, 5)


@pytest.mark.parametrize("sign", [1, -1])
def test_deleverage__nineteen_times_nine_tenths__neither_stops_nor_pays(core: Core, sign: int) -> None:
    """As above by the rule: the pool's capital falls by nine tenths each time, until the side is worth a dollar. The
    scale begins anew on the way where it has to, and who was there all the time is settled through all of it."""
    account, victim = main_account(core, 1_000_000), core.trader("victim", 1_000_000)
    core.open(account, ETH, sign * MILLION)
    core.open(victim, ETH, sign * MILLION)
    core.fund_account(account_id(actor("bystander")), 1_000_000)
    core.tick(1)
    core.market.accrue(ETH)
    before = [core.market.equity(each) for each in (account, victim)]
    events = 0
    for number in range(19):
        leave_capital(core, max(1, 1_000_000 * WAD // 10 ** (number + 1) // 2))
        if abs(core.market.skew(ETH)) * ETH_PRICE <= 2 * WAD * WAD:
            with reverts("Liquidator_NothingDue", ETH):
                core.liquidator.deleverage(ETH, [])
            break
        fraction = core.liquidator.deleverage(ETH, []).event("Deleveraged")["fraction"]
        assert WAD * 89 // 100 <= fraction <= WAD
        events += 1
    assert events >= 6
    after = [core.market.equity(each) for each in (account, victim)]
    assert all(abs(a - b) <= 10**9 for a, b in zip(before, after, strict=True))
    state = core.market.marketState(ETH)
    assert (state.longK if sign > 0 else state.shortK) >= RAY // 10**9
    check_sums(core, events)
