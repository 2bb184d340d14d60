"""What is let in and what isn't, on both sides of each boundary; margin against the reference model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.book import admission
from plimsoll.book.admission import MAX_BASE, Signed, is_known, signed
from plimsoll.book.book import End
from plimsoll.book.facts import ACCOUNT_SECONDS, AccountFacts, DelegateFacts, Terms
from plimsoll.book.margin import free_after
from plimsoll.book.records import BookOrder
from plimsoll.book.refused import Refused
from plimsoll.core import ids
from plimsoll.core.orders import OrderKind, Scope
from plimsoll.core.units import WAD
from plimsoll.risk.oracle import DOUBTFUL, GRACE
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk import signing
from tests.python.book.setting import (
    CENT,
    DOMAIN,
    ETH,
    FOK,
    IOC,
    NOW,
    POST_ONLY,
    PRICE,
    UNIT,
    Desk,
    account_of,
    desk,
    facts_of,
    learn,
    market,
    order,
    signed_by,
    trader,
)  # fmt: skip
from tests.python.risk.setting import BTC, KEEPER, PARAMS, buy, set_price

A, B, BOT, WALLET = 1, 2, 7, 8
ACCOUNT = account_of(A)
DAY = 86_400
LOT = WAD // 10_000


@pytest.fixture
def book() -> Desk:
    return desk(A, B)


def refusal(book: Desk, number: int, size: int, cents: int, **fields: Any) -> tuple[int, str]:
    """(status, code)."""
    with pytest.raises(Refused) as caught:
        book.submit(number, size, cents, **fields)
    assert caught.value.message
    return caught.value.status, caught.value.code


# --- terms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "field"), [
    ({"kind": OrderKind.MARKET}, "order.kind"),
    ({"kind": OrderKind.STOP_LOSS}, "order.kind"),
    ({"parent": b"\1" * 32}, "order.parent"),
    ({"trigger_price": 1}, "order.triggerPrice"),
    ({"base": 0}, "order.base"),
    ({"base": MAX_BASE + 1}, "order.base"),
    ({"base": -MAX_BASE - 1}, "order.base"),
    ({"account": 5}, "order.account"),
    ({"account": ids.pack(trader(A).address, BTC)}, "order.account"),
    ({"market_id": 9}, "order.marketId"),
    ({"base": WAD + 1}, "order.base"),
])  # fmt: skip
def test_submit__terms_that_are_never_matched__names_the_field(book: Desk, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as caught:
        book.submit(A, 5, 0, **fields)
    assert (caught.value.status, caught.value.code, caught.value.field) == (400, "bad_request", field)


def test_submit__price_between_ticks__refused(book: Desk) -> None:
    made = order(A, 5, 0)._replace(acceptable_price=PRICE + 1)
    with pytest.raises(Refused, match=r"is no multiple of the tick, 0\.01"):
        book.engine.submit(signed_by(A, made))


@pytest.mark.parametrize(("size", "is_in"), [(2, True), (1, False)])
def test_submit__least_notional__reached_or_not(book: Desk, size: int, is_in: bool) -> None:
    book.facts.markets[ETH].terms = Terms(CENT, WAD, 2_000 * WAD)
    if is_in:
        book.submit(A, size, 0)
    else:
        assert refusal(book, A, size, 0) == (400, "bad_request")


def test_submit__all_of_an_odd_position__whatever_its_size(book: Desk) -> None:
    book.facts.markets[ETH].terms = Terms(CENT, WAD, 9_000 * WAD)
    book.facts.accounts[ACCOUNT].positions[ETH] = 3 * WAD + 7, -3_000 * WAD, 0
    assert book.submit(A, 0, 0, base=-3 * WAD - 7, reduce_only=True).status == "open"


# --- alive -----------------------------------------------------------------------------------------------------------


def test_submit__expiry__two_seconds_ahead_or_none(book: Desk) -> None:
    assert book.submit(A, 5, 0, expiry=NOW + 2).end is None
    assert refusal(book, A, 5, 0, expiry=NOW + 1) == (422, "expired")


def test_submit__counter__the_accounts(book: Desk) -> None:
    book.facts.accounts[ACCOUNT].counter = 1
    assert refusal(book, A, 5, 0) == (409, "wrong_counter")
    book.salt = 1 << 128
    assert book.submit(A, 5, 0).order.counter == 1


def test_submit__used_on_the_chain__refused(book: Desk) -> None:
    one = signed_by(A, order(A, 5, 0))
    book.facts.spent.add(one.hash)
    with pytest.raises(Refused, match="was placed, cancelled or filled on the chain"):
        book.engine.submit(one)


@pytest.mark.parametrize(("matched", "time_in_force", "is_in"), [
    (4, 0, True), (5, 0, False), (1, IOC, False),
])  # fmt: skip
def test_submit__matched_on_the_chain__what_is_left(book: Desk, matched: int, time_in_force: Any, is_in: bool) -> None:
    one = signed_by(A, order(A, 5, 0, time_in_force=time_in_force))
    book.facts.matched[one.hash] = matched * WAD
    if is_in:
        assert book.engine.submit(one).left == WAD
    else:
        with pytest.raises(Refused):
            book.engine.submit(one)


def test_submit__too_many_orders_of_one_account__refused(book: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_OPEN_ORDERS", 2)
    book.submit(A, 2, 0)
    first = book.submit(A, 2, 0)
    assert refusal(book, A, 2, 0) == (409, "too_many_orders")
    book.engine.cancel(first.hash)
    book.submit(A, 2, 0)


# --- signatures ------------------------------------------------------------------------------------------------------


def delegate(book: Desk, scope: Scope, **fields: int) -> None:
    book.facts.wallets[ACCOUNT >> 96] = False
    book.facts.delegates[ACCOUNT, int(trader(BOT).address, 16)] = DelegateFacts(scope, **fields)


def by_bot(book: Desk, size: int = 5) -> BookOrder:
    book.salt += 1
    return book.engine.submit(signed_by(BOT, order(A, size, 0, salt=book.salt)))


SCOPE = Scope(1 << ETH - 1, NOW, 10_000, may_match=True)


def test_submit__delegate_in_scope__taken_as_the_signer(book: Desk) -> None:
    delegate(book, SCOPE)
    assert by_bot(book).signer == int(trader(BOT).address, 16)


@pytest.mark.parametrize("scope", [
    SCOPE._replace(markets=1 << BTC - 1), SCOPE._replace(until=NOW - 1), SCOPE._replace(may_match=False),
])  # fmt: skip
def test_submit__delegate_out_of_scope__not_permitted(book: Desk, scope: Scope) -> None:
    delegate(book, scope)
    with pytest.raises(Refused) as caught:
        by_bot(book)
    assert (caught.value.status, caught.value.code) == (403, "not_permitted")


@pytest.mark.parametrize(("used", "day", "is_in"), [
    (5_000, NOW // DAY, True), (5_001, NOW // DAY, False), (10_000, NOW // DAY - 1, True),
])  # fmt: skip
def test_submit__delegates_budget__of_today(book: Desk, used: int, day: int, is_in: bool) -> None:
    delegate(book, SCOPE, used=used, day=day)
    if is_in:
        by_bot(book)
    else:
        with pytest.raises(Refused, match="counts for \\$5,000 of the delegate's budget, and \\$4,999 is left today"):
            by_bot(book)


def test_submit__wallets_word__is_the_owners(book: Desk) -> None:
    one = signed(order(A, 5, 0), b"whatever the wallet likes", DOMAIN)
    assert not is_known(one, book.facts)
    book.facts.wallets[one.owner] = True
    assert not is_known(one, book.facts)
    book.facts.words[one.word] = True
    assert is_known(one, book.facts)
    assert book.engine.submit(one).signer == one.owner


def test_submit__nobodys_signature__says_so(book: Desk) -> None:
    one = signed(order(A, 5, 0), b"\0" * 65, DOMAIN)
    book.facts.wallets[one.owner] = False
    assert is_known(one, book.facts)
    with pytest.raises(Refused) as caught:
        book.engine.submit(one)
    assert (caught.value.status, caught.value.code) == (403, "bad_signature")


def test_submit__signed_for_another_contract_or_chain__not_permitted(book: Desk) -> None:
    made = order(A, 5, 0)
    for domain in (signing.Domain(902, DOMAIN.order_book), signing.Domain(901, "0x" + "22" * 20)):
        one = signed(made, signing.sign(made, domain, trader(A)), DOMAIN)
        assert one.recovered not in (None, one.owner)
        book.facts.wallets[one.owner] = False
        with pytest.raises(Refused, match="neither the account's owner nor a delegate"):
            book.engine.submit(one)


def test_is_known__account_unknown_or_long_unread__no(book: Desk) -> None:
    one = signed_by(A, order(A, 5, 0))
    assert is_known(one, book.facts)
    book.facts.now += ACCOUNT_SECONDS
    assert is_known(one, book.facts)
    book.facts.now += 1
    assert not is_known(one, book.facts)
    assert not is_known(signed_by(9, order(9, 5, 0)), book.facts)


def test_signed__field_out_of_range__bad_request() -> None:
    with pytest.raises(Refused, match="has a field out of range"):
        signed(order(A, 5, 0)._replace(salt=2**256), b"", DOMAIN)


# --- the market ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "edge"), [(1, 250), (-1, -250)])
def test_submit__limit_beyond_the_band__only_where_nothing_rests(book: Desk, side: int, edge: int) -> None:
    assert book.submit(A, 5 * side, edge).status == "open"
    beyond = edge + side
    assert refusal(book, B, 5 * side, beyond) == (422, "outside_band")
    assert refusal(book, B, 5 * side, beyond, time_in_force=POST_ONLY) == (422, "outside_band")
    for time_in_force in (IOC, FOK):
        assert book.submit(B, 5 * side, beyond, time_in_force=time_in_force).end is not None


def test_submit__far_from_the_index__may_wait(book: Desk) -> None:
    assert book.submit(A, 5, -20_000).status == "open"


def test_submit__price_not_fresh_when_it_would_be_matched__unavailable(book: Desk) -> None:
    book.facts.now = NOW + PARAMS.max_price_age - 2
    book.submit(A, 5, 0)
    book.facts.now += 1
    assert refusal(book, A, 5, 0) == (503, "stale_price")


@pytest.mark.parametrize("state", [DOUBTFUL, GRACE])
def test_submit__opening_halted__reductions_only(state: int) -> None:
    book = holding(5)
    set_price_state(book, state)
    assert refusal(book, A, 5, 0) == (503, "opening_halted")
    assert book.submit(A, -5, 0).status == "open"


def set_price_state(book: Desk, state: int) -> None:
    model = book.facts.markets[ETH].model
    assert model.newest is not None
    model.newest = model.newest._replace(state=state)


def holding(size: int, entry: int = 1_000) -> Desk:
    """A trader with a position, and $100,000."""
    book = desk(A, B, dollars=100_000)
    book.facts.accounts[ACCOUNT].positions[ETH] = size * WAD, -size * entry * WAD, 0
    return book


@pytest.mark.parametrize(("size", "is_in"), [(-5, True), (-6, False), (5, False)])
def test_submit__reduce_only__no_more_than_the_position(size: int, is_in: bool) -> None:
    book = holding(5)
    if is_in:
        book.submit(A, size, 0, reduce_only=True)
        assert refusal(book, A, -1, 0, reduce_only=True) == (422, "nothing_to_reduce")
    else:
        assert refusal(book, A, size, 0, reduce_only=True) == (422, "nothing_to_reduce")


@pytest.mark.parametrize(("base", "is_in"), [(WAD, True), (WAD - WAD // 10_000, False)])
def test_submit__too_small_a_position__refused(book: Desk, base: int, is_in: bool) -> None:
    if is_in:
        book.submit(A, 0, 0, base=base)
    else:
        assert refusal(book, A, 0, 0, base=base) == (422, "below_minimum_position")


def test_submit__leaves_too_small_a_position__refused() -> None:
    book = holding(5)
    assert refusal(book, A, 0, 0, base=-45 * WAD // 10) == (422, "below_minimum_position")
    book.submit(A, -4, 0)


def test_submit__open_interest_at_its_limit__refused(book: Desk) -> None:
    model = book.facts.markets[ETH].model
    limit = 2 * model.capital(book.facts.markets[ETH].pool_cash, PRICE) // 1_000
    model.long = limit - 5 * WAD
    model.short = model.long
    book.submit(A, 4, 0)
    assert refusal(book, A, 6, 0) == (422, "open_interest_limit")


def test_submit__too_many_markets__refused(book: Desk) -> None:
    for market_id in range(2, 10):
        book.facts.markets[market_id] = book.facts.markets[ETH]
        book.facts.accounts[ACCOUNT].positions[market_id] = WAD, -PRICE, 0
    assert refusal(book, A, 5, 0) == (422, "too_many_markets")


# --- margin ----------------------------------------------------------------------------------------------------------


def largest(book: Desk, cents: int = 0) -> int:
    """The largest buy that the account's margin lets in, in lots."""
    low, high = 10_000, 2 * 10**8
    while low < high:
        middle = (low + high + 1) // 2
        try:
            one = book.submit(A, 0, cents, base=middle * LOT)
        except Refused:
            high = middle - 1
        else:
            book.engine.cancel(one.hash)
            low = middle
    with pytest.raises(Refused, match="for this and its other open orders on the side"):
        book.submit(A, 0, cents, base=(low + 1) * LOT)
    return low


