"""Reverts in words."""

from __future__ import annotations

import pytest

from plimsoll.chain.contracts import known
from plimsoll.chain.transactions import Reverted
from plimsoll.core.errors import UserError
from plimsoll.sdk.refusals import _WORDS, in_words, refusals_as_user_errors


@pytest.mark.parametrize("name", sorted(_WORDS))
def test_in_words__every_known_error__takes_the_values_that_it_has(built: None, name: str) -> None:
    (error,) = known().errors_named(name)
    text = in_words(Reverted(b"", name, dict.fromkeys(error.names, 1)))
    assert text
    assert "\n" not in text


def test_in_words__too_much_withdrawn__is_in_the_tokens_units() -> None:
    error = Reverted(b"", "MarginVault_InsufficientMargin", {"available": 1_250_000, "required": 2_000_000_000})
    assert in_words(error, token_decimals=6) == "only 1.25 can leave the account now, not 2,000"


def test_in_words__unknown_error__names_it() -> None:
    assert in_words(Reverted(b"", "Foo_Bar", {"x": 1})) == "the contracts refused: Foo_Bar(x=1)"
    assert in_words(Reverted(b"")) == "the contracts refused: reverted with no data"


def test_refusals_as_user_errors__a_revert__starts_with_what_was_tried() -> None:
    with (
        pytest.raises(UserError, match=r"^cancel: a market order can't be cancelled"),
        refusals_as_user_errors("cancel"),
    ):
        raise Reverted(b"", "OrderBook_NotCancellable", {"hash": b""})


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        (
            "OrderBook_InvalidTerms",
            {"field": b"expiry".ljust(32, b"\0")},
            "a market order that others place on a signature needs an expiry",
        ),
        ("OrderBook_InvalidTerms", {"field": b"foo".ljust(32, b"\0")}, "its foo makes no sense with the rest"),
        (
            "OrderBook_NotPermitted",
            {"account": 0xAB << 96, "caller": "0x" + "00" * 20},
            f"the signature is nobody's, and account {0xAB << 96:#x} needs its owner's or a delegate's",
        ),
        (
            "OrderBook_BudgetExceeded",
            {"account": 1, "delegate": "0x", "left": 250, "wanted": 1_000},
            "the delegate may trade $250.00 more today, and this counts as $1,000.00",
        ),
        ("OrderBook_Overfilled", {"hash": b"", "left": 5 * 10**17}, "only 0.5 of the order is left"),
        ("OrderBook_InvalidTerms", {"field": b"base".ljust(32, b"\0")}, "the size is out of range"),
        ("OrderBook_AlreadyUsed", {"hash": b""}, "this order or signature was used before"),
        (
            "OrderBook_TooSmall",
            {"notional": 75 * 10**17, "minimum": 10**21},
            "a match of $7.50 is too small; it needs $1,000.00, or to be all that is left of one of the orders",
        ),
    ],
)
def test_in_words__orders__say_what_is_wrong(name: str, values: dict[str, object], said: str) -> None:
    assert in_words(Reverted(b"", name, values)) == said
