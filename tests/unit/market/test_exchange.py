"""PerpMarket.exchange: base and quote from one account to another, as a match and as a take-over."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import BTC, BTC_PRICE, ETH, ETH_PRICE, KEEPER, SCALES, WAD, account_id, actor
from tests.support.evm import ANYONE, reverts
from tests.unit.market.conftest import Desk, signed
from tests.unit.market.reference import Slot, filled, split

KEEPER_ACCOUNT = account_id(KEEPER)
BOTH = pytest.mark.parametrize("is_match", [True, False], ids=["match", "take_over"])


@pytest.mark.parametrize("sender", ["anyone", "matching", "pool", "fund", "vault", "configurator"])
def test_exchange__by_anybody_but_order_book_and_liquidator__is_refused(desk: Desk, trader: int, sender: str) -> None:
    """PM-03"""
    by = ANYONE if sender == "anyone" else getattr(desk.core, sender)
    with reverts("PerpMarket_NotModule", by):
        desk.exchange(trader, desk.rich("taker"), WAD, -ETH_PRICE, is_match=True, sender=by)


@BOTH
@pytest.mark.parametrize("held", [10 * WAD, -10 * WAD])
@pytest.mark.parametrize("theirs", [0, 4 * WAD, -4 * WAD, 10 * WAD, -10 * WAD, -5 * WAD, 5 * WAD])
def test_exchange__is_one_transfer_and_its_fees_are_split(
    desk: Desk, trader: int, held: int, theirs: int, is_match: bool
) -> None:
    """PM-03: one gets what the other gives; both fees together are split as one fee is."""
    taker = desk.rich("taker")
    desk.trade(trader, held)
    if theirs:
        desk.trade(taker, theirs)
    cash, (_, quote, _) = desk.core.cash(trader), desk.position(trader)
    taker_cash, (_, taker_quote, _) = desk.core.cash(taker), desk.position(taker)
    pool_quote, unswept = desk.pool_quote(), desk.core.market.unsweptFees(ETH)
    skew, keeper = desk.core.market.skew(ETH), desk.core.cash(KEEPER_ACCOUNT)
    base = held // 2
    more = -(base * 2_990 * WAD // WAD)
    fees, payment = (7 * WAD + 1, 3 * WAD + 1), 2 * WAD + 1
    receipt = desk.exchange(
        trader, taker, base, more, is_match=is_match, taker_fee=fees[0], giver_fee=fees[1], payment=payment
    )
    left, left_quote, released = filled(held, quote, -base, -more)
    got, got_quote, got_cash = filled(theirs, taker_quote, base, more)
    assert [event.args for event in receipt.events("Filled")] == [
        {
            "account": taker,
            "marketId": ETH,
            "counter": trader,
            "base": base,
            "quote": more,
            "newBase": got,
            "newQuote": got_quote,
        },
        {
            "account": trader,
            "marketId": ETH,
            "counter": taker,
            "base": -base,
            "quote": -more,
            "newBase": left,
            "newQuote": left_quote,
        },
    ]
    assert desk.position(trader) == (left, left_quote, 0)
    assert desk.position(taker) == (got, got_quote, 0)
    assert desk.slot(trader) == Slot(cash + released - fees[1], 0, 1)
    assert desk.slot(taker) == Slot(taker_cash + got_cash - fees[0] - payment, 0, 1 if got else 0)
    assert desk.core.cash(KEEPER_ACCOUNT) == keeper + payment
    parts = split(sum(fees))
    assert desk.core.market.unsweptFees(ETH) == (unswept[0] + parts.insurance, unswept[1] + parts.treasury)
    assert desk.pool_quote() == pool_quote + parts.pool
    assert desk.core.market.skew(ETH) == skew
    desk.core.check_sums(dust_bound=0)


@BOTH
def test_exchange__all_of_it__closes_one_and_opens_the_other(desk: Desk, trader: int, is_match: bool) -> None:
    taker = desk.rich("taker")
    desk.trade(trader, 10 * WAD)
    desk.exchange(trader, taker, 10 * WAD, -10 * ETH_PRICE, is_match=is_match)
    assert desk.position(trader) == (0, 0, 0)
    assert desk.position(taker) == (10 * WAD, -10 * ETH_PRICE, 0)
    assert (desk.slot(trader).markets, desk.slot(taker).markets) == (0, 1)
    assert desk.core.market.openInterest(ETH) == (10 * WAD, 0)


def test_exchange__of_two_without_positions__opens_both(desk: Desk, trader: int) -> None:
    """The pool and the skew are no part of it."""
    taker, state = desk.rich("taker"), desk.core.market.marketState(ETH)
    desk.exchange(trader, taker, 10 * WAD, -10 * ETH_PRICE, is_match=True)
    assert desk.position(trader) == (-10 * WAD, 10 * ETH_PRICE, 0)
    assert desk.position(taker) == (10 * WAD, -10 * ETH_PRICE, 0)
    assert (desk.slot(trader).markets, desk.slot(taker).markets) == (1, 1)
    assert desk.core.market.openInterest(ETH) == (10 * WAD, 10 * WAD)
    after = desk.core.market.marketState(ETH)
    assert (after.poolQuote, after.rate) == (state.poolQuote, state.rate)
    desk.core.check_sums(dust_bound=0)


@BOTH
def test_exchange__after_time_passed__accrues_once_and_settles_both(desk: Desk, trader: int, is_match: bool) -> None:
    taker = desk.rich("taker")
    desk.trade(trader, 100 * WAD)
    desk.trade(taker, -30 * WAD)
    cash, (_, quote, _) = desk.core.cash(trader), desk.position(trader)
    taker_cash, (_, taker_quote, _) = desk.core.cash(taker), desk.position(taker)
    desk.core.tick(3_600)
    owed, taker_owed = desk.position(trader)[2], desk.position(taker)[2]
    assert owed > 0 > taker_owed
    state = desk.core.market.marketState(ETH)
    receipt = desk.exchange(trader, taker, 100 * WAD, -100 * ETH_PRICE, is_match=is_match)
    assert receipt.event("Accrued").args == {
        "marketId": ETH,
        "rate": state.rate,
        "longG": state.longG,
        "shortG": state.shortG,
        "poolQuote": state.poolQuote,
    }
    assert desk.core.cash(trader) == cash + quote + 100 * ETH_PRICE - owed
    _, _, got_cash = filled(-30 * WAD, taker_quote, 100 * WAD, -100 * ETH_PRICE)
    assert desk.core.cash(taker) == taker_cash + got_cash - taker_owed
    assert desk.position(trader) == (0, 0, 0)
    desk.core.check_sums()


@BOTH
def test_exchange__in_one_of_two_markets__leaves_the_others_bits(desk: Desk, trader: int, is_match: bool) -> None:
    taker = desk.rich("taker")
    for account in (trader, taker):
        desk.trade(account, WAD // 10, market=BTC)
    desk.trade(trader, WAD)
    desk.exchange(trader, taker, WAD, -ETH_PRICE, is_match=is_match)
    assert (desk.slot(trader).markets, desk.slot(taker).markets) == (0b10, 0b11)


# --- the payment ---


def test_exchange__payment_to_the_taker_himself__backs_no_margin(desk: Desk, trader: int) -> None:
    """It is paid last: he has to have it without it, and has it back after."""
    taker = desk.core.trader("taker")
    needed = _initial(desk, taker, 10 * WAD)
    desk.core.post(taker, needed + 5 * WAD - 1)

    def exchange() -> None:
        quote = -10 * ETH_PRICE
        desk.exchange(trader, taker, 10 * WAD, quote, is_match=True, payee=actor("taker"), payment=5 * WAD)

    with reverts("PerpMarket_InsufficientMargin", taker, needed - 1, needed):
        exchange()
    desk.core.post(taker, 1)
    exchange()
    assert desk.core.cash(taker) == needed + 5 * WAD


def _initial(desk: Desk, account: int, base: int) -> int:
    """Initial margin of `base` in ETH besides what the account has, at the newest price."""
    with desk.isolated():
        desk.core.post(account, 10**8 * WAD)
        desk.exchange(desk.rich("another"), account, base, -(base * ETH_PRICE // WAD), is_match=True)
        required: int = desk.core.market.requirements(account)[0]
    return required


# --- who may grow ---


@BOTH
def test_exchange__market_not_listed__is_refused(desk: Desk, trader: int, is_match: bool) -> None:
    with reverts("PerpMarket_NotListed", 3):
        desk.exchange(trader, desk.rich("taker"), WAD, -ETH_PRICE, market=3, is_match=is_match)


@BOTH
def test_exchange__taker_isolated_in_another_market__is_refused(desk: Desk, trader: int, is_match: bool) -> None:
    taker = desk.rich("taker", isolated_market=BTC)
    desk.trade(trader, 10 * WAD)
    with reverts("PerpMarket_WrongMarket", taker, ETH):
        desk.exchange(trader, taker, WAD, -ETH_PRICE, is_match=is_match)


def test_exchange__maker_isolated_in_another_market__is_refused(desk: Desk, trader: int) -> None:
    maker = desk.rich("maker", isolated_market=BTC)
    with reverts("PerpMarket_WrongMarket", maker, ETH):
        desk.exchange(maker, trader, WAD, -ETH_PRICE, is_match=True)


@BOTH
def test_exchange__cross_account_in_an_isolated_only_market__may_shrink_and_not_open(
    desk: Desk, is_match: bool
) -> None:
    holder, newcomer = desk.rich("holder"), desk.rich("newcomer")
    isolated = desk.rich("isolated", isolated_market=ETH)
    desk.trade(holder, -5 * WAD)
    desk.trade(isolated, 10 * WAD)
    desk.core.set_params(ETH, isolatedOnly=True)
    with reverts("PerpMarket_IsolatedOnly", ETH):
        desk.exchange(isolated, newcomer, WAD, -ETH_PRICE, is_match=is_match)
    desk.exchange(isolated, holder, WAD, -ETH_PRICE, is_match=is_match)
    assert desk.position(holder)[0] == -4 * WAD
    desk.exchange(isolated, desk.rich("other", isolated_market=ETH), WAD, -ETH_PRICE, is_match=is_match)
    if is_match:
        with reverts("PerpMarket_IsolatedOnly", ETH):
            desk.exchange(newcomer, isolated, WAD, -ETH_PRICE, is_match=True)


@pytest.mark.parametrize("side", ["match_taker", "match_maker", "take_over_taker"])
def test_exchange__account_with_eight_markets__opens_no_ninth(desk: Desk, side: str) -> None:
    while desk.core.market.marketCount() < 9:
        market = desk.core.list_market(BTC_PRICE, SCALES[BTC])
        desk.core.post(desk.core.pool_account(market), 10_000_000 * WAD)
    other, full = desk.rich("other"), desk.rich("full")
    desk.trade(other, 2 * WAD, market=9)
    for market in range(1, 9):
        desk.trade(full, WAD, market=market)

    def exchange() -> None:
        giver, taker = (full, other) if side == "match_maker" else (other, full)
        desk.exchange(giver, taker, WAD, -BTC_PRICE, market=9, is_match=side != "take_over_taker")

    with reverts("PerpMarket_TooManyMarkets", full):
        exchange()
    desk.trade(full, -WAD, market=8)
    exchange()
    exchange()
    assert desk.slot(full).markets == 0b1_0111_1111
    desk.core.check_sums()


@pytest.mark.parametrize(("state", "halt"), [(0, 600), (1, 0), (2, 0), (3, 0)])
def test_exchange__where_nothing_opens__a_match_may_only_reduce_and_a_take_over_is_free(
    desk: Desk, trader: int, state: int, halt: int
) -> None:
    """Each side that would grow is refused; a match in which both shrink, and any take-over, makes no risk."""
    other = desk.rich("other")
    desk.trade(trader, 10 * WAD)
    desk.trade(other, -10 * WAD)
    newcomer = desk.rich("newcomer")
    desk.next_block(state=state)
    until = desk.core.evm.timestamp + halt if halt else 0
    if halt:
        desk.core.halt(ETH, halt)
    refused = ("PerpMarket_OpeningHalted", ETH, state, until)
    with reverts(*refused):
        desk.exchange(trader, newcomer, 5 * WAD, -5 * ETH_PRICE, is_match=True)
    with reverts(*refused):
        desk.exchange(newcomer, other, 5 * WAD, -5 * ETH_PRICE, is_match=True)
    desk.exchange(trader, other, 5 * WAD, -5 * ETH_PRICE, is_match=True)
    desk.exchange(trader, newcomer, 5 * WAD, -5 * ETH_PRICE, is_match=False)
    assert (desk.position(trader)[0], desk.position(newcomer)[0]) == (0, 5 * WAD)


@pytest.mark.parametrize("side", ["match_taker", "match_maker", "take_over_taker"])
def test_exchange__account_with_another_market_stale__may_shrink_and_not_grow(desk: Desk, side: str) -> None:
    other, blind = desk.rich("other"), desk.rich("blind")
    for account in (other, blind):
        desk.trade(account, 10 * WAD if account == other else -10 * WAD)
    desk.trade(blind, WAD, market=BTC)
    published = desk.core.evm.timestamp
    desk.core.evm.advance(16)
    desk.core.record(ETH)

    def exchange(size: int) -> None:
        """`size` more for the one who can't see, who is short."""
        base, quote = -size, size * ETH_PRICE // WAD
        if side == "match_maker":
            desk.exchange(blind, other, -base, -quote, is_match=True)
        else:
            desk.exchange(other, blind, base, quote, is_match=side == "match_taker")

    with reverts("PerpMarket_StalePrice", BTC, published):
        exchange(5 * WAD)
    exchange(-5 * WAD)
    assert desk.position(blind)[0] == -5 * WAD


