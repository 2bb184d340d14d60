"""Orders as options, and keepers who earn without filling."""

from __future__ import annotations

import pytest

from tests.support.core import (
    ETH,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    ORDER_CONFIG,
    WAD,
    Core,
    account_id,
    actor,
)
from tests.support.evm import Contract, Halt, Method, Revert, known, reverts
from tests.unit.audit import reference
from tests.unit.audit.steps import absorb

EXECUTION_FEE = int(ORDER_CONFIG["executionFee"])
DELAY, WINDOW = int(ORDER_CONFIG["settlementDelay"]), int(ORDER_CONFIG["settlementWindow"])
QUEUED, WAITING = 1, 2


def price_data(core: Core, *records: tuple[int, int]) -> list[bytes]:
    """Signed prices as the mock oracle takes them: (price, publishedAt)."""
    return [
        b"".join(value.to_bytes(32, "big") for value in (ETH, price, 0, published_at, 0))
        for price, published_at in records
    ]


def hash_of(core: Core, order: dict[str, object]) -> bytes:
    hash_: bytes = core.order_book.hashOf(order)
    return hash_


# ------------------------------------------------------------------------------------------------------------- options


def test_option__order_that_failed__is_over_and_paid_for(calm: Core) -> None:
    """Elsewhere a failed execution left the order as it was, so that its owner made it fail by moving his money, until
    a price came that he liked. Here a refusal by a rule ends it, at the one price it could ever have had, and costs the
    execution fee and what was set aside.
    """
    trader = calm.trader("trader", 1_000)
    order = calm.order(trader, ETH, 10 * WAD)
    calm.place(order)
    reserve = reference.ceil_div(10 * ETH_PRICE * 6, 10_000)
    owner = actor("trader")
    everything = (1_000 * WAD - EXECUTION_FEE - reserve) // calm.unit
    calm.vault.withdraw(trader, everything, owner, sender=owner)  # once a worse price is known
    failed = calm.settle(order, 2_990 * WAD).event("OrderFailed")
    assert (failed["paid"], failed["forfeited"]) == (EXECUTION_FEE, reserve)
    calm.fund_account(trader, 10_000)
    calm.tick(1, {ETH: 2_900 * WAD})
    hash_ = hash_of(calm, order)
    with reverts("OrderBook_UnknownOrder", hash_):
        calm.execute(order)
    with reverts("OrderBook_AlreadyUsed", hash_):
        calm.place(order)
    assert calm.cash(calm.fund_main) == reserve
    calm.check_sums()


@pytest.mark.parametrize("seconds", [0, 1, DELAY, DELAY + 1, 100])
def test_option__queued_order__can_not_be_called_off(calm: Core, seconds: int) -> None:
    """Elsewhere an order could be cancelled once its price was known. Here a market order is bound from its placement
    to its end, however long that takes."""
    trader = calm.trader("trader", 10_000)
    order = calm.order(trader, ETH, WAD)
    calm.place(order)
    calm.tick(seconds, {ETH: 2_900 * WAD})
    with reverts("OrderBook_NotCancellable", hash_of(calm, order)):
        calm.order_book.cancel(order, sender=actor("trader"))
    calm.check_sums()


def test_option__executed_late__has_the_price_of_its_time(calm: Core) -> None:
    """Elsewhere whoever executed chose when, and with that the price. Here the first record at or after T is the price,
    whether it is executed at once or fifty records later; and nothing without a record, which ends void.
    """
    trader = calm.trader("trader", 10_000)
    order = calm.order(trader, ETH, WAD)
    calm.place(order)
    calm.tick(DELAY, {ETH: 3_010 * WAD})
    for second in range(50):
        calm.tick(1, {ETH: (3_100 + second) * WAD})
    fill = reference.fill(ETH, 0, WAD, 3_010 * WAD)
    traded = calm.execute(order).event("Traded")
    assert (traded["fillPrice"], traded["quote"]) == (fill.price, fill.quote)
    calm.check_sums()


def test_option__order_without_a_record_in_its_window__is_void_at_no_price(calm: Core) -> None:
    """As above: a record that comes too late is no price, so that a silent oracle makes no option either."""
    trader = calm.trader("trader", 10_000)
    order = calm.order(trader, ETH, WAD)
    calm.place(order)
    calm.tick(DELAY + WINDOW + 1, {ETH: 2_800 * WAD})
    voided = calm.execute(order).event("OrderVoided")
    assert voided.args == {
        "hash": hash_of(calm, order),
        "account": trader,
        "executor": KEEPER,
        "paid": EXECUTION_FEE,
    }
    assert calm.market.position(trader, ETH) == (0, 0, 0)
    assert calm.cash(trader) == 10_000 * WAD - EXECUTION_FEE
    calm.check_sums()


