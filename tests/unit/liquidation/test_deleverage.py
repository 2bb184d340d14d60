"""Deleveraging that is due: when it is, what it closes at which price, and that it comes before anything else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import (
    BTC,
    DOUBTFUL,
    DOWN,
    ETH,
    ETH_PRICE,
    GRACE,
    KEEPER,
    PROVIDER,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import ANYONE, Evm, Receipt, reverts
from tests.support.signed import Signed
from tests.unit.liquidation.conftest import SetEquity, sick
from tests.unit.market.conftest import Desk, open_desk
from tests.unit.market.reference import (
    Deleveraged,
    Side,
    ceil_div,
    deleveraged,
    fill_price,
    notional,
    ownerless,
    split,
    trading_fee,
    trunc_div,
)

SIGNS = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
HEAVY = (1_000 * WAD, 333 * WAD + 7, 167 * WAD)
LIGHT = 500 * WAD
SKEW = sum(HEAVY) - LIGHT


@pytest.fixture
def desk(evm: Evm) -> Desk:
    return open_desk(evm)


def crowd(desk: Desk, sign: int, heavy: tuple[int, ...] = HEAVY, light: int = LIGHT) -> list[int]:
    """Accounts of the heavy side, then one of the light side; in a block in which ETH was accrued."""
    accounts = [desk.rich(f"heavy {number}") for number in range(len(heavy))]
    light_account = desk.rich("light", 20_000_000)
    if light:
        desk.trade(light_account, -sign * light)
    for account, size in zip(accounts, heavy, strict=True):
        desk.trade(account, sign * size)
    return [*accounts, light_account]


def set_capital(core: Core, wanted: int) -> None:
    """The pool's capital in ETH, accrued, is `wanted`: a bystander gives or gets it, so that the ledger adds up."""
    bystander = core.track(account_id(actor("bystander")))
    if core.cash(bystander) < 50_000_000 * WAD:
        core.fund_account(bystander, 100_000_000)
    core.market.accrue(ETH, sender=ANYONE)
    change = wanted - core.market.poolCapital(ETH)[0]
    core.vault.post([(core.pool_account(ETH), change, 0, 0), (bystander, -change, 0, 0)], sender=core.pool)
    assert core.market.poolCapital(ETH)[0] == wanted


def expected(core: Core, price: int = ETH_PRICE) -> Deleveraged:
    """What is due of the state as it is now."""
    s = core.market.marketState(ETH)
    return deleveraged(
        Side(s.longG, s.longK, s.openLong, s.longEpoch),
        Side(s.shortG, s.shortK, s.openShort, s.shortEpoch),
        s.poolQuote,
        core.cash(core.pool_account(ETH)),
        price,
    )


def assert_state(core: Core, wanted: Deleveraged) -> None:
    s = core.market.marketState(ETH)
    assert Side(s.longG, s.longK, s.openLong, s.longEpoch) == wanted.long
    assert Side(s.shortG, s.shortK, s.openShort, s.shortEpoch) == wanted.short
    assert s.poolQuote == wanted.pool_quote


def assert_event(receipt: Receipt, wanted: Deleveraged) -> None:
    assert wanted.closing is not None
    event = receipt.event("Deleveraged")
    assert event["marketId"] == ETH
    assert tuple(event.args.values())[1:] == wanted.closing


def deleverage(core: Core) -> Receipt:
    receipt: Receipt = core.liquidator.deleverage(ETH, [], sender=KEEPER)
    return receipt


def check_sums(core: Core, events: int = 1) -> None:
    base = ownerless(events, len(core.accounts), 4_000 * WAD)
    core.check_sums(10**6 + events * (base + 1) * 10_000, base)


# --- when ---


