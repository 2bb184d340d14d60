import pytest

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import WAD
from plimsoll.replay.actions import (
    Absorb,
    Cancel,
    CancelAllFor,
    CancelFor,
    CloseOut,
    Deposit,
    Execute,
    ExecuteRequest,
    Force,
    Match,
    Place,
    PlaceFor,
    Record,
    RequestEntry,
    RequestExit,
    Settle,
    ShutDown,
    ShutDownStep,
    SignedOrder,
    TakeOver,
    Together,
    Withdraw,
)
from plimsoll.replay.mirror import Mirror
from plimsoll.replay.modelled import BASEFEE
from plimsoll.risk.fallback import FALLBACK_DELAY, FORCED_WINDOW, Quoted
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.shutdown import CLOSING_SECONDS, DEAD_ORACLE_SECONDS, DECLARE_SECONDS
from plimsoll.sdk.signing import order_hash
from tests.python.replay.setting import START, mirror

ETH = 1
UNIT = 10**6
TRADER = 0x1234
ACCOUNT = ids.pack(TRADER)
PRICE = 2_500 * WAD


def readings(price: int = PRICE) -> dict[int, tuple[int, ...]]:
    return {ETH: (price, price + price // 10_000, price - price // 10_000), 2: (60_000 * WAD,) * 3}


def opened(base: int = 4 * WAD, dollars: int = 1_000) -> Mirror:
    """One account with a long of ETH against a pool of $20m; the newest record is of now."""
    m = mirror()
    provider = m.roles.provider.number
    m.begin(START + 1)
    m.do(Deposit(ids.pack(provider), 21_000_000 * UNIT))
    pool = m.do(RequestEntry("pool", provider, 20_000_000 * UNIT)).result
    fund = m.do(RequestEntry("fund", provider, 1_000_000 * UNIT)).result
    m.do(Deposit(ACCOUNT, dollars * UNIT))
    m.end()
    m.begin(START + 100)
    m.do(ExecuteRequest("pool", pool))
    m.do(ExecuteRequest("fund", fund))
    m.do(Record(readings()))
    m.end()
    order = Order(ACCOUNT, ETH, OrderKind.MARKET, base, 2**256 - 1 if base > 0 else 0, salt=1)
    m.begin(START + 102)
    m.do(Place(order))
    m.end()
    m.begin(START + 105)
    m.do(Record(readings()))
    assert [one.event for one in m.do(Execute((order,))).expected] == ["Traded", "OrderExecuted"]
    m.end()
    return m


def fall(m: Mirror, price: int) -> None:
    m.begin(m.now + 300)
    m.do(Record(readings(price)))
    m.end()


def test_begin__not_later_than_the_last_block__raises() -> None:
    with pytest.raises(ValueError, match="after one at"):
        mirror().begin(START)


def test_end__nothing_was_done__time_has_not_passed() -> None:
    m = mirror()
    m.begin(START + 10)
    assert isinstance(m.attempt(Withdraw(ACCOUNT, 5)), Refusal)
    assert m.end().applied == []
    assert m.now == START


def test_do__refused__is_not_in_the_block() -> None:
    m = mirror()
    m.begin(START + 10)
    m.do(Deposit(ACCOUNT, 5))
    with pytest.raises(Refusal, match="MarginVault_InsufficientMargin"):
        m.do(Withdraw(ACCOUNT, 6))
    block = m.end()
    assert [applied.action for applied in block.applied] == [Deposit(ACCOUNT, 5)]
    assert block.applied[0].expected[0].values == {"account": ACCOUNT, "amount": 5, "cash": 5 * 10**12}
    assert m.now == block.ts == START + 10


def test_record__three_signers__the_median_and_its_confidence() -> None:
    m = mirror()
    m.begin(START + 10)
    applied = m.do(Record(readings()))
    assert applied.expected[0].values == {
        "market_id": ETH,
        "price": PRICE,
        "confidence": PRICE // 10_000,
        "published_at": START + 10,
        "state": 0,
        "sequence": 1,
    }
    assert m.price(ETH) == PRICE


def test_record__one_market_moves_too_far__neither_is_recorded() -> None:
    m = mirror()
    m.begin(START + 10)
    m.do(Record(readings()))
    m.end()
    m.begin(START + 20)
    with pytest.raises(Refusal, match="Oracle_MoveTooLarge"):
        m.do(Record(readings(PRICE * 2)))
    assert m.markets[2].newest is not None
    assert m.markets[2].newest.sequence == 1


def test_close_out__below_maintenance__names_equity_and_split() -> None:
    m = opened()
    fall(m, PRICE * 92 // 100)
    m.begin(m.now + 2)
    health = m.health(ACCOUNT)
    assert 0 < health.ratio < WAD
    applied = m.do(CloseOut(ACCOUNT, ETH))
    block = m.end()
    values = applied.expected[0].values
    assert (values["equity"], values["maintenance"]) == (health.equity, health.maintenance)
    [step] = applied.result
    assert step.base == values["base"] < 0
    assert step.penalty == values["cost"] == step.keeper + step.insurance
    assert block.touched == (ACCOUNT,)
    assert block.basefee == BASEFEE


def test_take_over__discount_and_fee__are_the_keepers() -> None:
    m = opened()
    taker = ids.pack(m.roles.liquidator.number, index=1)
    m.begin(m.now + 1)
    m.do(Deposit(taker, 10_000 * UNIT))
    m.end()
    fall(m, PRICE * 92 // 100)
    m.begin(m.now + 2)
    applied = m.do(TakeOver(ACCOUNT, ETH, 4 * WAD, taker))
    [step] = applied.result
    values = applied.expected[0].values
    assert step.base == -4 * WAD
    assert step.keeper == values["discount"] - values["fee"] > 0
    assert m.end().touched == (ACCOUNT, taker)


def test_absorb__bankrupt__debt_is_paid_by_the_fund_and_gas_at_a_known_basefee() -> None:
    m = opened()
    fall(m, PRICE * 70 // 100)
    m.begin(m.now + 2)
    applied = m.do(Absorb(ACCOUNT))
    assert [one.event for one in applied.expected] == ["PositionAbsorbed", "Absorbed", "DebtCovered"]
    [step] = applied.result
    assert step.debt == applied.expected[2].values["debt"] > 0
    assert step.insurance == -step.debt - step.keeper
    assert m.end().basefee == BASEFEE


def test_share_price__pool_without_positions__is_one_dollar() -> None:
    m = opened()
    m.begin(m.now + 5)
    assert abs(m.share_price("fund") - WAD) < WAD // 10**6
    assert m.share_price("pool") > WAD  # the trader has paid fees and impact


def test_accrued__inside__markets_are_at_the_present_and_afterwards_as_before() -> None:
    m = opened()
    m.begin(m.now + 1_000)
    last = m.markets[ETH].last
    with m.accrued():
        assert m.markets[ETH].last == m.now
    assert m.markets[ETH].last == last


def stop(salt: int = 9, trigger: int = PRICE * 9 // 10) -> Order:
    return Order(ACCOUNT, ETH, OrderKind.STOP_LOSS, -4 * WAD, 0, trigger, True, salt=salt)


def test_place__market_order__its_fee_reserve_is_remembered() -> None:
    m = opened()
    m.begin(m.now + 1)
    order = Order(ACCOUNT, ETH, OrderKind.MARKET, WAD, 2**256 - 1, salt=5)
    applied = m.do(Place(order))
    assert m.fee_reserves[order_hash(order)] == applied.expected[0].values["fee_reserve"] == WAD * 15 // 10
    assert m.do(Place(stop())).expected[0].values["hash"] == order_hash(stop())
    assert order_hash(stop()) not in m.fee_reserves


def test_together__one_call_is_refused__none_of_them_happened() -> None:
    m = opened()
    m.begin(m.now + 1)
    with pytest.raises(Refusal, match="OrderBook_AlreadyUsed"):
        m.do(Together((Place(stop()), Place(stop()))))
    applied = m.do(Together((Place(stop()), Place(stop(10)))))
    assert [one.event for one in applied.expected] == ["OrderPlaced", "OrderPlaced"]
    m.do(Together((Cancel(stop()), Place(stop(11)))))


def test_relayed__placed_and_taken_back__the_relayer_is_paid() -> None:
    m = opened()
    m.begin(m.now + 1)
    relayer = ids.pack(m.roles.relayer.number)
    m.do(PlaceFor(stop(), TRADER))
    assert m.model.cash_of(relayer) == WAD // 10
    applied = m.do(CancelFor(stop(), WAD))
    assert [one.event for one in applied.expected] == ["OrderCancelled", "Relayed"]
    assert m.do(CancelAllFor(ACCOUNT, 1, WAD)).expected[0].values == {"account": ACCOUNT, "counter": 1}
    assert m.model.cash_of(relayer) == WAD // 10 + 2 * WAD


def test_execute__nothing_left_to_reduce__void_for_whoever_asks() -> None:
    m = opened(base=-4 * WAD)
    m.begin(m.now + 1)
    m.do(Place(stop()))
    applied = m.do(Execute((stop(),), TRADER))
    assert [outcome.status for outcome in applied.result] == ["void"]
    assert applied.expected[0].event == "OrderVoided"


def matched(makers: int, poor: bool = False) -> tuple[Mirror, Match]:
    """A taker who sells against so many makers; the first without money where it is poor."""
    m = opened()
    m.begin(m.now + 1)
    bids = []
    for place in range(makers):
        account = ids.pack(0x9000 + place)
        if place or not poor:
            m.do(Deposit(account, 2_000 * UNIT))
        bids.append(SignedOrder(Order(account, ETH, OrderKind.LIMIT, WAD, PRICE, salt=place), account >> 96))
    taker = SignedOrder(Order(ACCOUNT, ETH, OrderKind.LIMIT, -4 * WAD, PRICE), TRADER)
    return m, Match(taker, tuple((bid, WAD) for bid in bids))


def test_match__two_orders__one_event_with_what_the_taker_got() -> None:
    m, match = matched(1)
    [event] = m.do(match).expected
    fees = {"maker_fee": PRICE * 2 // 10_000, "taker_fee": PRICE * 6 // 10_000, "execution_fee": WAD // 2}
    values = {key: event.values[key] for key in ("base", "quote", *fees)}
    assert event.event == "OrdersMatched"
    assert values == {"base": -WAD, "quote": PRICE, **fees}
    assert set(m.end().touched) >= {ACCOUNT, match.makers[0][0].order.account}


def test_match__maker_without_money__is_skipped() -> None:
    m, match = matched(3, poor=True)
    applied = m.do(match)
    assert [one.event for one in applied.expected] == ["MatchSkipped", "OrdersMatched", "OrdersMatched"]
    assert [isinstance(one, Refusal) for one in applied.result] == [True, False, False]
    assert applied.expected[0].values["maker_hash"] == order_hash(match.makers[0][0].order)


def test_refuse__the_rules_refuse__it_stands_in_the_block_and_nothing_happened() -> None:
    m = opened()
    m.begin(m.now + 1)
    cash = m.model.cash_of(ACCOUNT)
    assert m.refuse(CloseOut(ACCOUNT, ETH)).name == "Liquidator_Healthy"
    [applied] = m.end().applied
    assert (applied.refusal, applied.expected, m.model.cash_of(ACCOUNT)) == ("Liquidator_Healthy", (), cash)


def test_refuse__the_rules_allow_it__is_an_error_and_nothing_happened() -> None:
    m = opened()
    m.begin(m.now + 1)
    cash = m.model.cash_of(ACCOUNT)
    with pytest.raises(ValueError, match="the model allows it"):
        m.refuse(Deposit(ACCOUNT, UNIT))
    assert m.model.cash_of(ACCOUNT) == cash
    assert not m.end().applied


def silent(base: int = 4 * WAD) -> tuple[Mirror, Order]:
    """No record after the position was opened, and a reduction of it that waits: a minute has passed."""
    m = opened(base)
    order = Order(ACCOUNT, ETH, OrderKind.MARKET, -base, 0, reduce_only=True, salt=2)
    m.begin(m.now + 10)
    m.do(Place(order))
    m.end()
    m.begin(m.now + 10)
    assert m.do(Execute((order,))).result[0].status == "waiting"
    m.end()
    m.begin(m.now + FALLBACK_DELAY + 10)
    return m, order


def test_force__at_data__is_filled_and_told() -> None:
    m, order = silent()
    done = m.do(Force(order, Quoted(PRICE, 0, m.now), (b"",) * 3))
    assert done.result.status == "filled"
    assert [one.event for one in done.expected] == ["Traded", "OrderForced"]
    assert done.expected[0].values["fill_price"] < PRICE * 9_951 // 10_000
    assert m.base_of(ACCOUNT, ETH) == 0
    assert m.end().touched == (ACCOUNT,)


def test_force__no_bound__is_refused_by_its_name() -> None:
    m, order = silent()
    assert m.refuse(Force(order)).name == "OrderBook_NotSilent"
    m.begin(m.now + FORCED_WINDOW)
    assert m.refuse(Force(order)).name == "Oracle_NoBound"


def test_shut_down__each_step__is_told_and_closes_everything() -> None:
    m = opened()
    steps: list[tuple[ShutDownStep, int]] = [
        ("declareDead", DECLARE_SECONDS + 1),
        ("confirmDead", DEAD_ORACLE_SECONDS),
        ("closeDead", CLOSING_SECONDS),
    ]
    told = []
    for step, seconds in steps:
        m.begin(m.now + seconds)
        told += [one.event for one in m.do(ShutDown(ETH, step)).expected]
        m.end()
    assert told == ["DeclaredDead", "ConfirmedDead", "MarketClosed"]
    assert m.model.open_interest(ETH) == (0, 0)
    m.begin(m.now + 1)
    done = m.do(Settle(ACCOUNT, ETH))
    assert done.expected[0].values == {"account": ACCOUNT, "cash": done.result}
    assert m.model.markets_bitmap(ACCOUNT) == 0


def test_request_exit__all_shares__are_paid_out_after_the_cooldown() -> None:
    m = mirror()
    provider = m.roles.provider.number
    m.begin(START + 1)
    m.do(Deposit(ids.pack(provider), 1_000 * UNIT))
    number = m.do(RequestEntry("fund", provider, 1_000 * UNIT)).result
    m.begin(m.now + 100)
    shares = m.do(ExecuteRequest("fund", number)).result.given
    number = m.do(RequestExit("fund", provider, shares)).result
    m.begin(m.now + 100)
    assert m.do(ExecuteRequest("fund", number)).result.given == 1_000 * UNIT
    assert m.model.cash_of(ids.pack(provider)) == 1_000 * WAD
