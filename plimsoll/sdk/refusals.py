"""What the contracts refuse with, in words a trader understands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from plimsoll.chain.transactions import Reverted
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, format_usd, format_wad, from_units
from plimsoll.sdk.times import date

Values = Mapping[str, Any]

NOBODY = "0x" + "0" * 40
STATES = ("open", "doubtful", "in grace after an outage", "down")


def _tokens(amount: int, decimals: int) -> str:
    return f"{from_units(amount, decimals):,f}"


def _size(base: int) -> str:
    return format_wad(base, 6).rstrip("0").rstrip(".")


def _permitted(values: Values) -> str:
    if values["caller"] == NOBODY:
        return f"the signature is nobody's, and account {values['account']:#x} needs its owner's or a delegate's"
    return f"{values['caller']} is neither the owner of account {values['account']:#x} nor a delegate who may do this"


def _terms(values: Values) -> str:
    field = values["field"]
    name = field.rstrip(b"\0").decode(errors="replace") if isinstance(field, bytes) else field
    return _TERMS.get(name, f"its {name} makes no sense with the rest")


_TERMS: Mapping[str, str] = {
    "timeInForce": "its time in force is for orders that are matched, or not for that side of a match",
    "triggerPrice": "a stop-loss or take-profit needs a trigger price, and no other order may have one",
    "parent": "a market order, or one that is matched, can't wait for a parent",
    "expiry": "a market order that others place on a signature needs an expiry",
    "relayFee": "the relay fee is above $10.00",
    "delegate": "the zero address can't be a delegate",
    "kind": "only limit orders are matched, and nobody can place one on a signature",
    "base": "the size is out of range",
    "marketId": "the orders are of different markets",
    "side": "the orders are of the same side",
}


_WORDS: dict[str, Callable[[Values], str]] = {
    "MarginVault_NotOwner": lambda v: f"only its owner may move the cash of account {v['account']:#x}",
    "MarginVault_ZeroAmount": lambda v: "the amount is zero",
    "MarginVault_InvalidAccount": lambda v: "that account takes no deposits; it is the protocol's own or has no owner",
    "MarginVault_InvalidRecipient": lambda v: f"{v['to']} can't be paid; name another address",
    "MarginVault_DifferentOwners": lambda v: "both accounts of a transfer must have the same owner",
    "OrderBook_NotPermitted": _permitted,
    "OrderBook_BudgetExceeded": lambda v: (
        f"the delegate may trade {format_usd(v['left'] * WAD)} more today, and this counts as "
        f"{format_usd(v['wanted'] * WAD)}"
    ),
    "OrderBook_BadSignature": lambda v: f"the signature is not of the owner of account {v['account']:#x}",
    "OrderBook_WrongCounter": lambda v: (
        f"it was made under another counter than the account's, which is {v['counter']}: all were cancelled since"
    ),
    "OrderBook_ZeroSize": lambda v: "the size is zero",
    "OrderBook_InvalidTerms": _terms,
    "OrderBook_NotListed": lambda v: f"market {v['marketId']} is not listed",
    "OrderBook_Expired": lambda v: f"the order's expiry ({v['expiry']}) has passed",
    "OrderBook_AlreadyUsed": lambda v: "this order or signature was used before",
    "OrderBook_UnknownOrder": lambda v: "there is no such open order; it may be executed or cancelled already",
    "OrderBook_NotCancellable": lambda v: "a market order can't be cancelled; it settles within seconds",
    "OrderBook_NoPrice": lambda v: f"market {v['marketId']} has no price yet",
    "OrderBook_NoRecord": lambda v: f"no price was recorded since {v['notBefore']} that the order could settle at",
    "OrderBook_NotTriggered": lambda v: (
        f"the index price is {format_usd(v['price'])}, and the order is due at {format_usd(v['triggerPrice'])}"
    ),
    "OrderBook_ParentPending": lambda v: "the order that it waits for is not filled yet",
    "OrderBook_MarketOrdersPending": lambda v: f"market orders of market {v['marketId']} come first",
    "OrderBook_SecondPrice": lambda v: "orders that waited were filled at another price in the same transaction",
    "OrderBook_SelfMatch": lambda v: "both orders have the same owner",
    "OrderBook_NotCrossing": lambda v: (
        f"the maker's price {format_usd(v['makerPrice'])} is not within the taker's limit {format_usd(v['takerPrice'])}"
    ),
    "OrderBook_Overfilled": lambda v: f"only {_size(v['left'])} of the order is left",
    "OrderBook_FillOrKill": lambda v: f"only {_size(v['matched'])} could be filled of an order for all or nothing",
    "OrderBook_OutsideBand": lambda v: (
        f"the maker's price {format_usd(v['price'])} is more than 0.25% away from the index, "
        f"{format_usd(v['indexPrice'])}"
    ),
    "OrderBook_TooSmall": lambda v: (
        f"a match of {format_usd(v['notional'])} is too small; it needs {format_usd(v['minimum'])}, or to be all that "
        "is left of one of the orders"
    ),
    "OrderBook_NothingMatched": lambda v: "none of the makers could be matched",
    "OrderBook_NotNext": lambda v: f"the order is number {v['sequence']} of the queue, and {v['head']} comes first",
    "OrderBook_InsufficientCash": lambda v: (
        f"the account has {format_usd(v['free'])} free, and this needs {format_usd(v['required'])}"
    ),
    "OrderBook_TooEarly": lambda v: f"a price that nobody recorded will do from {date(v['until'])} on",
    "OrderBook_NotSilent": lambda v: (
        f"market {v['marketId']} had a price at {date(v['publishedAt'])}; it has to be silent for a minute at least"
    ),
    "PerpMarket_StillOpen": lambda v: f"the account holds {_size(v['base'])} in market {v['marketId']}; close it first",
    "Shutdown_NotSilent": lambda v: f"market {v['marketId']} had a price at {date(v['publishedAt'])}",
    "Shutdown_AlreadyDeclared": lambda v: f"market {v['marketId']} is declared dead already",
    "Shutdown_NotDeclared": lambda v: f"market {v['marketId']} is not declared dead, or a price came since",
    "Shutdown_TooEarly": lambda v: f"not before {date(v['until'])}",
    "Shutdown_SequencerNotOpen": lambda v: f"the sequencer is {STATES[v['state']]}; prices come first",
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
    "PerpMarket_LessHealthy": lambda v: (
        f"the account would be less healthy than before: equity {format_usd(v['equity'])}, "
        f"maintenance {format_usd(v['maintenance'])}"
    ),
    "L2Gateway_NotPermitted": lambda v: (
        f"{v['caller']} is neither the owner of account {v['account']:#x} nor the address that acts for him from L1"
    ),
    "L2Gateway_InvalidRecipient": lambda v: (
        f"{v['to']} can't be paid; an agent is paid at his own L1 address only, and nobody at the zero address"
    ),
    "L2Gateway_NotReduceOnly": lambda v: "an owner's agent places orders that only reduce",
    "L2Gateway_NothingToClaim": lambda v: f"{v['claimant']} has nothing to claim of account {v['account']:#x}",
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