@SIGNS
def test_deleverage__three_times_the_capital_and_a_dollar__is_not_due_and_a_wei_less_is(desk: Desk, sign: int) -> None:
    """LQ-04, for both sides: due iff ⌈|k| P⌉ > 3 E + 1 dollar."""
    core = desk.core
    crowd(desk, sign)
    exposure = notional(SKEW, ETH_PRICE)
    least = ceil_div(exposure - WAD, 3)
    set_capital(core, least)
    assert expected(core).closing is None
    with reverts("Liquidator_NothingDue", ETH):
        deleverage(core)
    set_capital(core, least - 1)
    wanted = expected(core)
    assert_event(deleverage(core), wanted)
    assert_state(core, wanted)
    check_sums(core)


@SIGNS
def test_deleverage__down_to_twice_the_capital(desk: Desk, sign: int) -> None:
    """LQ-04: at the price itself, so that the pool's capital is what it was; afterwards nothing is due."""
    core = desk.core
    crowd(desk, sign)
    capital = 900_000 * WAD
    set_capital(core, capital)
    event = deleverage(core).event("Deleveraged")
    assert (event["isLong"], event["price"]) == (sign > 0, ETH_PRICE)
    left = core.market.skew(ETH) * sign
    assert 0 <= left - 2 * capital * WAD // ETH_PRICE <= 1 + sum(HEAVY) // WAD + 1
    assert abs(core.market.poolCapital(ETH)[0] - capital) <= 10**8
    with reverts("Liquidator_NothingDue", ETH):
        deleverage(core)
    check_sums(core)


