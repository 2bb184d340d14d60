"""Attack 16: push the skew, liquidate others against it, buy back: at one record, within one window of the cap."""

from __future__ import annotations

import pytest

from tests.support.core import ETH, ETH_PARAMS, ETH_PRICE, SCALES, WAD, Core, deploy_core
from tests.support.evm import Evm, Revert, reverts
from tests.unit.attacks.reference import MALLORY, base_of, crowd, execute, main_account, place, wealth

CRASHED = ETH_PRICE * 97 // 100
CAP = SCALES[ETH] * (ETH_PARAMS["makerBps"] + ETH_PARAMS["takerBps"]) // 10_000
CAP_SECONDS = 4
PUSH_DOLLARS = 20_000_000


@pytest.fixture
def core(evm: Evm) -> Core:
    """A pool and a fund that can bear the push and the crash."""
    return deploy_core(evm, markets=1, pool_dollars=60_000_000, fund_dollars=5_000_000)


def liquidate_all(core: Core, victims: list[int]) -> tuple[int, int]:
    """Close out whom the cap allows, as the attacker. Returns the base closed and his rewards."""
    closed = rewards = 0
    for victim in victims:
        try:
            event = core.liquidator.liquidate(victim, ETH, [], sender=MALLORY).event("Liquidated")
        except Revert as refusal:
            if refusal.name != "Liquidator_CapReached":
                raise
            break
        closed, rewards = closed - event["base"], rewards + event["reward"]
    return closed, rewards


def push_and_liquidate(core: Core, victims: list[int], account: int) -> tuple[int, int]:
    """The attack, all at one record. Returns what the push earned, and the keeper's rewards beside it."""
    before = wealth(core, [account])
    push = base_of(PUSH_DOLLARS, CRASHED)
    sell, buy = core.order(account, ETH, -push), core.order(account, ETH, push, reduce_only=True)
    place(core, sell)
    place(core, buy)
    core.tick(2, {ETH: CRASHED})
    execute(core, sell)
    closed, rewards = liquidate_all(core, victims)
    assert CAP - base_of(1_000, CRASHED) <= closed <= CAP  # all that the record allows was moved
    execute(core, buy)
    assert core.market.position(account, ETH)[0] == 0
    return wealth(core, [account]) - before - rewards, rewards


@pytest.mark.parametrize("millions", [5, 10, 20])
def test_moving_the_mark__at_one_record_from_a_flat_skew__earns_at_most_200_dollars(core: Core, millions: int) -> None:
    """Sell $20m, so that the victims' close-outs fill deep below the index, and buy back below what one sold at: $48k,
    $121k and $184k in a draft. What a record's close-outs may move the skew by is the maker and taker fee of the scale:
    on the $16,000 that this moves $20m by there are $16,000 of fees, less a discount (they are on the pushed prices).
    The push also costs the keeper more in rewards than that: he had better just liquidate."""
    victims = crowd(core, millions, balanced=True)
    account = main_account(core, PUSH_DOLLARS)
    with core.evm.isolated():
        core.tick(2, {ETH: CRASHED})
        _, honest = liquidate_all(core, victims)
        core.record(ETH, ETH_PRICE, published_at=core.evm.timestamp + 1)
    earned, rewards = push_and_liquidate(core, victims, account)
    assert earned <= 200 * WAD
    assert earned + rewards <= honest
    core.check_sums()


@pytest.mark.parametrize("millions", [5, 10, 20])
def test_moving_the_mark__through_a_flat_skew__saves_no_more_than_the_fees_differ_by(core: Core, millions: int) -> None:
    """The same where the victims are the skew: the push crosses zero, and what was closed out meanwhile is bought back
    at the maker's fee where selling it would have cost the taker's. That is up to (taker − maker) × cap more, $310."""
    victims = crowd(core, millions, balanced=False)
    account = main_account(core, PUSH_DOLLARS)
    earned, _ = push_and_liquidate(core, victims, account)
    saved = CAP * CRASHED // WAD * (ETH_PARAMS["takerBps"] - ETH_PARAMS["makerBps"]) // 10_000
    assert earned <= 200 * WAD + saved
    core.check_sums()


def test_moving_the_mark__next_record_in_the_same_window__moves_nothing_more(core: Core) -> None:
    """Records come every second in a crash; with a cap for each the push would be paid once and earn many times."""
    victims = crowd(core, 5, balanced=True)
    main_account(core)
    core.tick(2, {ETH: CRASHED})
    closed, _ = liquidate_all(core, victims)
    began = core.evm.timestamp
    for _ in range(CAP_SECONDS):
        core.tick(1)
        with reverts("Liquidator_CapReached", ETH, began + CAP_SECONDS + 1, CAP - closed):
            core.liquidator.liquidate(victims[-1], ETH, [], sender=MALLORY)
    core.tick(1)
    core.liquidator.liquidate(victims[-1], ETH, [], sender=MALLORY).event("Liquidated")
    core.check_sums()


