"""The client on a deployed core: money, orders, quotes, snapshots, and what it refuses."""

from __future__ import annotations

from decimal import Decimal

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import OrderCancelled, OrderExecuted, OrderFailed
from plimsoll.sdk.orders import Order, OrderKind, market_order
from plimsoll.sdk.quotes import quote_of, worse_by
from plimsoll.sdk.snapshots import model_state, read_accounts, read_markets
from tests.support.core import BTC, ETH, ETH_PARAMS, LISTING, deploy_core
from tests.support.deployment import World
from tests.support.evm import Evm

# --- setting up ---------------------------------------------------------------------------------------------------


def test_contracts__address_missing__is_named(world: World) -> None:
    addresses = dict(world.contracts.addresses)
    del addresses["OrderBook"], addresses["Liquidator"]
    with pytest.raises(UserError, match="no address of OrderBook, Liquidator"):
        Contracts(world.chain, addresses)


def test_require_deployed__no_code__says_so(world: World) -> None:
    world.contracts.require_deployed()
    nowhere = dict.fromkeys(world.contracts.addresses, "0x" + "11" * 20)
    with pytest.raises(UserError, match="was the chain restarted"):
        Contracts(world.chain, nowhere).require_deployed()


def test_signer__none__is_needed_to_write(world: World) -> None:
    with pytest.raises(UserError, match="no key"):
        world.client().deposit(1)


@pytest.mark.parametrize(("market", "market_id"), [("ETH", 1), ("eth/usd", 1), ("2", 2), (2, 2), (" btc ", 2)])
def test_market_id__name_or_number__is_found(world: World, market: str | int, market_id: int) -> None:
    assert world.client().market_id(market) == market_id


def test_market_id__unknown_name__lists_the_known(world: World) -> None:
    with pytest.raises(UserError, match="'DOGE' is not known; there are: BTC/USD, ETH/USD"):
        world.client().market_id("DOGE")
    with pytest.raises(UserError, match="market 9 is not listed"):
        world.client().market(9)


# --- money --------------------------------------------------------------------------------------------------------


def test_deposit__and_withdraw__move_exact_amounts(world: World) -> None:
    trader = world.trader("trader")
    world.core.token.mint(trader.signer.address, 1_000_000_000)
    trader.deposit("1_000")
    assert trader.account_snapshot().cash == 1_000 * WAD
    trader.withdraw(Decimal("0.000001"))
    assert world.core.token.balanceOf(trader.signer.address) == 1
    trader.withdraw("all", to="0x" + "22" * 20)
    assert world.core.token.balanceOf("0x" + "22" * 20) == 999_999_999
    with pytest.raises(UserError, match="withdraw: nothing can leave the account"):
        trader.withdraw("all")


def test_transfer__between_own_accounts__moves_cash(world: World) -> None:
    trader = world.trader("trader", 100)
    isolated = trader.account(isolated_market="ETH", index=3)
    trader.transfer(trader.account(), isolated, "40.5")
    assert trader.account_snapshot(isolated).cash == 405 * WAD // 10
    trader.transfer(isolated, trader.account(), "all")
    assert trader.account_snapshot().cash == 100 * WAD
    with pytest.raises(UserError, match="transfer: both accounts of a transfer must have the same owner"):
        trader.transfer(trader.account(), 77 << 96, 1)