# --- reduce only ---


@pytest.mark.parametrize("theirs", [0, 5 * WAD, -5 * WAD + 1])
@pytest.mark.parametrize("side", ["taker", "maker"])
def test_exchange__reduce_only_side_that_would_not_just_shrink__is_refused(
    desk: Desk, trader: int, theirs: int, side: str
) -> None:
    """It does not clamp, as what the counterpart asked for would be less than that."""
    bound = desk.rich("bound")
    desk.trade(trader, 10 * WAD if side == "taker" else -10 * WAD)
    sign = 1 if side == "taker" else -1
    if theirs:
        desk.trade(bound, sign * theirs)

    def exchange(base: int) -> None:
        if side == "taker":
            desk.exchange(trader, bound, base, -base * ETH_PRICE // WAD, is_match=True, taker_reduces=True)
        else:
            desk.exchange(bound, trader, base, -base * ETH_PRICE // WAD, is_match=True, giver_reduces=True)

    with reverts("PerpMarket_NothingToReduce", bound, ETH):
        exchange(5 * WAD)
    if theirs < 0:
        exchange(-theirs)
        assert desk.position(bound) == (0, 0, 0)


def test_exchange__relieved_account_of_a_take_over__is_not_asked_anything(desk: Desk, trader: int) -> None:
    """Neither to reduce, nor for prices, health or a minimum: the liquidator knows why it takes."""
    taker = desk.rich("taker")
    desk.trade(trader, 10 * WAD)
    desk.trade(trader, WAD, market=BTC)
    desk.core.evm.advance(16)
    desk.core.record(ETH)
    desk.set_cash(trader, -(10**6) * WAD)
    taken = 10 * WAD - 1
    desk.exchange(trader, taker, taken, -(taken * ETH_PRICE // WAD), is_match=False, giver_reduces=True)
    assert desk.position(trader)[0] == 1


# --- what is left or grown: minimum position, open interest ---


@pytest.mark.parametrize("side", ["match_taker", "match_maker", "take_over_taker"])
@pytest.mark.parametrize("left", [0, 1])
def test_exchange__minimum_position__at_it_and_below(desk: Desk, trader: int, side: str, left: int) -> None:
    """At the newest price, for a position that is new and for what is left of one; none is left is allowed."""
    minimum = -(-1_000 * WAD * WAD // ETH_PRICE)
    below = (minimum - 1) * ETH_PRICE // WAD
    asked = desk.rich("asked")
    desk.trade(trader, -10 * WAD)
    if left:
        desk.trade(asked, 10 * WAD)

    def exchange(base: int) -> None:
        """`base` to the one who is asked."""
        quote = -base * ETH_PRICE // WAD
        if side == "match_maker":
            desk.exchange(asked, trader, -base, -quote, is_match=True)
        else:
            desk.exchange(trader, asked, base, quote, is_match=side == "match_taker")

    held = 10 * WAD * left
    with reverts("PerpMarket_BelowMinimumPosition", below, 1_000 * WAD):
        exchange(-(held + 1 - minimum) if left else -(minimum - 1))
    with desk.isolated():
        exchange(-(held - minimum) if left else -minimum)
        assert abs(desk.position(asked)[0]) == minimum
    if left:
        exchange(-held)
        assert desk.position(asked) == (0, 0, 0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("crowd", [0, 3 * WAD, -3 * WAD])
def test_exchange__open_interest__at_its_limit_and_above(desk: Desk, trader: int, sign: int, crowd: int) -> None:
    """After both fills, before the fees: ⌈OI × P⌉ ≤ capital × openInterest, of both sides; of a take-over it is not
    asked, which makes it no larger."""
    taker = desk.rich("taker")
    desk.set_skew(crowd)
    size = 10 * WAD
    larger = (size + abs(crowd)) * ETH_PRICE // WAD
    capital, _ = desk.core.market.poolCapital(ETH)
    desk.core.set_params(ETH, openInterestBps=10_000)

    def exchange() -> None:
        quote = -sign * size * ETH_PRICE // WAD
        desk.exchange(trader, taker, sign * size, quote, is_match=True, taker_fee=WAD, giver_fee=WAD)

    pool = desk.core.pool_account(ETH)
    desk.set_cash(pool, desk.core.cash(pool) - capital + larger - 1)
    with reverts("PerpMarket_OpenInterestLimit", larger, larger - 1):
        exchange()
    desk.core.post(pool, 1)
    exchange()


def test_exchange__open_interest_above_its_limit__a_growing_side_is_refused_a_shrinking_one_not(
    desk: Desk, trader: int
) -> None:
    """Even where the sum stays the same: longs may hand over to shorts, not to longs that grow."""
    taker, shrinking = desk.rich("taker"), desk.rich("shrinking")
    desk.trade(trader, 10 * WAD)
    desk.trade(shrinking, -10 * WAD)
    capital, _ = desk.core.market.poolCapital(ETH)
    desk.core.set_params(ETH, openInterestBps=1)
    limit = capital // 10_000
    for giver, to, base in ((trader, taker, 5 * WAD), (taker, trader, -5 * WAD)):
        with reverts("PerpMarket_OpenInterestLimit", 10 * ETH_PRICE, limit):
            desk.exchange(giver, to, base, -base * ETH_PRICE // WAD, is_match=True)
    desk.exchange(trader, shrinking, 5 * WAD, -5 * ETH_PRICE, is_match=True)
    desk.exchange(trader, taker, 5 * WAD, -5 * ETH_PRICE, is_match=False)
    assert desk.core.market.openInterest(ETH) == (5 * WAD, 5 * WAD)


# --- margin ---


@pytest.mark.parametrize("side", ["match_taker", "match_maker", "take_over_taker"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("off_index", [0, 5 * WAD, -5 * WAD])
@pytest.mark.parametrize("btc_move", [None, 100, -100])
def test_exchange__initial_margin_of_who_grows__at_it_and_below(
    desk: Desk, side: str, sign: int, off_index: int, btc_move: int | None
) -> None:
    """Fees and payment included; what the fill won against the index does not count, and what it lost does, nor do
    gains in other markets, and losses do."""
    other, grows = desk.rich("other"), desk.core.trader("grows", 1_000_000)
    if btc_move is not None:
        desk.trade(grows, WAD, market=BTC)
        desk.next_block(BTC_PRICE + btc_move * WAD, BTC)
    base, price = sign * 10 * WAD, ETH_PRICE + off_index
    quote = -base * price // WAD
    fee, payment = 3 * WAD, 0 if side == "match_maker" else 2 * WAD

    def exchange() -> None:
        if side == "match_maker":
            desk.exchange(grows, other, -base, -quote, is_match=True, giver_fee=fee)
        else:
            is_match = side == "match_taker"
            desk.exchange(other, grows, base, quote, is_match=is_match, taker_fee=fee, payment=payment)

    others = desk.core.market.position(grows, BTC)
    result = others[0] * desk.core.prices[BTC] // WAD + others[1] - others[2]
    required = _initial(desk, grows, base)
    lost = min(0, base * ETH_PRICE // WAD + quote) + min(0, result)
    desk.set_cash(grows, required - lost + fee + payment - 1)
    with reverts("PerpMarket_InsufficientMargin", grows, required - 1, required):
        exchange()
    desk.core.post(grows, 1)
    exchange()
    assert desk.core.cash(grows) == required - lost


def test_exchange__reserved_cash__is_no_margin(desk: Desk, trader: int) -> None:
    taker = desk.core.trader("taker")
    needed = _initial(desk, taker, 10 * WAD)
    desk.core.post(taker, needed + 5 * WAD)
    desk.core.vault.post([(taker, 0, 5 * WAD + 1, 0)], sender=desk.core.order_book)
    with reverts("PerpMarket_InsufficientMargin", taker, needed - 1, needed):
        desk.exchange(trader, taker, 10 * WAD, -10 * ETH_PRICE, is_match=True)


@pytest.mark.parametrize("side", ["match_taker", "match_maker", "take_over_taker"])
@pytest.mark.parametrize("sign", [1, -1])
def test_exchange__who_shrinks_below_maintenance__may_not_be_left_sicker(desk: Desk, side: str, sign: int) -> None:
    """E1 × M ≥ E × M1, the fee included, at health prices: at it, and a wei below."""
    other, sick = desk.rich("other"), desk.rich("sick")
    desk.trade(other, sign * 100 * WAD)
    desk.trade(sick, -sign * 80 * WAD)
    desk.core.evm.advance(1)
    desk.core.record(ETH, ETH_PRICE, 2 * WAD)
    desk.core.record(BTC)
    base, fee = sign * 40 * WAD, 90 * WAD
    price = ETH_PRICE - sign * 2 * WAD  # the health price of the sick side: the fill is at it, and wins nothing
    quote = -base * price // WAD
    with desk.isolated():
        desk.exchange(other, sick, base, quote, is_match=False)
        kept = desk.core.market.healthOf(sick)[1]
    equity, required = desk.core.market.healthOf(sick)
    least = -(-fee * required // (required - kept))
    assert least < required

    def exchange() -> None:
        if side == "match_maker":
            desk.exchange(sick, other, -base, -quote, is_match=True, giver_fee=fee)
        else:
            desk.exchange(other, sick, base, quote, is_match=side == "match_taker", taker_fee=fee)

    desk.core.post(sick, least - 1 - equity)
    with reverts("PerpMarket_LessHealthy", sick, least - 1 - fee, kept):
        exchange()
    desk.core.post(sick, 1)
    exchange()
    assert desk.core.market.healthOf(sick) == (least - fee, kept)


@BOTH
def test_exchange__who_shrinks_to_maintenance__may_be_left_sicker(desk: Desk, is_match: bool) -> None:
    """Above maintenance nobody asks: at E1 = M1 it passes, a wei below it has to be no sicker."""
    other, shrinks = desk.rich("other"), desk.rich("shrinks")
    desk.trade(other, 100 * WAD)
    desk.trade(shrinks, -80 * WAD)
    base = 10 * WAD
    with desk.isolated():
        desk.exchange(other, shrinks, base, -10 * ETH_PRICE, is_match=False)
        kept = desk.core.market.healthOf(shrinks)[1]
    equity, required = desk.core.market.healthOf(shrinks)
    fee = required  # much more than what is freed
    desk.core.post(shrinks, kept + fee - 1 - equity)
    with reverts("PerpMarket_LessHealthy", shrinks, kept - 1, kept):
        desk.exchange(other, shrinks, base, -10 * ETH_PRICE, is_match=is_match, taker_fee=fee)
    desk.core.post(shrinks, 1)
    desk.exchange(other, shrinks, base, -10 * ETH_PRICE, is_match=is_match, taker_fee=fee)
    assert desk.core.market.healthOf(shrinks) == (kept, kept)


# --- any sums ---


@settings(max_examples=60)
@given(
    held=signed(WAD, 500 * WAD),
    theirs=signed(WAD, 500 * WAD),
    part=st.integers(1, WAD),
    off_index=st.integers(-25, 25),
    fees=st.tuples(st.integers(0, 10**21), st.integers(0, 10**21)),
    is_match=st.booleans(),
)
def test_exchange__random_transfers__follow_the_specification(
    shared_desk: Desk,
    held: int,
    theirs: int,
    part: int,
    off_index: int,
    fees: tuple[int, int],
    is_match: bool,
) -> None:
    desk = shared_desk
    with desk.isolated():
        desk.core.set_params(ETH, minPositionUsd=1, keeperMinCents=0)
        trader, taker = desk.rich(), desk.rich("taker")
        desk.trade(trader, held)
        desk.trade(taker, theirs)
        cash, (_, quote, _) = desk.core.cash(trader), desk.position(trader)
        taker_cash, (_, taker_quote, _) = desk.core.cash(taker), desk.position(taker)
        base = held * part // WAD
        if 0 < abs(held - base) < WAD or 0 < abs(theirs + base) < WAD:
            base = held
        if 0 < abs(theirs + base) < WAD:
            return
        more = -base * ETH_PRICE * (10_000 + off_index) // (WAD * 10_000)
        desk.exchange(trader, taker, base, more, is_match=is_match, giver_fee=fees[0], taker_fee=fees[1])
        left, left_quote, released = filled(held, quote, -base, -more)
        got, got_quote, got_cash = filled(theirs, taker_quote, base, more)
        assert desk.position(trader) == (left, left_quote, 0)
        assert desk.position(taker) == (got, got_quote, 0)
        assert desk.core.cash(trader) == cash + released - fees[0]
        assert desk.core.cash(taker) == taker_cash + got_cash - fees[1]
        assert desk.core.market.openInterest(ETH) == (max(left, 0) + max(got, 0), max(-left, 0) + max(-got, 0))
        desk.core.check_sums(dust_bound=0)
