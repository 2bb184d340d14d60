"""Executing a market order in time: what it pays, what it leaves, and how much gas it takes."""

from __future__ import annotations

import pytest

from tests.support.core import (
    BTC,
    BTC_PRICE,
    DOUBTFUL,
    DOWN,
    ETH,
    ETH_PRICE,
    GRACE,
    KEEPER,
    MAX_PRICE,
    OPEN,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import ANYONE, Evm, Revert, reverts
from tests.unit.orders.reference import (
    DELAY,
    EXECUTION_FEE,
    FILLED,
    MIN_EXECUTION_GAS,
    QUEUED,
    fee_reserve,
    fill,
    hash_of,
    queue,
    reason_of,
    reserved,
    split,
    status,
)

KEEPER_ACCOUNT = account_id(KEEPER)
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["buy", "sell"])
REVERTING = bytes.fromhex("60006000fd")
"""revert(0, 0)"""


@SIDES
@pytest.mark.parametrize("confidence", [0, 2 * WAD])
def test_execute__market_order__events_and_resulting_state(core: Core, trader: int, sign: int, confidence: int) -> None:
    """OB-03: filled against the pool at its record, the fees paid, nothing left in reserve."""
    base = sign * 20 * WAD
    order = core.order(trader, ETH, base)
    core.place(order)
    kept = core.order_book.commitment(hash_of(core, order))
    core.evm.advance(DELAY)
    core.record(ETH, 3_010 * WAD, confidence)
    cash = core.cash(trader)

    receipt = core.execute(order)

    filled = fill(ETH, 0, base, 3_010 * WAD, confidence)
    assert receipt.event("OrderExecuted").args == {
        "hash": hash_of(core, order),
        "account": trader,
        "executor": KEEPER,
    }
    assert receipt.event("Traded").args == {
        "account": trader,
        "marketId": ETH,
        "base": base,
        "quote": filled.quote,
        "fillPrice": filled.price,
        "fee": filled.fee,
        "newBase": base,
        "newQuote": filled.quote,
    }
    after = core.order_book.commitment(hash_of(core, order))
    assert (kept.status, after.status) == (QUEUED, FILLED)
    assert tuple(kept)[1:] == tuple(after)[1:]
    assert queue(core, ETH) == (2, 2)
    assert core.market.position(trader, ETH) == (base, filled.quote, 0)
    assert core.cash(trader) == cash - filled.fee - EXECUTION_FEE
    assert reserved(core, trader) == 0
    assert core.cash(KEEPER_ACCOUNT) == EXECUTION_FEE
    insurance, treasury, pool = split(filled.fee)
    assert core.market.unsweptFees(ETH) == (insurance, treasury)
    assert core.market.position(core.pool_account(ETH), ETH) == (-base, pool - filled.quote, 0)
    assert core.market.openInterest(ETH) == ((base, 0) if sign > 0 else (0, -base))
    core.check_sums()


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_execute__with_other_tokens__keeper_can_take_his_fee(evm: Evm, decimals: int) -> None:
    core = deploy_core(evm, decimals=decimals)
    trader = core.trader("trader", 10_000)
    core.open(trader, ETH, 2 * WAD)
    assert core.vault.withdrawable(KEEPER_ACCOUNT) == EXECUTION_FEE // core.unit
    core.vault.withdraw(KEEPER_ACCOUNT, EXECUTION_FEE // core.unit, KEEPER, sender=KEEPER)
    assert core.token.balanceOf(KEEPER) * core.unit == EXECUTION_FEE
    core.check_sums()


@SIDES
def test_execute__skew_brought_back__pays_the_maker_fee_for_that_part(core: Core, trader: int, sign: int) -> None:
    core.open(core.trader("other", 100_000), ETH, -sign * 15 * WAD)
    order = core.order(trader, ETH, sign * 20 * WAD)
    core.place(order)
    event = core.settle(order).event("Traded")
    filled = fill(ETH, -sign * 15 * WAD, sign * 20 * WAD, ETH_PRICE)
    assert (event["fillPrice"], event["quote"], event["fee"]) == tuple(filled)


def test_execute__by_anyone__pays_the_caller(core: Core, trader: int) -> None:
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    core.tick(DELAY)
    assert core.execute(order, sender=ANYONE).event("OrderExecuted")["executor"] == ANYONE
    assert core.cash(account_id(ANYONE)) == EXECUTION_FEE
    core.check_sums()


def test_execute__by_the_owner__fee_returns_to_the_main_account(core: Core, trader: int) -> None:
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    core.tick(DELAY)
    cash = core.cash(trader)
    core.execute(order, sender=owner_of(trader))
    assert core.cash(trader) == cash - fill(ETH, 0, 2 * WAD, ETH_PRICE).fee
    core.check_sums()


def test_execute__other_orders_of_the_account__keep_their_reservation(core: Core, trader: int) -> None:
    first, second = core.order(trader, ETH, 2 * WAD), core.order(trader, BTC, WAD)
    for order in (first, second):
        core.place(order)
    core.settle(first)
    assert reserved(core, trader) == EXECUTION_FEE + fee_reserve(WAD, BTC_PRICE)


def test_execute__reduce_only_beyond_the_position__closes_it(core: Core, trader: int) -> None:
    core.open(trader, ETH, 2 * WAD)
    receipt = core.open(trader, ETH, -5 * WAD, reduce_only=True)
    assert (receipt.event("Traded")["base"], receipt.event("Traded")["newBase"]) == (-2 * WAD, 0)
    assert core.market.position(trader, ETH) == (0, 0, 0)
    assert reserved(core, trader) == 0
    core.check_sums()


@pytest.mark.parametrize("state", [OPEN, DOUBTFUL, GRACE, DOWN])
def test_execute__reduction__is_filled_in_every_state(core: Core, trader: int, state: int) -> None:
    core.open(trader, ETH, 2 * WAD)
    order = core.order(trader, ETH, -2 * WAD)
    core.place(order)
    core.tick(DELAY, state=state)
    core.execute(order).event("OrderExecuted")
    assert core.market.position(trader, ETH) == (0, 0, 0)


def test_execute__price_data__is_recorded_first(core: Core, trader: int) -> None:
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    core.evm.advance(DELAY)
    words = (ETH, 3_005 * WAD, 0, core.evm.timestamp, OPEN)
    data = b"".join(word.to_bytes(32, "big") for word in words)
    receipt = core.order_book.execute(order, [data], sender=KEEPER)
    assert receipt.event("Traded")["fillPrice"] == fill(ETH, 0, 2 * WAD, 3_005 * WAD).price


def test_execute__ether_that_no_oracle_takes__is_refused(core: Core, trader: int) -> None:
    """Ether goes to the oracle with the data, and nothing stays in the order book."""
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    core.tick(DELAY)
    core.evm.set_balance(KEEPER, 5)
    with reverts("MockPriceRecords_ValueUnused", 5):
        core.order_book.execute(order, [], sender=KEEPER, value=5)


# --- the acceptable price ---


@SIDES
@pytest.mark.parametrize("confidence", [0, WAD])
def test_execute__acceptable_price_exactly__is_filled_and_a_wei_worse_fails(
    core: Core, trader: int, sign: int, confidence: int
) -> None:
    """A buy pays at most, a sell gets at least: skew and confidence included."""
    price = fill(ETH, 0, sign * 2 * WAD, ETH_PRICE, confidence).price
    better = core.order(trader, ETH, sign * 2 * WAD, acceptable=price - sign)
    exact = core.order(trader, ETH, sign * 2 * WAD, acceptable=price)
    for order in (better, exact):
        core.place(order)
    core.evm.advance(DELAY)
    core.record(ETH, ETH_PRICE, confidence)
    assert reason_of(core.execute(better)) == ("PerpMarket_PriceNotAcceptable", price, price - sign)
    assert core.execute(exact).event("Traded")["fillPrice"] == price


# --- its turn ---


def test_execute__not_at_the_head__is_refused(core: Core, trader: int) -> None:
    """OB-03: in the order of the queue."""
    orders = [core.order(trader, ETH, 2 * WAD) for _ in range(3)]
    for order in orders:
        core.place(order)
    core.tick(DELAY)
    for sequence in (2, 3):
        with reverts("OrderBook_NotNext", sequence, 1):
            core.execute(orders[sequence - 1])
    core.execute(orders[0])
    with reverts("OrderBook_NotNext", 3, 2):
        core.execute(orders[2])
    core.execute(orders[1])
    core.execute(orders[2])
    assert queue(core, ETH) == (4, 4)
    assert core.market.position(trader, ETH)[0] == 6 * WAD


def test_execute__queues_of_two_markets__do_not_wait_for_each_other(core: Core, trader: int) -> None:
    core.place(core.order(trader, ETH, 2 * WAD))
    order = core.order(trader, BTC, WAD)
    core.place(order)
    core.tick(DELAY)
    core.execute(order).event("OrderExecuted")
    assert (queue(core, ETH), queue(core, BTC)) == ((2, 1), (2, 2))


def test_execute__never_placed_or_spent__is_unknown(core: Core, trader: int) -> None:
    order = core.order(trader, ETH, 2 * WAD)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.execute(order)
    core.place(order)
    core.settle(order)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.execute(order)


def test_execute__an_order_that_was_altered__is_unknown(core: Core, trader: int) -> None:
    """Whoever executes brings the order back: only the one that was committed to."""
    order = core.order(trader, ETH, 2 * WAD, acceptable=ETH_PRICE)
    core.place(order)
    core.tick(DELAY)
    for change in ({"acceptablePrice": MAX_PRICE}, {"base": 3 * WAD}, {"account": account_id(actor("other"))}):
        altered = {**order, **change}
        with reverts("OrderBook_UnknownOrder", hash_of(core, altered)):
            core.order_book.execute(altered, [], sender=KEEPER)
    assert status(core, order) == QUEUED


# --- gas, and failures of the machine ---


def test_execute__least_gas_that_is_taken__fills_the_order_and_one_less_is_refused(core: Core, trader: int) -> None:
    """OB-03: an order never fails for want of gas: the minimum that must be left suffices."""
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    core.tick(DELAY)

    def refusal(gas: int) -> Revert | None:
        with core.evm.isolated():
            try:
                core.order_book.execute(order, [], sender=KEEPER, gas=gas).event("OrderExecuted")
            except Revert as error:
                return error
        return None

    refused, enough = MIN_EXECUTION_GAS, 2 * MIN_EXECUTION_GAS
    while enough - refused > 1:
        gas = (refused + enough) // 2
        refused, enough = (refused, gas) if refusal(gas) is None else (gas, enough)
    error = refusal(refused)
    assert error is not None
    assert error.name == "OrderBook_TooLittleGas"
    left, required = error.values
    # read once for the check, which found a unit too little, and again for the error
    assert required == MIN_EXECUTION_GAS
    assert MIN_EXECUTION_GAS - 100 < left < MIN_EXECUTION_GAS
    assert status(core, order) == QUEUED


def test_execute__machine_fails__nothing_happens_to_the_order(core: Core, trader: int) -> None:
    """OB-03: only listed refusals end an order. One without data, as of a lack of gas, reverts the whole."""
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    core.tick(DELAY)
    code = core.evm.code(core.market)
    core.evm.set_code(core.market, REVERTING)
    with reverts(None):
        core.execute(order)
    with reverts(None):
        core.order_book.executeBatch([order], [], sender=KEEPER)
    core.evm.set_code(core.market, code)
    assert (status(core, order), queue(core, ETH)) == (QUEUED, (2, 1))
    core.execute(order).event("OrderExecuted")


def test_execute__refusal_that_is_not_listed__reverts_the_whole(core: Core, trader: int) -> None:
    """An error of the market that is none of its rules for orders, such as of its modules, ends nothing."""
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    core.tick(DELAY)
    code = core.evm.code(core.market)
    other = core.evm.deploy("PerpMarket", {**core.addresses, "orderBook": ANYONE})
    core.evm.set_code(core.market, core.evm.code(other))
    with reverts("PerpMarket_NotModule", core.order_book):
        core.execute(order)
    core.evm.set_code(core.market, code)
    assert (status(core, order), queue(core, ETH)) == (QUEUED, (2, 1))
