"""Attack 1: harvest the absorption of one's own bankrupt accounts.

Forty longs matched with one's own forty shorts, $50m at 20x; a gap bankrupts the longs. In a draft the pool absorbed
them at P and sold them back to the shorts 5 % below: $2.39m on $5.37m of margin. Now the pool takes them at its fill
price, and no more than its caps; all the rest is closed against the shorts, who are his own, at the price that leaves
no debt. What he has more at the end is the debt of the part that the pool took (limited liability), less fees:

    gap      he would owe    all in one window    window after window, to the cap of an hour
    5.5 %    $0.13m          $2,200               $23,500
    6.5 %    $0.63m          $10,200              $73,400
    8 %      $1.38m          $22,200              $148,300
    10 %     $2.38m          $38,200              $248,000

Waiting is his only while nobody else absorbs: anyone may close all of it at once, which leaves him the first column.
The cap of an hour is seven windows: half a minute of them, where it was a minute and a half with CAP_SECONDS = 15. What
he has at the end is the same.
"""

from __future__ import annotations

import pytest

from tests.support.core import ETH, ETH_PRICE, SCALES, WAD, Core, deploy_core
from tests.support.evm import Evm, Receipt
from tests.unit.attacks.reference import MALLORY, base_of, execute, main_account, place, wealth

PAIRS = 40
CAP_SECONDS = 4
SIZE = base_of(1_250_000, ETH_PRICE)
MARGIN = 67_125
WINDOW_CAP = SCALES[ETH] * 8 // 10_000
HOUR_CAP = SCALES[ETH] * 50 // 10_000
EARNED = {550: (2_200, 23_500), 650: (10_200, 73_400), 800: (22_200, 148_300), 1_000: (38_200, 248_000)}
"""By gap in bps: at most, in dollars, in one window and window after window."""


def pairs(core: Core) -> tuple[list[int], list[int]]:
    """His longs and shorts, opened one against the other."""
    longs = [core.trader("mallory", MARGIN, index=index + 1) for index in range(PAIRS)]
    shorts = [core.trader("mallory", MARGIN, index=index + 1_001) for index in range(PAIRS)]
    for long, short in zip(longs, shorts, strict=True):
        core.open(long, ETH, SIZE)
        core.open(short, ETH, -SIZE)
    assert core.market.skew(ETH) == 0
    return longs, shorts


def buy_back(core: Core, shorts: list[int]) -> int:
    """Close what is left of the shorts; returns the fees."""
    fees = 0
    for short in shorts:
        base, _, _ = core.market.position(short, ETH)
        order = core.order(short, ETH, -base, reduce_only=True)
        place(core, order)
        core.tick(2)
        fees += execute(core, order).event("Traded")["fee"]
    return fees


@pytest.mark.parametrize("waits", [False, True], ids=["one_window", "an_hour"])
@pytest.mark.parametrize("gap_bps", [550, 650, 800, 1_000])
def test_self_bankruptcy__matched_accounts_and_a_gap__earn_the_debt_of_what_the_caps_allow(
    evm: Evm, gap_bps: int, waits: bool
) -> None:
    core = deploy_core(evm, markets=1, pool_dollars=60_000_000, fund_dollars=1_000_000)
    longs, shorts = pairs(core)
    mine = [main_account(core), *longs, *shorts]
    price = ETH_PRICE * (10_000 - gap_bps) // 10_000
    core.tick(3_600 - core.evm.timestamp % 3_600, {ETH: price})
    core.market.accrue(ETH)
    before = wealth(core, mine)
    assert all(core.market.equity(long) < 0 for long in longs)
    short_of = -sum(core.market.equity(long) for long in longs)

    taken = debt = 0
    receipts: list[Receipt] = []
    for long in longs:
        if waits and taken < HOUR_CAP:
            core.tick(CAP_SECONDS + 1)
        receipts.append(core.liquidator.absorb(long, [], sender=MALLORY))
        taken -= receipts[-1].event("PositionAbsorbed")["base"]
        debt += sum(event["debt"] for event in receipts[-1].events("DebtCovered"))
    assert taken == (HOUR_CAP if waits else WINDOW_CAP)
    against = [event for receipt in receipts for event in receipt.events("ClosedAgainstSide")]
    assert -sum(event["base"] for event in against) == PAIRS * SIZE - taken
    assert all(event["zeroPrice"] > price for event in against)
    fees = buy_back(core, shorts)
    assert abs(core.market.skew(ETH)) <= 10**6
    earned = wealth(core, mine) - before
    assert debt - fees - 10 * WAD <= earned <= debt - fees  # the rest is funding of the minutes
    most = EARNED[gap_bps][waits] * WAD
    assert most * 95 // 100 <= earned <= most < short_of // 4
    core.token.mint(core.vault, 1)  # dust may be negative in wei: shorts without an owner pay nothing
    assert abs(core.check_sums(2 * core.unit, 10**6) - core.unit) <= 10**9
