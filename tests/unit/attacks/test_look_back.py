"""Attack 2: an order as an option on a price that is known before it settles."""

from __future__ import annotations

import pytest

from tests.support.core import BTC, BTC_PRICE, ETH, KEEPER, LISTING, ORDER_CONFIG, WAD, Core, actor, deploy_core
from tests.support.evm import Evm, known, reverts
from tests.unit.attacks.reference import MALLORY, base_of, execute, main_account, place, wealth

BASE = 300 * WAD
NOTIONAL = 900_000 * WAD
RESERVE = NOTIONAL * ORDER_CONFIG["feeReserveBps"] // 10_000
EXECUTION = ORDER_CONFIG["executionFee"]
WINDOW = ORDER_CONFIG["settlementWindow"]


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, markets=1, pool_dollars=60_000_000)


@pytest.fixture
def account(core: Core) -> int:
    return main_account(core, 100_000)


@pytest.mark.parametrize("price", [2_990, 3_010])
def test_look_back__cancel_once_the_price_is_known__is_refused(core: Core, account: int, price: int) -> None:
    """Place, look at the record that the order will settle at, cancel it if that is worse than the market by now: a
    free option, 2.5 bps per 5 seconds at 80 % volatility in a draft. A market order can't be cancelled, neither
    before its record nor after, and anyone settles it."""
    order = core.order(account, ETH, BASE)
    hash_ = place(core, order)
    with reverts("OrderBook_NotCancellable", hash_):
        core.order_book.cancel(order, sender=MALLORY)
    core.tick(2, {ETH: price * WAD})
    with reverts("OrderBook_NotCancellable", hash_):
        core.order_book.cancel(order, sender=MALLORY)
    core.execute(order).event("OrderExecuted")
    assert core.market.position(account, ETH)[0] == BASE
    core.check_sums()


def test_look_back__cash_moved_away_once_the_price_is_known__forfeits_the_reserve(core: Core, account: int) -> None:
    """The same option by other means: with the price known and bad, take the cash out, so that the order fails for want
    of margin. Fee and execution fee were set aside when it was placed and can't be taken out; the failure costs the
    taker fee, 6 bps, which is more than the option is worth."""
    before = wealth(core, [account])
    order = core.order(account, ETH, BASE)
    place(core, order)
    core.tick(2, {ETH: 2_990 * WAD})
    free = 100_000 * WAD - RESERVE - EXECUTION
    assert core.vault.withdrawable(account) * core.unit == free
    with reverts("MarginVault_InsufficientMargin", free // core.unit, free // core.unit + 1):
        core.vault.withdraw(account, free // core.unit + 1, MALLORY, sender=MALLORY)
    core.vault.withdraw(account, free // core.unit, MALLORY, sender=MALLORY)
    failed = core.order_book.execute(order, [], sender=MALLORY).event("OrderFailed")
    reason = failed["reason"]
    decoded = known().registry.decode_error(reason)
    assert decoded is not None
    assert decoded[0] == "PerpMarket_InsufficientMargin"
    assert failed.args == {
        "hash": core.order_book.hashOf(order),
        "account": account,
        "executor": MALLORY,
        "paid": EXECUTION,
        "forfeited": RESERVE,
        "reason": reason,
    }
    tokens = core.token.balanceOf(MALLORY) * core.unit
    assert wealth(core, [account]) + tokens == before - RESERVE
    assert core.cash(core.fund_main) == RESERVE
    core.check_sums()


@pytest.mark.parametrize("brings_it", [False, True], ids=["price_kept_back", "price_brought"])
def test_look_back__another_market_of_his_own_gone_stale__is_waited_for_and_forfeits_the_reserve(
    evm: Evm, brings_it: bool
) -> None:
    """The same option once more: an account with the smallest position in a second market, whose price nobody but he
    records. His order needs it fresh: with the price of the order known and bad he keeps the other back, and the order
    fails; with a good one he brings both. It failed without a forfeit in a draft, so that the option was free. Now the
    order waits for anyone to bring the other price for twice the window, and then costs as without margin."""
    core = deploy_core(evm, pool_dollars=60_000_000)
    account = main_account(core, 200_000)
    core.open(account, BTC, base_of(1_500, BTC_PRICE))
    core.tick(1)
    published = core.evm.timestamp
    core.evm.advance(14)
    order = core.order(account, ETH, BASE)
    place(core, order)
    core.evm.advance(2)
    core.record(ETH, 2_990 * WAD)
    before, start = wealth(core, [account]), core.evm.timestamp
    for wait in (0, WINDOW, 2 * WINDOW):
        core.evm.timestamp = start + wait
        with reverts("PerpMarket_StalePrice", BTC, published):
            core.order_book.execute(order, [], sender=MALLORY)
    if brings_it:
        core.record(BTC)
        assert execute(core, order).event("Traded")["fillPrice"] < 3_000 * WAD  # not the newest but the order's own
    else:
        core.evm.advance(1)
        failed = core.order_book.execute(order, [], sender=MALLORY).event("OrderFailed")
        assert (failed["paid"], failed["forfeited"]) == (EXECUTION, RESERVE)
        assert known().registry.decode_error(failed["reason"]) == ("PerpMarket_StalePrice", (BTC, published))
        assert core.cash(core.fund_main) == RESERVE
        assert core.vault.balanceOf(account) >> 128 & 2**96 - 1 == 0
        assert before - RESERVE - WAD // 100 < wealth(core, [account]) <= before - RESERVE
    core.check_sums()


def test_look_back__another_market_of_his_own_stale_already__is_no_order_at_all(evm: Evm) -> None:
    """Nor can he place one while that price is kept back."""
    core = deploy_core(evm, pool_dollars=60_000_000)
    account = main_account(core, 200_000)
    core.open(account, BTC, base_of(1_500, BTC_PRICE))
    published = core.evm.timestamp
    core.evm.advance(16)
    core.record(ETH)
    with reverts("PerpMarket_StalePrice", BTC, published):
        place(core, core.order(account, ETH, BASE))


def test_look_back__reserve_of_nothing__can_not_be_configured(core: Core) -> None:
    """What a failure costs is the reserve: without one every order were an option for its execution fee."""
    with reverts("OrderBook_InvalidConfig", b"feeReserve".ljust(32, b"\0")):
        core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "feeReserveBps": 0}, sender=LISTING)
    core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "feeReserveBps": 1}, sender=LISTING)


