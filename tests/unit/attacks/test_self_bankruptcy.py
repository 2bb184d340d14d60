"""Attack 1, as far as the fill price stands against it: harvest the absorption of one's own bankrupt accounts."""

from __future__ import annotations

import pytest

from tests.support.core import ETH, ETH_PRICE, SCALES, WAD, deploy_core
from tests.support.evm import Evm
from tests.unit.attacks.reference import MALLORY, base_of, execute, main_account, place, wealth

PAIRS = 40
SIZE = base_of(1_250_000, ETH_PRICE)
MARGIN = 67_125


def fill_quote(skew: int, base: int, price: int) -> int:
    """What the account of a long gets for selling it to the pool: the fill price, rounded down."""
    twice = 2 * SCALES[ETH]
    return -base * (price * (twice + 2 * skew + base) // twice) // WAD


@pytest.mark.parametrize("gap_bps", [550, 650, 800, 1_000])
def test_self_bankruptcy__matched_accounts_and_a_gap__earn_the_debt_they_leave_and_no_more(
    evm: Evm, gap_bps: int
) -> None:
    """Forty longs matched with one's own forty shorts, $50m at 20x; a gap bankrupts the longs. In a draft the pool
    absorbed them at P and sold them back to the shorts 5 % below: $2.39m on $5.37m of margin. At the pool's fill price
    it sells back at what it bought at: absorbing and buying back cost the pool nothing, and what the attacker has more
    at the end is the debt that his longs left behind (limited liability), less fees. That debt holds the impact too,
    and is large ($1.3m at 5.5 %): bounding it is the business of the absorption cap and the zero price."""
    core = deploy_core(evm, markets=1, pool_dollars=60_000_000, fund_dollars=1_000_000)
    longs = [core.trader("mallory", MARGIN, index=index + 1) for index in range(PAIRS)]
    shorts = [core.trader("mallory", MARGIN, index=index + 1_001) for index in range(PAIRS)]
    mine = [main_account(core), *longs, *shorts]
    for long, short in zip(longs, shorts, strict=True):
        core.open(long, ETH, SIZE)
        core.open(short, ETH, -SIZE)
    assert core.market.skew(ETH) == 0
    price = ETH_PRICE * (10_000 - gap_bps) // 10_000
    core.tick(2, {ETH: price})
    before = wealth(core, mine)
    assert all(core.market.equity(long) < 0 for long in longs)

    debt = by_pool = absorbed = bought_back = fees = 0
    for number, long in enumerate(longs):
        receipt = core.liquidator.absorb(long, [], sender=MALLORY)
        fill = receipt.event("PositionAbsorbed")
        assert (fill["base"], fill["quote"]) == (-SIZE, fill_quote(-number * SIZE, -SIZE, price))
        covered = receipt.event("DebtCovered")
        absorbed, debt, by_pool = absorbed + fill["quote"], debt + covered["debt"], by_pool + covered["byPool"]
    for short in shorts:
        order = core.order(short, ETH, SIZE, reduce_only=True)
        place(core, order)
        core.tick(2)
        trade = execute(core, order).event("Traded")
        bought_back, fees = bought_back - trade["quote"], fees + trade["fee"]

    assert core.market.skew(ETH) == 0
    assert bought_back >= absorbed  # the pool lost nothing in between
    assert bought_back - absorbed <= 2 * PAIRS * (SIZE // WAD + 1)  # but for its roundings, path independent
    earned = wealth(core, mine) - before
    assert debt - fees - 100 * WAD <= earned <= debt - fees  # the rest is funding of the eighty seconds
    assert by_pool == max(0, debt - 1_000_000 * WAD)
    core.check_sums()