# ----------------------------------------------------------------------------------------------- two prices at a time


def test_two_prices__recorded_in_one_transaction__market_orders_take_the_first(calm: Core) -> None:
    """Elsewhere an executor recorded a low price, bought, recorded a high one and sold, all in one transaction. Here
    both orders, bound before either was known, settle at the first record; the second changes nothing for them.
    """
    trader = calm.trader("trader", 100_000)
    orders = [calm.order(trader, ETH, base) for base in (10 * WAD, -10 * WAD)]
    for order in orders:
        calm.place(order)
    calm.evm.advance(DELAY + 1)
    now = calm.evm.timestamp
    data = price_data(calm, (2_990 * WAD, now - 1), (3_090 * WAD, now))
    calm.track(account_id(KEEPER))
    receipt = calm.order_book.executeBatch(orders, data, sender=KEEPER)
    fills = receipt.events("Traded")
    expected = [reference.fill(ETH, skew, base, 2_990 * WAD) for skew, base in ((0, 10 * WAD), (10 * WAD, -10 * WAD))]
    assert [(fill["fillPrice"], fill["quote"]) for fill in fills] == expected
    fees = sum(fill["fee"] for fill in fills)
    assert calm.cash(trader) == 100_000 * WAD - fees - 2 * EXECUTION_FEE + sum(fill.quote for fill in expected)
    assert -20 <= sum(fill.quote for fill in expected) <= 0
    calm.check_sums()


def test_two_prices__limit_orders_in_one_transaction__take_the_last(calm: Core) -> None:
    """As above for limit orders, which take the newest record: a buy and a sell of one transaction meet at one price,
    and the lower one, recorded before it in that transaction, is nobody's.
    """
    trader = calm.trader("trader", 100_000)
    orders = [calm.order(trader, ETH, base, kind=LIMIT_ORDER) for base in (10 * WAD, -10 * WAD)]
    for order in orders:
        calm.place(order)
    calm.evm.advance(DELAY + 1)
    now = calm.evm.timestamp
    data = price_data(calm, (2_990 * WAD, now - 1), (3_090 * WAD, now))
    calm.track(account_id(KEEPER))
    fills = calm.order_book.executeBatch(orders, data, sender=KEEPER).events("Traded")
    expected = [reference.fill(ETH, skew, base, 3_090 * WAD) for skew, base in ((0, 10 * WAD), (10 * WAD, -10 * WAD))]
    assert [(fill["fillPrice"], fill["quote"]) for fill in fills] == expected
    calm.check_sums()


def test_two_prices__limit_orders_at_two_records_of_one_transaction__are_refused(calm: Core) -> None:
    """As above with a multicall, which executes between two records: a buy at the lower and a sell at the higher one,
    both known, in and out at once, earned the pool's money by as much as the two records differ, in a draft without any
    risk. Here all that waits in a market is filled at one record of a transaction.
    """
    trader = calm.trader("trader", 100_000)
    buy, sell = (calm.order(trader, ETH, base, kind=LIMIT_ORDER) for base in (10 * WAD, -10 * WAD))
    for order in (buy, sell):
        calm.place(order)
    calm.evm.advance(DELAY + 1)
    now, book = calm.evm.timestamp, calm.order_book
    [low], [high] = price_data(calm, (2_990 * WAD, now - 1)), price_data(calm, (3_090 * WAD, now))
    with reverts("OrderBook_SecondPrice", ETH):
        book.multicall([book.execute.encode(buy, [low]), book.execute.encode(sell, [high])], sender=KEEPER)
    calls = [book.executeBatch.encode([buy], [low]), book.executeBatch.encode([sell], [high])]
    calm.track(account_id(KEEPER))
    receipt = book.multicall(calls, sender=KEEPER)
    assert receipt.event("Traded")["fillPrice"] == reference.fill(ETH, 0, 10 * WAD, 2_990 * WAD).price
    skipped = receipt.event("OrderSkipped")
    assert skipped["hash"] == hash_of(calm, sell)
    assert known().registry.decode_error(skipped["reason"]) == ("OrderBook_SecondPrice", (ETH,))
    assert calm.order_book.commitment(hash_of(calm, sell)).status == WAITING
    calm.execute(sell).event("OrderExecuted")  # a transaction of its own
    calm.check_sums()