@SIGNS
def test_deleverage__of_a_dollar_or_less__never_due(desk: Desk, sign: int) -> None:
    """What rounding leaves of a skew is no reason to close anybody, however bad the pool's account is."""
    core = desk.core
    dollar = WAD * WAD // ETH_PRICE
    _, light = crowd(desk, sign, (10 * WAD + dollar,), 10 * WAD)
    set_capital(core, -WAD)
    assert core.market.skew(ETH) == sign * dollar
    with reverts("Liquidator_NothingDue", ETH):
        deleverage(core)
    desk.fill(light, sign, -sign * ETH_PRICE // WAD)
    assert notional(dollar + 1, ETH_PRICE) > WAD
    assert deleverage(core).event("Deleveraged")["isLong"] == (sign > 0)
    assert abs(core.market.skew(ETH)) <= 10
    core.check_sums(10**6, 20)


def test_deleverage__without_a_skew__is_not_due(desk: Desk) -> None:
    """There is no heavy side: a hole at k = 0 is nobody's to fill."""
    crowd(desk, 1, (500 * WAD,), 500 * WAD)
    set_capital(desk.core, -1_000_000 * WAD)
    with reverts("Liquidator_NothingDue", ETH):
        deleverage(desk.core)


def test_deleverage__unlisted_market__is_refused(desk: Desk) -> None:
    with reverts("PerpMarket_NotListed", 3):
        desk.core.liquidator.deleverage(3, [], sender=KEEPER)


# --- the insolvent pool ---


@SIGNS
@pytest.mark.parametrize("capital", [1, 0, -1, -WAD, -1_000_000 * WAD])
def test_deleverage__pool_insolvent__closes_all_at_the_price_at_which_it_is_worth_nothing(
    desk: Desk, sign: int, capital: int
) -> None:
    """LQ-04: the winners of the heavy side get all that the pool's account has, each his part of it."""
    core = desk.core
    crowd(desk, sign)
    set_capital(core, capital)
    wanted = expected(core)
    receipt = deleverage(core)
    assert_event(receipt, wanted)
    assert_state(core, wanted)
    price = receipt.event("Deleveraged")["price"]
    if capital == 1:
        assert price == ETH_PRICE  # still solvent
    backing = SKEW * ETH_PRICE // WAD * sign + capital
    assert abs(price - backing * WAD // (sign * SKEW)) <= 1
    assert (price <= ETH_PRICE) if sign > 0 else (price >= ETH_PRICE)
    assert 0 <= core.market.skew(ETH) * sign <= 2 + sum(HEAVY) // WAD
    assert abs(core.market.poolCapital(ETH)[0]) <= 10**8
    check_sums(core)


@SIGNS
def test_deleverage__hole_beyond_what_the_skew_is_worth__is_nobodys(desk: Desk, sign: int) -> None:
    """Nobody gives up more than the index a unit: longs get nothing, shorts pay twice; the rest stays, at k = 0."""
    core = desk.core
    crowd(desk, sign)
    exposure = notional(SKEW, ETH_PRICE)
    set_capital(core, -exposure - 7 * WAD)
    event = deleverage(core).event("Deleveraged")
    assert event["price"] == (0 if sign > 0 else 2 * ETH_PRICE)
    assert abs(core.market.poolCapital(ETH)[0] + 7 * WAD) <= 10**8
    check_sums(core)


def test_deleverage__hole_and_a_small_skew__is_not_divided_by_it(desk: Desk) -> None:
    """A hole as bad debt leaves it, and a thousand dollars of skew to the short side: whoever made that skew would
    have had all shorts fill the hole at a price of millions."""
    core = desk.core
    *_, light = crowd(desk, -1, (500 * WAD,), 500 * WAD)
    set_capital(core, -1_000_000 * WAD)
    short = core.trader("heavy 0")
    before = core.market.equity(short)
    third = WAD // 3 + 1
    event = desk.trade(light, -third).event("Deleveraged")
    assert (event["isLong"], event["price"]) == (False, 2 * ETH_PRICE)
    assert 0 <= before - core.market.equity(short) <= 1_000 * WAD + 10**6
    check_sums(core)


# --- what positions become ---


@SIGNS
@pytest.mark.parametrize("capital", [900_000 * WAD, -500_000 * WAD])
def test_deleverage__each_position_touched_afterwards__sums_to_the_wei(desk: Desk, sign: int, capital: int) -> None:
    """Whatever the order in which they are settled: base and quote in the scale's proportion, and what is realised."""
    core = desk.core
    *heavy, light = crowd(desk, sign)
    set_capital(core, capital)
    before = {account: desk.position(account) for account in heavy}
    untouched = desk.position(light)
    s = core.market.marketState(ETH)
    g, k = (s.longG, s.longK) if sign > 0 else (s.shortG, s.shortK)
    wanted = expected(core)
    side = wanted.long if sign > 0 else wanted.short
    assert wanted.closing is not None
    deleverage(core)
    paid = 0
    for account in reversed(heavy):
        base, quote, owed = before[account]
        kept = trunc_div(quote * side.k, k)
        owed += ceil_div(base * (side.g - g), k) - (quote - kept)
        now = (trunc_div(base * side.k, k), kept)
        assert desk.position(account) == (*now, owed)
        cash = core.cash(account)
        desk.fill(account, 0, 0)
        assert core.cash(account) == cash - owed
        assert desk.position(account) == (*now, 0)
        paid += -owed - (quote - kept)
    assert desk.position(light) == untouched
    dust = wanted.closing.flow - paid if sign > 0 else -paid - wanted.closing.flow
    assert 0 <= dust <= len(heavy) + 1 + sum(HEAVY) // k + 1
    check_sums(core)


@SIGNS
def test_deleverage__the_price__favours_nobody_who_is_solvent(desk: Desk, sign: int) -> None:
    """Closed at the index: each one's equity there is what it was, but for rounding."""
    core = desk.core
    accounts = crowd(desk, sign)
    set_capital(core, 900_000 * WAD)
    before = [core.market.equity(account) for account in accounts]
    deleverage(core)
    after = [core.market.equity(account) for account in accounts]
    assert all(abs(a - b) <= 10**6 for a, b in zip(before, after, strict=True))


@settings(max_examples=40)
@given(
    sign=st.sampled_from([1, -1]),
    heavy=st.lists(st.integers(WAD, 1_000 * WAD), min_size=1, max_size=3),
    light=st.just(0) | st.integers(WAD, 999 * WAD),
    capital=st.integers(-2_000_000 * WAD, 3_000_000 * WAD),
    price=st.integers(1_000 * WAD, 9_000 * WAD),
)
def test_deleverage__any_state__as_the_specification_says(
    sign: int, heavy: list[int], light: int, capital: int, price: int
) -> None:
    desk = open_desk(Evm())
    core = desk.core
    accounts = crowd(desk, sign, tuple(heavy), min(light, sum(heavy)) if light else 0)
    desk.next_block(price)
    events = 1 if core.evm.timestamp and core.market.marketState(ETH).longK != 10**27 else 0
    set_capital(core, capital)
    wanted = expected(core, price)
    if wanted.closing is None:
        with reverts("Liquidator_NothingDue", ETH):
            deleverage(core)
    else:
        receipt = deleverage(core)
        assert_event(receipt, wanted)
        assert_state(core, wanted)
        with reverts("Liquidator_NothingDue", ETH):
            deleverage(core)
    for account in accounts:
        desk.fill(account, 0, 0)
    core.token.mint(core.vault, 1)  # dust may be negative, by what is ownerless
    base = ownerless(events + 1, len(accounts), 4_000 * WAD)
    core.check_sums(core.unit + (base + 1) * 10**5, base)


# --- who and when else ---


def test_deleverage__by_anyone__and_by_accrue_of_the_market(desk: Desk) -> None:
    crowd(desk, 1)
    set_capital(desk.core, WAD)
    with desk.isolated():
        desk.core.liquidator.deleverage(ETH, [], sender=ANYONE).event("Deleveraged")
    receipt = desk.core.market.accrue(ETH, sender=ANYONE)
    receipt.event("Deleveraged")
    assert receipt.value is True


def test_deleverage__other_market__is_left_alone(desk: Desk) -> None:
    core = desk.core
    crowd(desk, 1)
    set_capital(core, WAD)
    before = tuple(core.market.marketState(BTC))
    with reverts("Liquidator_NothingDue", BTC):
        core.liquidator.deleverage(BTC, [], sender=KEEPER)
    deleverage(core)
    assert tuple(core.market.marketState(BTC)) == before


def test_deleverage__price_data__is_recorded_first(desk: Desk) -> None:
    core = desk.core
    crowd(desk, 1)
    set_capital(core, 1_100_000 * WAD)
    with reverts("Liquidator_NothingDue", ETH):
        deleverage(core)
    core.evm.advance(1)
    data = b"".join(word.to_bytes(32, "big") for word in (ETH, 4_000 * WAD, 0, core.evm.timestamp, 0))
    event = core.liquidator.deleverage(ETH, [data], sender=KEEPER).event("Deleveraged")
    assert event["price"] > ETH_PRICE
    assert core.oracle.price(ETH)[0] == 4_000 * WAD
    check_sums(core)


@pytest.mark.parametrize("state", [DOUBTFUL, GRACE, DOWN])
def test_deleverage__state_of_the_price_and_a_halt__do_not_matter(desk: Desk, state: int) -> None:
    """A guardian's halt is of opening: he can't keep the pool in what it can't bear."""
    core = desk.core
    crowd(desk, 1)
    set_capital(core, 900_000 * WAD)
    core.halt(ETH, 3_600)
    core.evm.advance(1)
    core.record(ETH, state=state)
    event = deleverage(core).event("Deleveraged")
    assert (event["isLong"], event["price"]) == (True, ETH_PRICE)


# --- first in everything ---


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm)


Act = Callable[[Core], Receipt]


def prepared(core: Core, set_equity: SetEquity) -> dict[str, Act]:
    """Each way to touch the market, ready to go: longs of 1,400, shorts of 500, 100 of them sick and 100 bankrupt."""
    core.set_params(ETH, openInterestBps=100_000)
    signed = Signed(core)
    maker, taker = signed.trader("maker", 500_000), signed.trader("matched", 500_000)
    long, short = core.trader("long", 5_000_000), core.trader("short", 5_000_000)
    weak, broke = core.trader("weak", 500_000), core.trader("broke", 500_000)
    core.open(short, ETH, -300 * WAD)
    core.open(long, ETH, 1_400 * WAD)
    for account in (weak, broke):
        core.open(account, ETH, -100 * WAD)
    entering = core.trader("entering", 100_000)
    enter = core.request_deposit(core.pool, entering, core.amount(100_000))
    core.tick(58)
    order = core.order(short, ETH, -WAD)
    core.place(order)
    core.tick(2)
    set_equity(weak, core.market.healthOf(weak)[1] // 2)
    set_equity(broke, -10_000 * WAD)
    made, taken = signed.limit(maker, ETH, -10 * WAD, ETH_PRICE), signed.limit(taker, ETH, 10 * WAD, ETH_PRICE)
    orders = (made, signed.order(made), taken, signed.order(taken), 10 * WAD)
    taker_owner = owner_of(long)
    return {
        "trade": lambda c: c.execute(order),
        "match": lambda c: c.order_book.matchOrders(*orders, sender=KEEPER),
        "takeOver": lambda c: c.liquidator.takeOver(weak, ETH, -100 * WAD, long, b"", [], sender=taker_owner),
        "liquidate": lambda c: c.liquidator.liquidate(weak, ETH, [], sender=KEEPER),
        "absorb": lambda c: c.liquidator.absorb(broke, [], sender=KEEPER),
        "entry": lambda c: c.pool.executeRequest(enter, sender=KEEPER),
    }


def everything(core: Core) -> list[object]:
    """State of the market, and every account's cash and position."""
    accounts = [*core.known_accounts(), core.track(account_id(KEEPER))]
    held = [(core.vault.balanceOf(account), core.market.position(account, ETH)) for account in accounts]
    return [tuple(core.market.marketState(ETH)), held, core.pool.totalAssets(), core.market.unsweptFees(ETH)]


@pytest.mark.parametrize("name", ["trade", "match", "takeOver", "liquidate", "absorb", "entry"])
def test_deleverage__due_when_a_market_is_touched__comes_first(core: Core, set_equity: SetEquity, name: str) -> None:
    """As if somebody had called `deleverage` a moment before: nobody is filled, closed, or paid ahead of it."""
    act = prepared(core, set_equity)[name]
    set_capital(core, 700_000 * WAD)
    with core.evm.isolated():
        deleverage(core).event("Deleveraged")
        assert "Deleveraged" not in [log.name for log in act(core).logs]
        wanted = everything(core)
    receipt = act(core)
    names = [log.name for log in receipt.logs]
    assert names.count("Deleveraged") == 1
    firsts = ("Traded", "Filled", "TakenOver", "Liquidated", "PositionAbsorbed", "Deposit")
    assert all(names.index("Deleveraged") < at for at, other in enumerate(names) if other in firsts)
    assert everything(core) == wanted
    check_sums(core)


def test_deleverage__due_at_an_exit__comes_first(core: Core) -> None:
    """A provider can't leave ahead of it with what the winners' closing takes from the others."""
    core.open(core.trader("long", 5_000_000), ETH, 1_400 * WAD)
    leave = core.request_redeem(core.pool, account_id(PROVIDER), core.pool.balanceOf(PROVIDER) // 100)
    core.tick(86_400)
    set_capital(core, -100_000 * WAD)
    with core.evm.isolated():
        deleverage(core).event("Deleveraged")
        assert not core.pool.executeRequest(leave, sender=KEEPER).events("Deleveraged")
        wanted = everything(core)
    names = [log.name for log in core.pool.executeRequest(leave, sender=KEEPER).logs]
    assert names.index("Deleveraged") < names.index("Withdraw")
    assert everything(core) == wanted
    check_sums(core)


def test_deleverage__of_who_was_sick__may_heal_him(
    core: Core, set_equity: SetEquity, weaken: Callable[[int, int], int]
) -> None:
    """A position that is cut needs less maintenance: who was below it may not be, and is then left alone."""
    account = sick(core, weaken)
    core.open(core.trader("other", 5_000_000), ETH, 1_300 * WAD)
    set_equity(account, core.market.healthOf(account)[1] * 6 // 10)
    assert core.liquidator.isLiquidatable(account)
    set_capital(core, 700_000 * WAD)
    with core.evm.isolated():
        deleverage(core)
        equity, required = core.market.healthOf(account)
        assert equity > required
    with reverts("Liquidator_Healthy", account, equity, required):
        core.liquidator.liquidate(account, ETH, [], sender=KEEPER)


# --- last in a trade ---


@SIGNS
def test_trade__reducing_the_light_side__deleverages_what_it_makes_due(desk: Desk, sign: int) -> None:
    """The light side may always close; what that leaves with the pool beyond its leverage is closed in that trade."""
    core = desk.core
    *_, light = crowd(desk, sign)
    set_capital(core, 1_100_000 * WAD)
    assert expected(core).closing is None
    s, base = core.market.marketState(ETH), sign * 200 * WAD
    skew = sign * SKEW
    _, quote = fill_price(skew, base, ETH_PRICE)
    fee = trading_fee(skew, base, quote)
    long, short = s.openLong, s.openShort
    long, short = (long, short - 200 * WAD) if sign > 0 else (long - 200 * WAD, short)
    wanted = deleveraged(
        Side(s.longG, s.longK, long, s.longEpoch),
        Side(s.shortG, s.shortK, short, s.shortEpoch),
        s.poolQuote - quote + split(fee).pool,
        core.cash(core.pool_account(ETH)),
        ETH_PRICE,
    )
    receipt = desk.trade(light, base)
    assert_event(receipt, wanted)
    assert_state(core, wanted)
    assert receipt.event("Traded")["fee"] == fee
    assert desk.position(light)[0] == -sign * 300 * WAD
    check_sums(core)


@SIGNS
def test_trade__reducing_the_heavy_side__makes_nothing_due(desk: Desk, sign: int) -> None:
    core = desk.core
    heavy, *_ = crowd(desk, sign)
    set_capital(core, 1_000_001 * WAD)
    assert not desk.trade(heavy, -sign * 100 * WAD).events("Deleveraged")


@SIGNS
def test_trade__last_of_the_light_side__is_never_refused(desk: Desk, sign: int) -> None:
    """All of it, with a pool that has nothing: who trades gets his price, and the heavy side bears what that leaves."""
    core = desk.core
    *_, light = crowd(desk, sign)
    set_capital(core, 1_000_001 * WAD)
    receipt = desk.trade(light, sign * LIGHT)
    receipt.event("Deleveraged")
    assert desk.position(light) == (0, 0, 0)
    check_sums(core)


# --- what it costs ---


def deleveraging_gas(positions: int, size: int) -> int:
    """Gas of deleveraging so many longs of one size, each of an account of its own."""
    desk = open_desk(Evm(), markets=1, pool_dollars=60_000_000)
    core = desk.core
    accounts = [account_id(actor("many"), 0, index) for index in range(positions)]
    postings = [(account, size * 1_500, 0, 0) for account in accounts]
    for start in range(0, positions, 500):
        core.vault.post(postings[start : start + 500], sender=core.pool)
    record = core.oracle.newest(ETH)
    for account in accounts:
        trade = (account, ETH, size, 10**30, False, 0, 0, KEEPER, record, record)
        core.market.trade(trade, sender=core.order_book)
    bystander = core.track(account_id(actor("bystander")))
    change = 2_000_000 * WAD - core.market.poolCapital(ETH)[0]
    core.vault.post([(core.pool_account(ETH), change, 0, 0), (bystander, -change, 0, 0)], sender=core.pool)
    desk.core.tick(1)
    receipt = deleverage(core)
    assert receipt.event("Deleveraged")["fraction"] > WAD // 2
    gas: int = receipt.gas_used
    return gas


def test_deleverage__ten_thousand_positions__cost_no_more_than_ten() -> None:
    """It reads no position: the open interest is the same, and so is the gas, to the unit."""
    assert deleveraging_gas(10, 340 * WAD) == deleveraging_gas(10_000, 34 * WAD // 100)
