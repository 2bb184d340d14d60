"""What the contracts refuse with, in words a trader understands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from plimsoll.chain.transactions import Reverted
from plimsoll.core.errors import UserError
from plimsoll.core.units import format_usd, format_wad, from_units

Values = Mapping[str, Any]

STATES = ("open", "doubtful", "in grace after an outage", "down")


def _tokens(amount: int, decimals: int) -> str:
    return f"{from_units(amount, decimals):,f}"


def _size(base: int) -> str:
    return format_wad(base, 6).rstrip("0").rstrip(".")


_WORDS: dict[str, Callable[[Values], str]] = {
    "MarginVault_NotOwner": lambda v: f"only its owner may move the cash of account {v['account']:#x}",
    "MarginVault_ZeroAmount": lambda v: "the amount is zero",
    "MarginVault_InvalidAccount": lambda v: "that account takes no deposits; it is the protocol's own or has no owner",
    "MarginVault_InvalidRecipient": lambda v: f"{v['to']} can't be paid; name another address",
    "MarginVault_DifferentOwners": lambda v: "both accounts of a transfer must have the same owner",
    "OrderBook_NotOwner": lambda v: f"only its owner may trade with account {v['account']:#x}",
    "OrderBook_NotListed": lambda v: f"market {v['marketId']} is not listed",
    "OrderBook_Expired": lambda v: f"the order's expiry ({v['expiry']}) has passed",
    "OrderBook_AlreadyUsed": lambda v: "this order was placed before; give it another salt",
    "OrderBook_UnknownOrder": lambda v: "there is no such open order; it may be executed or cancelled already",
    "OrderBook_NotCancellable": lambda v: "a market order can't be cancelled; it settles within seconds",
    "OrderBook_NoPrice": lambda v: f"market {v['marketId']} has no price yet",
    "OrderBook_NoRecord": lambda v: f"no price was recorded since {v['notBefore']} that the order could settle at",
    "OrderBook_NotNext": lambda v: f"the order is number {v['sequence']} of the queue, and {v['head']} comes first",
    "OrderBook_InsufficientCash": lambda v: (
        f"the account has {format_usd(v['free'])} free, and placing the order reserves {format_usd(v['required'])}"
    ),
    "PerpMarket_NotListed": lambda v: f"market {v['marketId']} is not listed",
    "PerpMarket_WrongMarket": lambda v: f"the isolated account can't hold market {v['marketId']}",
    "PerpMarket_IsolatedOnly": lambda v: f"market {v['marketId']} can only be held in an isolated account of its own",
    "PerpMarket_NothingToReduce": lambda v: f"the account has no position in market {v['marketId']} to reduce",
    "PerpMarket_OpeningHalted": lambda v: (
        f"market {v['marketId']} takes no new risk now (state: {STATES[v['state']]}, halted until {v['haltUntil']})"
    ),
    "PerpMarket_StalePrice": lambda v: (
        f"the newest price of market {v['marketId']} is of {v['publishedAt']}, which is too old; wait for the next"
    ),
    "PerpMarket_TooManyMarkets": lambda v: "the account holds positions in 8 markets already",
    "PerpMarket_PriceOutOfRange": lambda v: f"market {v['marketId']} has no price for a fill of that size",
    "PerpMarket_PriceNotAcceptable": lambda v: (
        f"the fill price {format_usd(v['price'])} is worse than the acceptable {format_usd(v['acceptable'])}"
    ),
    "PerpMarket_Bankrupt": lambda v: f"the account's equity is {format_usd(v['equity'])}; it will be absorbed",
    "PerpMarket_BelowMinimumPosition": lambda v: (
        f"a position of {format_usd(v['notional'])} would be left; the minimum is {format_usd(v['minimum'])}"
    ),
    "PerpMarket_OpenInterestLimit": lambda v: (
        f"open interest would be {format_usd(v['openInterest'])}; the limit is {format_usd(v['limit'])}"
    ),
    "PerpMarket_SkewLimit": lambda v: f"the skew would be {_size(v['skew'])}; the limit is {_size(v['limit'])}",
    "PerpMarket_ExposureLimit": lambda v: (
        f"the pool's exposure would be {format_usd(v['exposure'])}; the limit is {format_usd(v['limit'])}"
    ),
    "PerpMarket_InsufficientMargin": lambda v: (
        f"the account has {format_usd(v['available'])} of margin and needs {format_usd(v['required'])}"
    ),
    "ERC20InsufficientBalance": lambda v: "the wallet holds fewer tokens than that",
    "ERC20InsufficientAllowance": lambda v: "the vault may not take that many tokens; approve it first",
}


def in_words(error: Reverted, *, token_decimals: int = 18) -> str:
    """One line on why the contracts refused."""
    if error.name == "MarginVault_InsufficientMargin":
        available, required = (_tokens(error.values[name], token_decimals) for name in ("available", "required"))
        return f"only {available} can leave the account now, not {required}"
    words = _WORDS.get(error.name)
    return words(error.values) if words else f"the contracts refused: {error.reason}"


@contextmanager
def refusals_as_user_errors(what: str, *, token_decimals: int = 18) -> Iterator[None]:
    """A revert inside becomes a UserError that starts with `what`."""
    try:
        yield
    except Reverted as error:
        raise UserError(f"{what}: {in_words(error, token_decimals=token_decimals)}") from error