def test_two_prices__limit_order_and_market_order__each_has_its_own(calm: Core) -> None:
    """Queued orders are bound to records that nobody chose, and bind no other: a batch of both goes on."""
    trader = calm.trader("trader", 100_000)
    queued, waiting = calm.order(trader, ETH, 10 * WAD), calm.order(trader, ETH, 5 * WAD, kind=LIMIT_ORDER)
    for order in (queued, waiting):
        calm.place(order)
    calm.tick(DELAY, {ETH: 2_990 * WAD})
    calm.tick(1, {ETH: 3_090 * WAD})
    calm.track(account_id(KEEPER))
    fills = calm.order_book.executeBatch([queued, waiting], [], sender=KEEPER).events("Traded")
    assert [fill["fillPrice"] for fill in fills] == [
        reference.fill(ETH, 0, 10 * WAD, 2_990 * WAD).price,
        reference.fill(ETH, 10 * WAD, 5 * WAD, 3_090 * WAD).price,
    ]
    calm.check_sums()


# -------------------------------------------------------------------------------------------------------------- keepers


def test_keeper__who_gives_too_little_gas__fails_no_order(calm: Core) -> None:
    """Elsewhere a keeper gave an execution so little gas that the trade inside failed, the order was cancelled, and he
    kept the fee. Here any amount of gas either fills the order or changes nothing at all.
    """
    trader = calm.trader("trader", 10_000)
    order = calm.order(trader, ETH, WAD)
    calm.place(order)
    calm.tick(DELAY)
    outcomes = []
    for gas in range(30_000, 640_000, 7_919):
        with calm.evm.isolated():
            try:
                receipt = calm.order_book.execute(order, [], sender=KEEPER, gas=gas)
            except (Halt, Revert, ValueError):
                outcomes.append("nothing")
                assert calm.order_book.commitment(hash_of(calm, order)).status == QUEUED
                assert calm.cash(account_id(KEEPER)) == 0
            else:
                receipt.event("OrderExecuted")
                outcomes.append("filled")
    assert outcomes == sorted(outcomes, reverse=True)
    assert set(outcomes) == {"nothing", "filled"}
    calm.execute(order).event("OrderExecuted")
    calm.check_sums()


@pytest.mark.parametrize("fails", [False, True])
def test_keeper__whose_order_fails__earns_what_a_fill_earns(calm: Core, fails: bool) -> None:
    """Elsewhere a failure paid the keeper more than a fill: the whole of what was set aside. Here both pay the
    execution fee, and what is forfeited is the fund's.
    """
    trader = calm.trader("trader", 1_000)
    base = 10 * WAD if fails else WAD
    receipt = calm.try_open(trader, ETH, base)
    assert len(receipt.events("OrderFailed")) == fails
    assert calm.cash(account_id(KEEPER)) == EXECUTION_FEE
    if fails:
        assert calm.cash(calm.fund_main) == reference.ceil_div(10 * ETH_PRICE * 6, 10_000)
    calm.check_sums()


def test_keeper__who_waits_for_an_order_to_lapse__earns_what_a_fill_earns(calm: Core) -> None:
    """As above for time: who executes nothing until the order is void gets the same fee, later, if nobody was first."""
    trader = calm.trader("trader", 10_000)
    order = calm.order(trader, ETH, WAD)
    calm.place(order)
    placed = calm.evm.timestamp
    calm.evm.timestamp = placed + DELAY + 2 * WINDOW
    with reverts("OrderBook_NoRecord", placed + DELAY):
        calm.execute(order)
    calm.evm.advance(1)
    assert calm.execute(order).event("OrderVoided")["paid"] == EXECUTION_FEE
    assert calm.cash(account_id(KEEPER)) == EXECUTION_FEE
    calm.check_sums()


def test_keeper__limit_order_tried_where_it_can_not_fill__stays_and_pays_nothing(calm: Core) -> None:
    """Elsewhere a keeper tried a limit or a stop at a moment of a bad price, and it was cancelled against its fee. Here
    a refusal reverts, or is skipped in a batch; the order waits for its price and can still fill.
    """
    trader = calm.trader("trader", 10_000)
    order = calm.order(trader, ETH, WAD, kind=LIMIT_ORDER, acceptable=2_900 * WAD)
    calm.place(order)
    calm.tick(DELAY)
    price = reference.fill(ETH, 0, WAD, ETH_PRICE).price
    with reverts("PerpMarket_PriceNotAcceptable", price, 2_900 * WAD):
        calm.execute(order)
    skipped = calm.order_book.executeBatch([order] * 3, [], sender=KEEPER).events("OrderSkipped")
    assert len(skipped) == 3
    assert known().registry.decode_error(skipped[0]["reason"]) == (
        "PerpMarket_PriceNotAcceptable",
        (price, 2_900 * WAD),
    )
    assert (calm.cash(trader), calm.cash(account_id(KEEPER))) == (10_000 * WAD, 0)
    calm.tick(1, {ETH: 2_890 * WAD})
    calm.execute(order).event("OrderExecuted")
    calm.check_sums()