def test_moving_the_mark__one_record_used_in_two_windows__has_one_cap(core: Core) -> None:
    """A record lives for fifteen seconds, three windows, and a draft's windows were of the time of use: one published
    at the end of a window was good for its cap and, a second later, for the next one's, at one price, which is what the
    push is paid once for. Windows are of the time of publication: a record is in one of them however late it is used.
    """
    first, *victims = crowd(core, 6, balanced=True)
    main_account(core)
    core.tick(2, {ETH: CRASHED})
    began = core.evm.timestamp
    opening = -core.liquidator.liquidate(first, ETH, [], sender=MALLORY).event("Liquidated")["base"]
    core.evm.advance(CAP_SECONDS - 1)
    core.record(ETH)  # lives from here to 15 seconds on: into what would be the next three windows
    newest, moved = core.oracle.newest(ETH), opening
    for wait in (1, 1, 10, 3):  # its last second is the last of these
        core.evm.advance(wait)
        moved += liquidate_all(core, [victim for victim in victims if core.liquidator.isLiquidatable(victim)])[0]
    assert core.oracle.newest(ETH) == newest
    assert CAP - base_of(1_000, CRASHED) <= moved <= CAP
    assert core.liquidator.counters(ETH)[:2] == (began, moved)
    with reverts("Liquidator_CapReached", ETH, began + CAP_SECONDS + 1, CAP - moved):
        core.liquidator.liquidate(victims[-1], ETH, [], sender=MALLORY)
    core.check_sums()


@pytest.mark.parametrize("windows", [2, 3])
def test_moving_the_mark__orders_that_nobody_else_executes__earn_a_cap_for_each_further_window(
    core: Core, windows: int
) -> None:
    """An order settles at its own record's price however late it is executed. Where nobody executes the one that buys
    back, a push is held over windows without risk of the index, and each one after the first earns cap × push / scale,
    $16,000 of $20m. The executor has to be away for 5 seconds a window; with CAP_SECONDS = 15 it was 16. Anyone may
    execute the order, and is paid for it: then it is one window, and earns nothing."""
    victims = crowd(core, 5, balanced=True)
    account = main_account(core, PUSH_DOLLARS)
    before = wealth(core, [account])
    push = base_of(PUSH_DOLLARS, CRASHED)
    sell, buy = core.order(account, ETH, -push), core.order(account, ETH, push, reduce_only=True)
    place(core, sell)
    place(core, buy)
    core.tick(2, {ETH: CRASHED})
    execute(core, sell)
    rewards = 0
    for window in range(windows):
        if window:
            core.tick(CAP_SECONDS + 1)
        closed, paid = liquidate_all(core, [victim for victim in victims if core.liquidator.isLiquidatable(victim)])
        assert CAP - base_of(1_000, CRASHED) <= closed <= CAP
        rewards += paid
    execute(core, buy)
    assert core.market.position(account, ETH)[0] == 0
    step = PUSH_DOLLARS * (ETH_PARAMS["makerBps"] + ETH_PARAMS["takerBps"]) // 10_000
    earned = wealth(core, [account]) - before - rewards
    assert abs(earned - (windows - 1) * step * WAD) <= 200 * WAD
    core.check_sums()


@pytest.mark.parametrize("sign", [1, -1])
def test_moving_the_mark__as_far_as_it_goes__makes_nobody_unhealthy(core: Core, sign: int) -> None:
    """Health is at the index: a victim just above his maintenance margin stands to the wei as he stood, however far
    the mark was pushed, and is refused to the keeper."""
    victim = core.trader("victim", 52_600)
    base = sign * base_of(1_000_000, ETH_PRICE)
    core.open(victim, ETH, base)
    core.tick(1, {ETH: ETH_PRICE * (1_000 - 16 * sign) // 1_000})
    standing = core.market.healthOf(victim)
    assert standing[1] <= standing[0] < standing[1] * 11 // 10
    sell = core.order(main_account(core, PUSH_DOLLARS), ETH, -sign * base_of(PUSH_DOLLARS, ETH_PRICE))
    place(core, sell)
    core.tick(2)
    now_standing = core.market.healthOf(victim)
    index, mark = core.prices[ETH], core.market.markPrice(ETH)
    execute(core, sell)
    assert abs(core.market.markPrice(ETH) - mark) * 100 > index  # the mark moved by more than 1 %
    assert core.market.healthOf(victim) == now_standing
    with reverts("Liquidator_Healthy", victim, *now_standing):
        core.liquidator.liquidate(victim, ETH, [], sender=MALLORY)
    core.check_sums()