@pytest.mark.parametrize("cents", [-100, 0, 100])
def test_submit__largest_order__is_the_largest_that_the_model_matches(cents: int) -> None:
    """A taker's: his whole order is matched with an endless maker."""
    protocol = market([A, B], dollars=100_000)
    protocol.deposit(account_of(B), 10**9 * UNIT)
    book = Desk(facts_of(protocol, [A, B]))
    lots = largest(book, cents)
    maker = order(B, -(10**6), cents)

    def match(base: int) -> None:
        taker = order(A, 0, cents, base=base, salt=9)
        protocol.match_orders(maker, B_OWNER, taker, A_OWNER, base, now=NOW, sender=KEEPER)

    with protocol.simulated():
        match(lots * LOT)
    with pytest.raises(Refusal, match="PerpMarket_InsufficientMargin"):
        match((lots + 1) * LOT)


A_OWNER, B_OWNER = ACCOUNT >> 96, account_of(B) >> 96


def test_submit__open_orders_of_one_side__carried_together() -> None:
    book = desk(A, B, dollars=100_000)
    lots = largest(book)
    book.submit(A, 0, 0, base=lots // 2 * LOT)
    assert largest(book) in (lots - lots // 2, lots - lots // 2 - 1, lots - lots // 2 + 1)
    book.submit(A, 0, 200, base=-lots // 2 * LOT)


def test_submit__reduces_whatever_the_margin__let_in() -> None:
    book = holding(100)
    book.facts.accounts[ACCOUNT].cash = 0
    book.submit(A, -100, 0)
    assert refusal(book, A, 1, 0) == (422, "insufficient_margin")


amounts = st.integers(-300, 300)


@given(first=amounts, second=amounts, size=amounts.filter(bool), cents=st.integers(-250, 250), moved=st.integers(-5, 5))
def test_free_after__any_positions__as_the_model(first: int, second: int, size: int, cents: int, moved: int) -> None:
    """C and Σ initial after a fill between two accounts, without a fee."""
    protocol = market([A, B], PARAMS, PARAMS, dollars=3_000_000)
    for market_id, held in ((ETH, first), (BTC, second)):
        if held:
            buy(protocol, held * WAD, account=ACCOUNT, market=market_id)
    now = NOW + 5
    for market_id in (ETH, BTC):
        set_price(protocol, PRICE + moved * 50 * WAD // 10, now, market=market_id)
    facts = facts_of(protocol, now=now)
    learn(facts, protocol, [ACCOUNT])
    price = facts.markets[ETH].price + cents * CENT
    quote = -size * price
    found = free_after(facts, facts.accounts[ACCOUNT], ETH, size * WAD, quote, 7 * WAD)

    state = protocol.state
    with protocol.simulated():
        state.settle(state.markets[ETH], ACCOUNT)
        state.fill(state.markets[ETH], ACCOUNT, size * WAD, quote)
        state.credit(ACCOUNT, -7 * WAD)
        gain = size * facts.markets[ETH].price + quote
        assert found == state.free(ACCOUNT, now, ETH, facts.markets[ETH].price, gain)


def test_account__reserved_cash__not_counted() -> None:
    book = desk(A, B, dollars=100_000)
    lots = largest(book)
    book.facts.accounts[ACCOUNT] = replace(book.facts.accounts[ACCOUNT], reserved=50_000 * WAD)
    assert abs(largest(book) * 2 - lots) < lots // 10


def test_submit__post_only_crosses__accepted_and_ended(book: Desk) -> None:
    book.submit(B, -5, 0)
    assert book.submit(A, 5, 0, time_in_force=POST_ONLY).end == End.WOULD_TAKE


def test_account_facts__increases__beyond_a_reduction() -> None:
    held = AccountFacts(positions={ETH: (5, 0, 0)})
    assert [held.increases(ETH, size) for size in (1, -1, -5, -6)] == [True, False, False, True]
    assert held.increases(BTC, -1)


def test_signed__owner_of_the_order__from_the_account() -> None:
    one = signed_by(A, order(A, 5, 0))
    assert isinstance(one, Signed)
    assert one.recovered == one.owner == int(trader(A).address, 16)
