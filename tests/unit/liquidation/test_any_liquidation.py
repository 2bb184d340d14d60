"""Close-outs and take-overs of whatever account: the sums to the wei, and what must hold of any of them."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import BTC, ETH, ETH_PRICE, KEEPER, WAD, Core, actor, deploy_core
from tests.support.evm import Evm, Revert
from tests.unit.liquidation.reference import close_out, close_size, holding, take_over


@dataclass(frozen=True)
class Case:
    """A position in ETH, one in BTC (0 for none) and the rest of the market; WAD, bps and seconds."""

    base: int
    other: int
    crowd: int
    move_bps: int
    confidence_bps: int
    health: int
    seconds: int


def sizes(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least * 10**18, most * 10**18)


CASES = st.builds(
    Case,
    base=sizes(1, 1_500) | sizes(-1_500, -1),
    other=st.just(0) | sizes(1, 30),
    crowd=st.just(0) | sizes(1, 2_000) | sizes(-2_000, -1),
    move_bps=st.integers(-1_500, 1_500),
    confidence_bps=st.integers(0, 150),
    health=st.integers(1, 10**18 - 1),
    seconds=st.integers(1, 86_400),
)


def build(case: Case) -> tuple[Core, int]:
    """The core, and the account whose health is as near as can be to the case's."""
    core = deploy_core(Evm())
    account, bystander = core.trader("trader", 5_000_000), core.trader("bystander", 50_000_000)
    if case.crowd:
        core.open(core.trader("crowd", 5_000_000), ETH, case.crowd)
    core.open(account, ETH, case.base)
    if case.other:
        core.open(account, BTC, case.other)
    core.evm.advance(case.seconds)
    price = ETH_PRICE * (10_000 + case.move_bps) // 10_000
    core.record(ETH, price, price * case.confidence_bps // 10_000)
    core.record(BTC)
    equity, required = core.market.healthOf(account)
    change = max(1, required * case.health // WAD) - equity
    core.vault.post([(account, change, 0, 0), (bystander, -change, 0, 0)], sender=core.pool)
    return core, account


@settings(max_examples=40)
@given(case=CASES)
def test_liquidate__any_account__as_the_sums_say_and_never_sicker(case: Case) -> None:
    """LQ-01: at most one cap a window; the account bears at most what leaves it as healthy, unless nothing remains."""
    core, account = build(case)
    h = holding(core, account, ETH)
    expected = close_out(h)
    try:
        event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    except Revert as refusal:
        assert (refusal.name, close_size(h, h.cap)) == ("Liquidator_CapReached", 0)  # noqa: PT017
        return
    assert (event["base"], event["quote"], event["cost"], event["reward"]) == expected[1:5]
    assert (event["equity"], event["maintenance"]) == (h.equity, h.maintenance)
    assert expected.size <= h.cap
    after = holding(core, account, ETH)
    if h.loss(expected.size) * h.maintenance <= h.equity * h.released(expected.size):
        # what was closed could bear its own impact
        assert after.equity * h.maintenance >= h.equity * after.maintenance
    else:
        assert expected.cost == 0
    assert after.base or case.other or core.cash(account) >= 0
    core.check_sums(dust_bound=10**9)


@settings(max_examples=40)
@given(case=CASES, share_bps=st.integers(1, 10_000))
def test_takeOver__any_account__as_the_sums_say_and_never_sicker(case: Case, share_bps: int) -> None:
    """LQ-02: what remains is never less healthy."""
    core, account = build(case)
    h = holding(core, account, ETH)
    minimum = h.terms.minimum_base(h.price)
    size = max(minimum + 1, h.size * share_bps // 10_000)
    size = size if h.size - size >= minimum else h.size
    base = size if h.base > 0 else -size
    if size * h.terms.price // WAD < h.terms.min_position:
        return
    taker = core.trader("taker", 5_000_000)
    expected = take_over(h, base)
    cash = core.cash(taker)
    event = core.liquidator.takeOver(account, ETH, base, taker, b"", [], sender=actor("taker")).event("TakenOver")
    assert (event["quote"], event["discount"], event["fee"]) == tuple(expected)
    assert core.market.position(taker, ETH) == (base, -expected.quote, 0)
    assert core.cash(taker) == cash - expected.fee
    after = holding(core, account, ETH)
    assert after.equity * h.maintenance >= h.equity * after.maintenance
    assert after.base or case.other or core.cash(account) >= 0
    core.check_sums(dust_bound=10**9)
