"""Building and hashing orders."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.chain.contracts import interface
from plimsoll.core.errors import UserError
from plimsoll.sdk.orders import (
    ANY_PRICE_BUY,
    ANY_PRICE_SELL,
    KIND_LIMIT,
    KIND_MARKET,
    MAX_SIZE,
    ORDER_TYPEHASH,
    Order,
    limit_order,
    market_order,
    order_from,
    order_hash,
)
from tests.support.core import deploy_core
from tests.support.evm import Contract, Evm

words = st.integers(0, 2**256 - 1)
orders = st.builds(
    Order,
    account=words,
    market_id=words,
    kind=st.sampled_from([KIND_MARKET, KIND_LIMIT]),
    base=st.integers(-(2**255), 2**255 - 1),
    acceptable_price=words,
    reduce_only=st.booleans(),
    expiry=words,
    salt=words,
)


@pytest.fixture(scope="module")
def book(built: None) -> Contract:
    return deploy_core(Evm()).order_book


@given(orders)
@settings(max_examples=60)
def test_order_hash__any_order__is_the_contracts(book: Contract, order: Order) -> None:
    assert order_hash(order) == book.hashOf(order)


def test_typehash__is_the_contracts(book: Contract) -> None:
    assert book.ORDER_TYPEHASH() == ORDER_TYPEHASH


def test_order_from__the_contracts_struct__gives_it_back() -> None:
    order = Order(7, 1, KIND_LIMIT, -5, 10, True, 99, 3)
    encoded = interface("OrderBook").function("place").encode([order])
    assert len(encoded) == 4 + 8 * 32
    names = ("account", "marketId", "kind", "base", "acceptablePrice", "reduceOnly", "expiry", "salt")
    assert order_from(dict(zip(names, order, strict=True))) == order


def test_market_order__without_a_price__accepts_any() -> None:
    assert market_order(1, 1, 5).acceptable_price == ANY_PRICE_BUY
    assert market_order(1, 1, -5).acceptable_price == ANY_PRICE_SELL


def test_salt__not_given__differs_each_time() -> None:
    assert market_order(1, 1, 5).salt != market_order(1, 1, 5).salt
    assert market_order(1, 1, 5, salt=4).salt == 4


@pytest.mark.parametrize(
    ("base", "price", "said"),
    [
        (0, 1, "size is zero"),
        (MAX_SIZE + 1, 1, "size is out of range"),
        (1, -1, "price is negative"),
        (1, 2**256, "price is negative or out of range"),
    ],
)
def test_limit_order__out_of_range__is_refused(base: int, price: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        limit_order(1, 1, base, price)
    assert limit_order(1, 1, MAX_SIZE, ANY_PRICE_BUY, salt=0).expiry == 0