@pytest.mark.parametrize("price", [2_980, 2_999, 3_000, 3_001, 3_020])
def test_look_back__buy_and_sell_placed_together__settle_at_one_record(core: Core, account: int, price: int) -> None:
    """A buy and a sell at once, to let fail whichever the price turns against: each is bound to the same record, so
    that both together are a round trip at one price, and what it costs is two fees."""
    before = wealth(core, [account])
    buy, sell = core.order(account, ETH, BASE), core.order(account, ETH, -BASE)
    place(core, buy)
    place(core, sell)
    core.tick(2, {ETH: price * WAD})
    bought = execute(core, buy).event("Traded")
    sold = execute(core, sell).event("Traded")
    assert abs(bought["fillPrice"] - sold["fillPrice"]) <= 1  # the impact of the one is given back by the other
    fees = bought["fee"] + sold["fee"]
    assert 0 <= before - fees - wealth(core, [account]) <= BASE // WAD + 3  # nothing but the roundings against him
    assert fees >= RESERVE * 99 // 100 * 4 // 3  # taker and maker, 6 and 2 bps
    core.check_sums()


@pytest.mark.parametrize("better", [2_900, 3_100])
def test_look_back__waiting_for_a_better_record__settles_at_the_first(core: Core, account: int, better: int) -> None:
    """The executor is the trader and waits for a record that he likes: the order settles at the first one published at
    or after its time, however many follow and whenever he comes."""
    order = core.order(account, ETH, BASE)
    place(core, order)
    first = core.oracle.newest(ETH)
    core.tick(2, {ETH: 3_001 * WAD})
    expected = core.market.fillPrice(ETH, BASE)
    for _ in range(5):
        core.tick(1, {ETH: better * WAD})
    assert core.oracle.newest(ETH) != first
    assert execute(core, order).event("Traded")["fillPrice"] == expected
    core.check_sums()


def test_look_back__record_too_late__voids_and_costs_the_execution_fee(core: Core, account: int) -> None:
    """He sees to it that nobody records in time, and takes the first late record if it suits him: it voids the order,
    and the caller gets the execution fee. Nobody can be kept from recording."""
    before = wealth(core, [account])
    order = core.order(account, ETH, BASE)
    hash_ = place(core, order)
    core.tick(2 + WINDOW + 1, {ETH: 3_100 * WAD})
    assert core.execute(order).event("OrderVoided").args == {
        "hash": hash_,
        "account": account,
        "executor": KEEPER,
        "paid": EXECUTION,
    }
    assert wealth(core, [account]) == before - EXECUTION
    core.check_sums()


def test_look_back__second_account_takes_the_other_side__nets_to_the_fees(core: Core, account: int) -> None:
    """Two accounts of one owner, one long and one short of the same size, each with just the margin it needs: whichever
    loses is emptied once the price is known. The one that fails loses its reserve, the other has a fair fill."""
    other = core.trader("mallory", 100_000, index=1)
    before = wealth(core, [account, other])
    buy, sell = core.order(account, ETH, BASE), core.order(other, ETH, -BASE)
    place(core, buy)
    place(core, sell)
    core.tick(2, {ETH: 2_980 * WAD})  # the buy is the bad one
    core.vault.transfer(account, other, core.vault.withdrawable(account), sender=MALLORY)
    receipt = core.order_book.execute(buy, [], sender=MALLORY)
    assert receipt.event("OrderFailed")["forfeited"] == RESERVE
    execute(core, sell)
    assert wealth(core, [account, other]) < before - RESERVE
    core.check_sums()


def test_look_back__of_another_ones_order__is_not_his_to_end(core: Core, account: int) -> None:
    """Nor can he end the counterpart's order: only the owner cancels, and a market order nobody."""
    victim = core.trader("victim", 100_000)
    order = core.order(victim, ETH, BASE)
    core.place(order)
    with reverts("OrderBook_NotPermitted", victim, MALLORY):
        core.order_book.cancel(order, sender=MALLORY)
    with reverts("OrderBook_NotCancellable", core.order_book.hashOf(order)):
        core.order_book.cancel(order, sender=actor("victim"))
    core.check_sums()
