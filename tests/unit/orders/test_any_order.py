"""Orders of whatever size at whatever price: the sums to the wei."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import ETH, ETH_PRICE, KEEPER, LIMIT_ORDER, MARKET_ORDER, WAD, account_id, deploy_core
from tests.support.evm import Evm
from tests.unit.orders.reference import EXECUTION_FEE, FILLED, fee_reserve, fill, queue, reserved, split, status

BASES = st.integers(10**18, 2_000 * 10**18) | st.integers(-2_000 * 10**18, -(10**18))


@settings(max_examples=60)
@given(
    base=BASES,
    crowd=st.just(0) | BASES,
    move_bps=st.integers(-3_000, 3_000),
    confidence=st.integers(0, 30 * 10**18),
    kind=st.sampled_from([MARKET_ORDER, LIMIT_ORDER]),
)
def test_execute__any_order__is_filled_as_the_sums_say(
    base: int, crowd: int, move_bps: int, confidence: int, kind: int
) -> None:
    """OB-01, OB-03: reserved at the price of placement, filled and charged at the record."""
    core = deploy_core(Evm())
    trader = core.trader("trader", 5_000_000)
    if crowd:
        core.open(core.trader("crowd", 5_000_000), ETH, crowd)
    order = core.order(trader, ETH, base, kind=kind)
    core.place(order)
    expected = EXECUTION_FEE + fee_reserve(base, ETH_PRICE) if kind == MARKET_ORDER else 0
    assert reserved(core, trader) == expected
    price = ETH_PRICE * (10_000 + move_bps) // 10_000
    core.evm.advance(2)
    core.record(ETH, price, confidence)
    keeper, fees = core.cash(account_id(KEEPER)), core.market.unsweptFees(ETH)
    _, quote, _ = core.market.position(core.pool_account(ETH), ETH)

    event = core.execute(order).event("Traded")

    filled = fill(ETH, crowd, base, price, confidence)
    assert (event["fillPrice"], event["quote"], event["fee"]) == tuple(filled)
    assert core.cash(trader) == 5_000_000 * WAD - filled.fee - EXECUTION_FEE
    assert core.cash(account_id(KEEPER)) == keeper + EXECUTION_FEE
    insurance, treasury, pool = split(filled.fee)
    assert core.market.unsweptFees(ETH) == (fees[0] + insurance, fees[1] + treasury)
    assert core.market.position(core.pool_account(ETH), ETH) == (-crowd - base, quote + pool - filled.quote, 0)
    assert (status(core, order), reserved(core, trader)) == (FILLED, 0)
    following, head = queue(core, ETH)
    assert following == head
    core.check_sums()