def test_reward__order_brought_twice__is_paid_once(calm: Core) -> None:
    """Elsewhere the same order in one batch twice, or again after its end, paid the keeper again. Here a hash is spent
    before anything else happens.
    """
    trader = calm.trader("trader", 10_000)
    order = calm.order(trader, ETH, WAD)
    calm.place(order)
    calm.tick(DELAY)
    calm.track(account_id(KEEPER))
    receipt = calm.order_book.executeBatch([order, order, order], [], sender=KEEPER)
    assert len(receipt.events("OrderExecuted")) == 1
    unknown = ("OrderBook_UnknownOrder", (hash_of(calm, order),))
    assert [known().registry.decode_error(skip["reason"]) for skip in receipt.events("OrderSkipped")] == [unknown] * 2
    assert calm.cash(account_id(KEEPER)) == EXECUTION_FEE
    assert calm.market.position(trader, ETH)[0] == WAD
    calm.check_sums()


def test_reward__close_of_an_account_absorbed_meanwhile__takes_nothing_that_is_not_there(calm: Core) -> None:
    """As above across modules: an order of an account that was absorbed before its turn finds nothing to reduce and no
    cash; the fee set aside for it went into the loss, and nobody pays it a second time.
    """
    trader = calm.trader("trader", 10_000)
    calm.open(trader, ETH, 60 * WAD)
    earned = calm.cash(account_id(KEEPER))
    order = calm.order(trader, ETH, -60 * WAD, reduce_only=True)
    calm.place(order)
    calm.tick(DELAY, {ETH: 2_700 * WAD})
    absorb(calm, trader)
    failed = calm.execute(order).event("OrderFailed")
    assert known().registry.decode_error(failed["reason"]) == ("PerpMarket_NothingToReduce", (trader, ETH))
    assert (failed["paid"], failed["forfeited"]) == (0, 0)
    assert (calm.cash(trader), calm.vault.balanceOf(trader)) == (0, 0)
    assert calm.cash(account_id(KEEPER)) == earned
    calm.check_sums()


# ------------------------------------------------------------------------------------------------------------ forwarder


def test_forwarder__owner_appended_to_the_call__is_not_listened_to(calm: Core) -> None:
    """Elsewhere contracts took the last twenty bytes of a call for its sender when a forwarder brought it, or let a
    multicall forge them. Here the sender is who calls: appended to any call, to a multicall, or to the calls in one,
    the owner's address is dead weight.
    """
    trader = calm.trader("trader", 10_000)
    mallory = actor("mallory")
    owner = bytes.fromhex(actor("trader")[2:])
    mine = account_id(mallory)
    order = calm.order(trader, ETH, WAD)
    calls: list[tuple[Contract, Method, tuple[object, ...], str]] = [
        (calm.vault, calm.vault.withdraw, (trader, 1, mallory), "MarginVault_NotOwner"),
        (calm.vault, calm.vault.transfer, (trader, mine, 1), "MarginVault_NotOwner"),
        (calm.order_book, calm.order_book.place, (order,), "OrderBook_NotPermitted"),
        (calm.order_book, calm.order_book.cancel, (order,), "OrderBook_NotPermitted"),
        (calm.liquidator, calm.liquidator.takeOver, (mine, ETH, 1, trader, b"", []), "OrderBook_NotPermitted"),
    ]
    for contract, function, args, error in calls:
        for sender in (mallory, calm.token, calm.pool):
            with reverts(error, trader, sender):
                calm.evm.call_raw(sender, contract.address, function.encode(*args) + owner)
        for name in ("isTrustedForwarder", "trustedForwarder", "executeMetaTransaction"):
            assert name not in contract.contract_type.functions
        assert ("multicall" in contract.contract_type.functions) == (contract == calm.order_book)
    for function in (calm.order_book.place, calm.order_book.cancel):
        inner = function.encode(order)
        for call in (inner, inner + owner):
            for outer in (b"", owner):
                data = calm.order_book.multicall.encode([call]) + outer
                with reverts("OrderBook_NotPermitted", trader, mallory):
                    calm.evm.call_raw(mallory, calm.order_book.address, data)
    calm.check_sums()