@pytest.mark.parametrize(
    ("dollars", "said"),
    [
        ("0", "deposit: 0 is not more than zero"),
        ("-5", "deposit: -5 is not more than zero"),
        ("1.0000001", "deposit: 1.0000001 has more than 6 decimals"),
        ("much", "deposit: 'much' is not a number"),
        ("5", "deposit: 0x.* has 0.00 tokens, fewer than 5.00"),
    ],
)
def test_deposit__what_makes_no_sense__is_refused(world: World, dollars: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        world.trader("trader").deposit(dollars)


def test_withdraw__more_than_is_free__says_how_much_is(world: World) -> None:
    trader = world.trader("trader", 100)
    with pytest.raises(UserError, match="withdraw: only 100 can leave the account now, not 101"):
        trader.withdraw(101)


# --- orders -------------------------------------------------------------------------------------------------------


def test_place_market__and_execution__is_what_the_quote_said(world: World) -> None:
    trader = world.trader("trader", 10_000)
    quote = trader.quote("ETH", "2.5")
    placed = trader.place_market("ETH", "2.5")
    assert placed.sequence == 1
    assert placed.settle_from == world.evm.timestamp + 2
    assert placed.order.acceptable_price == worse_by(quote.fill_price, 1, 50)
    assert trader.account_snapshot().reserved == quote.execution_fee + quote.fee_reserve
    assert [one.hash for one in trader.open_orders()] == [placed.hash]
    world.tick(2)
    world.execute(placed)
    ended = trader.wait_for(placed, 1)
    assert isinstance(ended.record, OrderExecuted)
    assert ended.fill is not None
    assert (ended.fill.base, ended.fill.fill_price, ended.fill.fee) == (quote.base, quote.fill_price, quote.fee)
    assert trader.open_orders() == []
    held = trader.position("ETH")
    assert held is not None
    assert (held.base, held.quote) == (quote.base, quote.amount)
    assert trader.account_snapshot().leverage > 0


@pytest.mark.parametrize("size", ["-2.5", "0.4", "-1000", "2000"])
def test_quote__either_side_of_a_skew__is_the_contracts_price(world: World, size: str) -> None:
    world.open(world.trader("whale", 900_000), "ETH", "-1000.123")
    world.evm.advance(1)
    world.core.record(ETH, 3_001 * WAD, 2 * WAD)
    quote = world.client().quote("ETH", size)
    assert quote.fill_price == world.core.market.fillPrice(ETH, quote.base)


def test_place_market__price_is_stale__is_refused_unless_reducing(world: World) -> None:
    trader = world.trader("trader", 10_000)
    world.open(trader, "ETH", "2")
    world.evm.advance(60)
    with pytest.raises(UserError, match="ETH/USD: the newest price is 60 s old; nothing opens"):
        trader.place_market("ETH", 1)
    assert trader.close("ETH").order.reduce_only


def test_place_market__slippage__sets_the_acceptable_price(world: World) -> None:
    trader = world.trader("trader", 10_000)
    sell = trader.place_market("ETH", -1, slippage_bps=100)
    assert sell.order.acceptable_price == trader.quote("ETH", -1).fill_price * 99 // 100
    exact = trader.place_market("ETH", 1, acceptable_price="3100.5")
    assert exact.order.acceptable_price == 31_005 * WAD // 10
    world.tick(2, {ETH: 3_200 * WAD})
    world.execute(sell)
    world.execute(exact)
    failed = trader.wait_for(exact.hash, 1)
    assert isinstance(failed.record, OrderFailed)
    assert (failed.status, failed.fill) == ("failed", None)
    assert "is worse than the acceptable $3,100.50" in failed.reason


def test_cancel__a_limit_order__by_its_hash(world: World) -> None:
    trader = world.trader("trader", 10_000)
    placed = trader.place_limit("ETH", 1, "2900", expiry=world.evm.timestamp + 60)
    assert placed.sequence == 0
    trader.cancel(placed.hash)
    ended = trader.wait_for(placed, 1)
    assert isinstance(ended.record, OrderCancelled)
    assert ended.status == "cancelled"
    with pytest.raises(UserError, match="cancel: there is no such open order"):
        trader.cancel(placed.order)
    with pytest.raises(UserError, match="none was placed with that hash"):
        trader.cancel(b"\7" * 32)


def test_cancel__a_market_order__is_refused(world: World) -> None:
    trader = world.trader("trader", 10_000)
    placed = trader.place_market("ETH", 1)
    with pytest.raises(UserError, match="cancel: a market order can't be cancelled"):
        trader.cancel(placed.order)
    with pytest.raises(UserError, match="still open after 0 s; is an executor running"):
        trader.wait_for(placed, 0)


def test_place__others_account__is_refused(world: World) -> None:
    trader, other = world.trader("trader", 10_000), world.trader("other", 10_000)
    with pytest.raises(UserError, match=r"order: 0x.* is neither the owner of account 0x.* nor a delegate"):
        trader.place(market_order(other.account(), ETH, WAD))


def test_place_market__without_cash__says_what_is_reserved(world: World) -> None:
    with pytest.raises(UserError, match=r"order: the account has \$0.00 free, and this needs \$2.30"):
        world.trader("trader").place_market("ETH", 1)


def test_close__no_position__is_refused(world: World) -> None:
    with pytest.raises(UserError, match="ETH/USD: the account has no position to close"):
        world.trader("trader", 100).close("ETH")


def test_close__a_position__leaves_none(world: World) -> None:
    trader = world.trader("trader", 10_000)
    world.open(trader, "BTC", "-0.25")
    placed = trader.close("BTC")
    assert placed.order.base == WAD // 4
    world.tick(2)
    world.execute(placed)
    assert trader.position("BTC") is None
    trader.withdraw("all")


def test_open_orders__of_everyone__are_all(world: World) -> None:
    one, two = world.trader("one", 1_000), world.trader("two", 1_000)
    first, second = one.place_limit("ETH", 1, 2_000), two.place_limit("ETH", 1, 2_000)
    assert [order.hash for order in one.open_orders(0)] == [first.hash, second.hash]
    assert [order.hash for order in two.open_orders()] == [second.hash]


@pytest.mark.parametrize("size", ["0", "one", "1.0000000000000000001"])
def test_size__what_makes_no_sense__is_refused(world: World, size: str) -> None:
    with pytest.raises(UserError, match="size"):
        world.client().quote("ETH", size)


def test_quote__larger_than_the_market__is_refused(world: World) -> None:
    with pytest.raises(UserError, match="no price for a fill of that size; the scale is 333,333"):
        world.client().quote("ETH", "-700_000")


def test_wait_for__no_price_in_time__is_void(world: World) -> None:
    trader = world.trader("trader", 1_000)
    placed = trader.place_market("ETH", 1)
    world.evm.advance(9)
    world.execute(placed)
    ended = trader.wait_for(placed, 1)
    assert (ended.status, ended.reason) == ("void", "no price was recorded in time")


# --- exits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "base"), [(None, -2 * WAD), ("all", -2 * WAD), ("0.5", -WAD // 2), (9, -9 * WAD)])
def test_stop_loss_order__of_a_long__sells_at_any_price(world: World, size: str | int | None, base: int) -> None:
    trader = world.trader("trader", 10_000)
    world.open(trader, "ETH", "2")
    order = trader.stop_loss_order("ETH", "2_900", size, expiry=99)
    expected = Order(trader.account(), ETH, OrderKind.STOP_LOSS, base, 0, 2_900 * WAD, True, expiry=99, salt=order.salt)
    assert order == expected
    assert trader.stop_loss_order("ETH", 2_900, acceptable_price="2_850").acceptable_price == 2_850 * WAD


def test_take_profit_order__of_a_short__buys_a_little_above_its_trigger(world: World) -> None:
    trader = world.trader("trader", 10_000)
    world.open(trader, "ETH", "-2")
    order = trader.take_profit_order("ETH", "2_900")
    assert (order.base, order.trigger_price) == (2 * WAD, 2_900 * WAD)
    assert order.acceptable_price == worse_by(2_900 * WAD, 1, 50)
    assert trader.take_profit_order("ETH", "2_900", slippage_bps=0).acceptable_price == 2_900 * WAD
    assert trader.take_profit_order("ETH", "2_900", acceptable_price=2_950).acceptable_price == 2_950 * WAD


@pytest.mark.parametrize(
    ("side", "kind", "refused", "fine"),
    [
        ("2", "stop_loss_order", "3000", "2999.999999"),
        ("2", "take_profit_order", "3000", "3000.000001"),
        ("-2", "stop_loss_order", "3000", "3000.000001"),
        ("-2", "take_profit_order", "3000", "2999.999999"),
    ],
)
def test_exits__due_at_once__are_refused(world: World, side: str, kind: str, refused: str, fine: str) -> None:
    trader = world.trader("trader", 10_000)
    world.open(trader, "ETH", side)
    with pytest.raises(UserError, match=r"ETH/USD: the index is \$3,000.00, and the order would be due at"):
        getattr(trader, kind)("ETH", refused)
    assert getattr(trader, kind)("ETH", fine).reduce_only


@pytest.mark.parametrize("size", ["0", "-1"])
def test_exits__no_position_or_size__are_refused(world: World, size: str) -> None:
    trader = world.trader("trader", 10_000)
    with pytest.raises(UserError, match="the account has no position to close"):
        trader.stop_loss_order("ETH", 2_900)
    world.open(trader, "ETH", "2")
    with pytest.raises(UserError, match=f"size: {size} is not more than zero"):
        trader.take_profit_order("ETH", 3_900, size)


def test_bracket__with_a_price__enters_by_a_limit_order(world: World) -> None:
    trader = world.trader("trader", 10_000)
    found = trader.bracket("ETH", "1", "2_800", "3_100", price="2_900", slippage_bps=100, expiry=99)
    assert (found.entry.kind, found.entry.acceptable_price) == (OrderKind.LIMIT, 2_900 * WAD)
    assert (found.stop_loss.trigger_price, found.stop_loss.acceptable_price) == (2_800 * WAD, 0)
    assert (found.take_profit.trigger_price, found.take_profit.acceptable_price) == (3_100 * WAD, 3_069 * WAD)
    assert (found.entry.expiry, found.stop_loss.expiry, found.take_profit.expiry) == (0, 99, 99)
    # above the index now, and not yet due when the entry is filled
    assert trader.bracket("ETH", "-1", "3_200", "3_050", price="3_100").take_profit.trigger_price == 3_050 * WAD


def test_bracket__without_a_price__enters_by_a_market_order(world: World) -> None:
    trader = world.trader("trader", 10_000)
    found = trader.bracket("ETH", "-1", "3_100", "2_900", slippage_bps=100)
    assert found.entry.kind == OrderKind.MARKET
    assert found.entry.acceptable_price == worse_by(trader.quote("ETH", -1).fill_price, -1, 100)
    with pytest.raises(UserError, match=r"the order would be due at \$2,990.00 at once"):
        trader.bracket("ETH", "-1", "2_990", "2_900")
    with pytest.raises(UserError, match="stop-loss of a sell lies above its take-profit"):
        trader.bracket("ETH", "-1", "2_900", "3_100")


def test_ladder__of_a_position__closes_all_of_it(world: World) -> None:
    trader = world.trader("trader", 10_000)
    world.open(trader, "ETH", "2")
    placed = trader.place_together(trader.ladder("ETH", 3_100, 3_300, 3))
    assert [one.order.trigger_price for one in placed] == [3_100 * WAD, 3_200 * WAD, 3_300 * WAD]
    for price, rung in zip((3_100, 3_200, 3_300), placed, strict=True):
        world.tick(2, {ETH: price * WAD})
        world.execute(rung)
        assert trader.wait_for(rung, 1).status == "filled"
    assert trader.position("ETH") is None
    assert [fill.role for fill in trader.fills()] == ["pool"] * 4


@pytest.mark.parametrize(
    ("size", "steps", "said"),
    [
        (None, 6, r"the exit at \$3,200.00 would leave a position of \$533.33; the market's minimum is \$1,000.00"),
        ("0.9", 3, r"the exit at \$3,200.00 would leave a position of \$320.00"),
        (None, 0, "0 is no number of them"),
    ],
)
def test_ladder__parts_too_small__are_refused(world: World, size: str | None, steps: int, said: str) -> None:
    trader = world.trader("trader", 10_000)
    world.open(trader, "ETH", "1")
    with pytest.raises(UserError, match=said):
        trader.ladder("ETH", 3_200, 3_200, steps, size)
    assert len(trader.ladder("ETH", 3_200, 3_200, 3)) == 3
    with pytest.raises(UserError, match="at once"):
        trader.ladder("ETH", 3_000, 3_200, 2)


# --- snapshots ----------------------------------------------------------------------------------------------------


def test_account_snapshot__by_lens_and_by_views__is_the_same(evm: Evm) -> None:
    world = World(deploy_core(evm, fund_dollars=1_000))
    trader = world.trader("trader", 20_000)
    world.open(trader, "ETH", "10")
    world.open(trader, "BTC", "-0.5")
    trader.place_market("ETH", 1)
    block, account = world.chain.block(), trader.account()
    plain = Contracts(world.chain, {name: at for name, at in world.contracts.addresses.items() if name != "Lens"})
    for _ in range(2):
        by_lens = read_accounts(world.contracts, block, [account, 5 << 96])
        assert by_lens == read_accounts(plain, block, [account, 5 << 96])
        world.evm.advance(3_600)
    assert by_lens[account].withdrawable is None  # stale by now
    assert by_lens[5 << 96].positions == ()
    assert read_accounts(plain, block, []) == {}


def test_market_snapshot__prices_and_limits__are_the_contracts(world: World) -> None:
    world.open(world.trader("trader", 900_000), "ETH", "1000")
    world.evm.advance(5_000)
    market = world.client().market("ETH")
    contract = world.core.market
    assert market.skew == contract.skew(ETH)
    assert market.mark_price == contract.markPrice(ETH)
    assert (market.long, market.short) == contract.openInterest(ETH)
    assert market.rate == contract.fundingRate(ETH)
    capital, exposure = contract.poolCapital(ETH)
    assert (market.pool_capital, market.exposure_limit) == (capital, exposure)
    assert market.age() == 5_000 - 0
    assert not market.is_fresh()
    assert not market.has_pending_orders


def test_quote__impact__is_what_the_skew_costs_against_the_index(world: World) -> None:
    world.open(world.trader("whale", 900_000), "ETH", "3333.33")  # 1% of the scale
    assert world.client().quote("ETH", "0.01").impact_bps == 100
    assert world.client().quote("ETH", "-0.01").impact_bps == -99


@pytest.mark.parametrize(("price", "seconds", "size"), [(2_500, 1, "5"), (3_400, 9_999, "-7.5"), (3_000, 77, "20")])
def test_model_state__of_snapshots__values_accounts_as_the_chain_does(
    world: World, price: int, seconds: int, size: str
) -> None:
    trader, other = world.trader("trader", 20_000), world.trader("other", 100_000)
    world.open(trader, "ETH", size)
    world.open(other, "ETH", "-30")
    world.open(other, "BTC", "1.5")
    world.evm.advance(seconds)
    world.core.record(ETH, price * WAD, WAD)
    accounts = [trader.account(), other.account()]
    block = world.chain.block()
    found = read_accounts(world.contracts, block, accounts)
    state = model_state(read_markets(world.contracts, block).values(), found.values())
    for account in accounts:
        assert state.health(account, block.timestamp) == tuple(world.core.market.healthOf(account))
    later = block.timestamp + 7_777
    world.evm.advance(7_777)
    for account in accounts:
        # the utilisation fee follows the pool's capital at each accrual, and here there is one more
        (expected, maintenance), (equity, required) = world.core.market.healthOf(account), state.health(account, later)
        assert abs(equity - expected) < 10**12
        assert required == maintenance


def test_quote_of__market_without_price__is_refused(evm: Evm) -> None:
    core = deploy_core(evm)
    core.configurator.listMarket(3, WAD, ETH_PARAMS, sender=LISTING)
    world = World(core)
    with pytest.raises(UserError, match="market 3: it has no price yet"):
        world.client().quote(3, 1)


@pytest.mark.parametrize(
    ("price", "base", "bps", "expected"),
    [(10_000, 1, 50, 10_050), (10_001, 1, 50, 10_052), (10_001, -1, 50, 9_950), (5, -1, 20_000, 0)],
)
def test_worse_by__rounds_away__from_the_trader(price: int, base: int, bps: int, expected: int) -> None:
    assert worse_by(price, base, bps) == expected


def test_client__without_names__takes_numbers(world: World) -> None:
    client = Plimsoll(world.chain, world.contracts)
    assert client.market_name(BTC) == "market 2"
    with pytest.raises(UserError, match="there are: none with a name"):
        client.market_id("ETH")
    assert quote_of(client.market(ETH), WAD).market_id == ETH
