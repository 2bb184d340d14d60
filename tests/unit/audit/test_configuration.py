"""Fees that a change of sides skipped, and changes of parameters that reached into the past."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk.config import MarketParams
from plimsoll.risk.funding import flow
from tests.support.core import ETH, ETH_PARAMS, ETH_PRICE, ORDER_CONFIG, RISK, SCALES, WAD, Core
from tests.support.evm import reverts
from tests.unit.audit import reference
from tests.unit.audit.steps import fall, liquidate

RAY = 10**27
DAY = 86_400
RAMP = 3 * DAY
EXECUTION_FEE = int(ORDER_CONFIG["executionFee"])
QUIET = {"maxFundingVelocity": 0, "rateAtKinkBps": 0, "rateAtFullBps": 0}


# ----------------------------------------------------------------------------------------------------------------- fees


@pytest.mark.parametrize(
    ("skew", "held", "base"),
    [(0, 2, -5), (0, -2, 5), (7, 2, -20), (-7, -2, 20), (20, -2, 5), (-20, 2, -5)],
    ids=["alone", "alone short", "over zero", "over zero short", "toward zero then away", "short as well"],
)
def test_fees__fill_that_flips_position_and_skew__are_paid_on_all_of_it(
    calm: Core, skew: int, held: int, base: int
) -> None:
    """Elsewhere a flip was charged for its net change, or as a close, so that going through zero was the cheap way to
    trade. Here the fee is on the whole fill: the maker's for what brings the skew to zero, the taker's for the rest.
    """
    if skew:
        calm.open(calm.trader("other", 500_000), ETH, skew * WAD)
    trader = calm.trader("trader", 500_000)
    calm.open(trader, ETH, held * WAD)
    before = calm.market.unsweptFees(ETH)
    traded = calm.open(trader, ETH, base * WAD).event("Traded")
    fill = reference.fill(ETH, (skew + held) * WAD, base * WAD, ETH_PRICE)
    toward = min(abs(base), abs(skew + held)) if (skew + held) * base < 0 else 0
    paid = reference.ceil_div(abs(fill.quote) * (toward * 2 + (abs(base) - toward) * 6), abs(base) * 10_000)
    assert (traded["quote"], traded["fee"], traded["newBase"]) == (fill.quote, paid, (held + base) * WAD)
    insurance, treasury, _ = reference.split(ETH, paid)
    assert calm.market.unsweptFees(ETH) == (before[0] + insurance, before[1] + treasury)
    calm.check_sums()


def test_fees__flipping_or_closing_and_opening__cost_the_same(calm: Core) -> None:
    """As above, as a choice: one flip costs what a close and an opening at the same price cost, but for the second
    execution fee and the millionths of a fee by which the fill prices differ.
    """
    trader = calm.trader("trader", 100_000)
    calm.open(trader, ETH, 3 * WAD)
    with calm.evm.isolated():
        one = calm.open(trader, ETH, -8 * WAD).event("Traded")
        flipped = calm.market.equity(trader)
    two = [calm.open(trader, ETH, base * WAD).event("Traded") for base in (-3, -5)]
    fees = sum(fill["fee"] for fill in two)
    # the maker's part is charged on the average price of the fill, which 8 ETH move by less than this
    assert abs(fees - one["fee"]) <= one["fee"] * 8 * WAD // SCALES[ETH]
    assert abs(flipped - calm.market.equity(trader) - (fees - one["fee"]) - EXECUTION_FEE) <= 20
    calm.check_sums()


# -------------------------------------------------------------------------------------------------------------- accrual


@pytest.mark.parametrize(
    "changes",
    [
        {"maxFundingVelocity": 10 * WAD, "maxFundingRate": WAD},
        {"maxFundingVelocity": 0, "maxFundingRate": 0},
        {"kinkBps": 1, "rateAtKinkBps": 900, "rateAtFullBps": 1_000},
        {"exposureBps": 1, "maxSkewBps": 1},
    ],
    ids=["faster", "none", "dearer", "tighter"],
)
def test_configuration__changed_after_a_day_untouched__leaves_that_day_as_it_was(
    core: Core, changes: dict[str, Any]
) -> None:
    """Elsewhere a new rate was charged for the time before it too, since nobody had poked the market first. Here a
    change accrues at the old parameters: what is owed at that second is what it was, and what the old ones give.
    """
    trader = core.trader("trader", 2_000_000)
    core.open(trader, ETH, 2_000 * WAD)
    start = core.market.marketState(ETH)
    core.tick(DAY)
    before = core.market.position(trader, ETH)
    capital = core.cash(core.pool_account(ETH)) + start.poolQuote - 2_000 * ETH_PRICE
    limit = min(capital, SCALES[ETH] * ETH_PRICE * ETH_PARAMS["maxSkewBps"] // (10_000 * WAD))
    params = MarketParams(rate_at_kink_bps=ETH_PARAMS["rateAtKinkBps"], rate_at_full_bps=ETH_PARAMS["rateAtFullBps"])
    due = flow(params, SCALES[ETH], (2_000 * WAD, 0), (RAY, RAY), 0, ETH_PRICE, limit, DAY)
    assert before[2] == reference.ceil_div(2_000 * WAD * due.long, RAY)

    receipt = core.configurator.setParams(ETH, {**ETH_PARAMS, **changes}, sender=RISK)
    assert core.market.position(trader, ETH) == before
    ceiling = changes.get("maxFundingRate", ETH_PARAMS["maxFundingRate"])
    assert receipt.event("Accrued").args == {
        "marketId": ETH,
        "rate": due.rate,
        "longG": due.long,
        "shortG": due.short,
        "poolQuote": start.poolQuote + due.pool_quote,
    }
    assert core.market.fundingRate(ETH) == min(due.rate, ceiling)
    core.check_sums()


# ---------------------------------------------------------------------------------------------------------- liquidation

STRICTER = [
    {"imBaseBps": 2_000},
    {"imSlopeBps": 1_000_000},
    {"penaltyBps": 160, "minPositionUsd": 50_000},
    {"keeperMinCents": 10_000, "minPositionUsd": 100_000},
    {"mmFractionBps": 7_000},
    {"minPositionUsd": 1_000_000},
    {"maxSkewBps": 1, "openInterestBps": 0, "exposureBps": 0},
    {"makerBps": 100, "takerBps": 100},
    {"isolatedOnly": True},
    {"imBaseBps": 2_000, "imSlopeBps": 1_000_000, "penaltyBps": 300, "keeperMinCents": 10_000, "minPositionUsd": 10**6},
]


@pytest.mark.parametrize("changes", STRICTER, ids=lambda changes: "+".join(changes))
def test_configuration__made_stricter__liquidates_nobody(calm: Core, changes: dict[str, Any]) -> None:
    """Elsewhere a vote raised the maintenance margin, and accounts that had kept every rule were liquidated in the
    next block. Here only the fraction rises, over three days; all else binds new positions, and whoever was safe by a
    dollar is safe by that dollar after it.
    """
    account, required = _on_the_edge(calm)
    equity = calm.market.healthOf(account)[0]
    calm.set_params(ETH, **{**QUIET, **changes})
    assert calm.market.healthOf(account) == (equity, required)
    with reverts("Liquidator_Healthy", account, equity, required):
        liquidate(calm, account)
    if "mmFractionBps" not in changes:
        calm.tick(RAMP)
        assert calm.market.healthOf(account) == (equity, required)
    calm.check_sums()


def test_configuration__higher_fraction__takes_three_days(calm: Core) -> None:
    """As above, for the one parameter that does reach existing accounts: time to add margin or to close."""
    account, required = _on_the_edge(calm)
    equity = calm.market.healthOf(account)[0]
    start = calm.evm.timestamp
    calm.set_params(ETH, mmFractionBps=7_000, **QUIET)
    for passed in (DAY, 2 * DAY, RAMP, RAMP + DAY):
        calm.tick(start + passed - calm.evm.timestamp)
        millis = 6_000 * 10_000 + 1_000 * 10_000 * min(passed, RAMP) // RAMP
        notional = 60 * 2_935 * WAD
        share = 425 * 10**14 + reference.ceil_div(60 * WAD * 10**18, SCALES[ETH])
        needed = reference.ceil_div(reference.ceil_div(notional * share, WAD) * millis, 10**8)
        needed += reference.penalty(ETH, notional)
        assert calm.market.healthOf(account) == (equity, needed)
        assert needed > required
    calm.check_sums()


def _on_the_edge(core: Core) -> tuple[int, int]:
    """60 ETH long, at 2,935 above its maintenance by less than a dollar; with that maintenance."""
    account = core.trader("trader", 10_000)
    core.open(account, ETH, 60 * WAD)
    fall(core, 2_935)
    required = reference.maintenance(ETH, 60 * WAD, 2_935 * WAD)
    spare = core.market.healthOf(account)[0] - required
    core.vault.post([(account, -(spare // WAD * WAD), 0, 0)], sender=core.pool)
    core.token.burn(core.vault, spare // WAD * WAD // core.unit)
    assert 0 <= core.market.healthOf(account)[0] - required < WAD
    return account, required
