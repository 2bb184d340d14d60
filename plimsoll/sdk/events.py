"""What happened, as typed records: one class for each event that traders and keepers read, under the contract's name.

Fields are the event's, in snake case, in the event's units (WAD where not said otherwise). Source: interfaces/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from plimsoll.chain.contracts import Occurrence
from plimsoll.core.orders import Order, Scope
from plimsoll.risk.config import MarketParams
from plimsoll.sdk.orders import order_from
from plimsoll.sdk.words import Balance, unpack_balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Where on the chain it stands; records of one chain sort by (block_number, log_index)."""

    block_number: int
    log_index: int
    tx_hash: str


# --- vault -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited(Happened):
    """`amount` in token units; `cash` is what results."""

    account: int
    from_: str
    amount: int
    cash: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Happened):
    """`amount` in token units; `cash` is what results."""

    account: int
    to: str
    amount: int
    cash: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred(Happened):
    """`amount` in token units; `from_` and `to` are accounts."""

    from_: int
    to: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted(Happened):
    """An account's slot after an entry, packed."""

    account: int
    balance: int

    @property
    def unpacked(self) -> Balance:
        return unpack_balance(self.balance)


# --- market ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Accrued(Happened):
    """Funding and utilisation up to now: `rate` per day, accumulators RAY, the pool's quote that results."""

    market_id: int
    rate: int
    long_g: int
    short_g: int
    pool_quote: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded(Happened):
    """A fill against the pool by an order; the position that results."""

    account: int
    market_id: int
    base: int
    quote: int
    fill_price: int
    fee: int
    new_base: int
    new_quote: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled(Happened):
    """One side of a fill by the liquidator, or of a match; the position that results.

    The pool's side goes without saying.
    """

    account: int
    market_id: int
    counter: int
    base: int
    quote: int
    new_base: int
    new_quote: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleveraged(Happened):
    """A fraction (WAD) of every position of a side closed with the pool; open interest cut, and dollars for it."""

    market_id: int
    is_long: bool
    fraction: int
    price: int
    cut: int
    flow: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedAgainstSide(Happened):
    """What the pool's caps left over of a bankrupt account's position, closed against a fraction of the other side."""

    account: int
    market_id: int
    base: int
    flow: int
    zero_price: int
    fraction: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeesSwept(Happened):
    """Fees that waited went to the insurance fund and the treasury."""

    market_id: int
    insurance: int
    treasury: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCharged(Happened):
    """The pool bears a debt that nobody else does; its quote that results."""

    market_id: int
    amount: int
    pool_quote: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCharged(Happened):
    """What of a debt the pool's account could not bear was charged to a side; its accumulator that results, RAY."""

    market_id: int
    is_long: bool
    amount: int
    g: int
    pool_quote: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Happened):
    """A position that nothing is left of was taken off the books; `cash` is what the account got of it."""

    account: int
    market_id: int
    cash: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredDead(Happened):
    """A market had no record since that of `sequence`; `confirm_from` in Unix seconds."""

    market_id: int
    sequence: int
    confirm_from: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedDead(Happened):
    """Its bankrupt accounts can be absorbed at the last price; `close_from` in Unix seconds."""

    market_id: int
    sequence: int
    close_from: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketClosed(Happened):
    """Every position of a market without prices was closed at its last one; both sides' `Deleveraged` come before."""

    market_id: int
    price: int


# --- configuration ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketListed(Happened):
    """`scale` S, WAD base."""

    market_id: int
    scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamsChanged(Happened):
    """Everything that governance sets for a market; at the listing, too."""

    market_id: int
    params: MarketParams


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningHalted(Happened):
    """`until` in Unix seconds, 0 where opening was resumed."""

    market_id: int
    until: int


# --- orders ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced(Happened):
    """`settle_from` T in Unix seconds; `sequence` in the market's queue, 0 for an order that waits for its price."""

    hash: bytes
    account: int
    market_id: int
    order: Order
    settle_from: int
    sequence: int
    execution_fee: int
    fee_reserve: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled(Happened):
    hash: bytes
    account: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllCancelled(Happened):
    """All of the account's orders under another counter are dead, but market orders that were placed."""

    account: int
    counter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderExecuted(Happened):
    hash: bytes
    account: int
    executor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderForced(Happened):
    """Filled without a record, at the price and confidence that the fill used; `published_at` in Unix seconds."""

    hash: bytes
    account: int
    price: int
    confidence: int
    published_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderVoided(Happened):
    """It can never be filled: no price came, nothing is left to reduce, or its parent ended unfilled."""

    hash: bytes
    account: int
    executor: str
    paid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFailed(Happened):
    """`reason` is the encoded error of the rule that refused it."""

    hash: bytes
    account: int
    executor: str
    paid: int
    forfeited: int
    reason: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLeftQueue(Happened):
    hash: bytes
    account: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSkipped(Happened):
    """In a batch: not executed now. `reason` is the encoded error."""

    hash: bytes
    reason: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersMatched(Happened):
    """Two signed orders filled against each other; `base` and `quote` are what the taker got.

    `execution_fee` went from the taker to whoever matched them.
    """

    maker_hash: bytes
    taker_hash: bytes
    market_id: int
    maker_account: int
    taker_account: int
    base: int
    quote: int
    maker_fee: int
    taker_fee: int
    execution_fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchSkipped(Happened):
    """In a batch: this maker was not matched now. `reason` is the encoded error."""

    maker_hash: bytes
    reason: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegateSet(Happened):
    account: int
    delegate: str
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed(Happened):
    """Whoever brought a signed cancellation or delegation was paid `fee` from the account.

    Of a placement on a signature there is none: `OrderPlaced` comes with the market's relay fee paid.
    """

    account: int
    relayer: str
    fee: int


# --- liquidation -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidated(Happened):
    """A close-out's receipt; equity and maintenance are the account's before."""

    account: int
    market_id: int
    keeper: str
    base: int
    quote: int
    health_price: int
    published_at: int
    equity: int
    maintenance: int
    cost: int
    reward: int
    top_up: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver(Happened):
    account: int
    market_id: int
    to_account: int
    base: int
    quote: int
    health_price: int
    published_at: int
    equity: int
    maintenance: int
    discount: int
    fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionAbsorbed(Happened):
    account: int
    market_id: int
    base: int
    quote: int
    published_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorbed(Happened):
    account: int
    keeper: str
    equity: int
    reward: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtCovered(Happened):
    account: int
    debt: int
    by_fund: int
    by_pool: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GasMarketChanged(Happened):
    """The market whose price values the gas of absorptions, 0 for none."""

    market_id: int


# --- prices ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed(Happened):
    """In a batch of attempts: the call at `index` did nothing. `reason` is the encoded error."""

    index: int
    reason: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRecorded(Happened):
    """`sources` is the bitmap of the sources that the record rests on; times in Unix seconds."""

    market_id: int
    price: int
    confidence: int
    published_at: int
    state: int
    sequence: int
    sources: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSkipped(Happened):
    """Nothing to record: the reading of source `index` is not newer than the newest record."""

    market_id: int
    index: int
    published_at: int


KINDS: Mapping[str, type[Happened]] = {
    kind.__name__: kind
    for kind in (
        Deposited, Withdrawn, Transferred, Posted, Accrued, Traded, Filled, OrderPlaced, OrderCancelled, AllCancelled,
        OrderExecuted, OrderVoided, OrderFailed, OrderLeftQueue, OrderSkipped, OrdersMatched, MatchSkipped, DelegateSet,
        Relayed, Liquidated, TakenOver, PositionAbsorbed, Absorbed, DebtCovered, PriceRecorded, UpdateSkipped,
        Deleveraged, ClosedAgainstSide, FeesSwept, PoolCharged, SideCharged, GasMarketChanged, MarketListed,
        ParamsChanged, OpeningHalted, OrderForced, Settled, DeclaredDead, ConfirmedDead, MarketClosed, AttemptFailed,
    )
}  # fmt: skip
"""Every record's class by the event's name."""

FILLS = (Traded, Filled)
MATCHES = (OrdersMatched, MatchSkipped)
LIQUIDATIONS = (Liquidated, TakenOver, PositionAbsorbed, ClosedAgainstSide, Absorbed, DebtCovered)
DELEVERAGING = (Deleveraged,)
FUNDING = (Accrued,)
ORDER_ENDS = (OrderCancelled, OrderExecuted, OrderVoided, OrderFailed)


def decode(occurrence: Occurrence) -> Happened | None:
    """The record of an event; None for one that has no class here."""
    kind = KINDS.get(occurrence.name)
    if kind is None:
        return None
    log = occurrence.log
    fields: dict[str, Any] = {field_name(name): value for name, value in occurrence.values.items()}
    if kind is OrderPlaced:
        fields["order"] = order_from(fields["order"])
    elif kind is DelegateSet:
        fields["scope"] = scope_from(fields["scope"])
    elif kind is ParamsChanged:
        fields["params"] = MarketParams(**{field_name(name): value for name, value in fields["params"].items()})
    return kind(block_number=log.block_number, log_index=log.index, tx_hash=log.tx_hash, **fields)


def scope_from(values: Mapping[str, Any]) -> Scope:
    """A scope out of a decoded Solidity struct."""
    return Scope(
        markets=values["markets"],
        until=values["until"],
        daily_budget=values["dailyBudget"],
        may_match=values["mayMatch"],
        may_take_over=values["mayTakeOver"],
    )


def decode_all(occurrences: Iterable[Occurrence]) -> list[Happened]:
    """The records of those events that have a class, in their order."""
    return [record for record in map(decode, occurrences) if record is not None]


@cache
def field_name(name: str) -> str:
    """An event's field as a record has it: `marketId` → `market_id`, `from` → `from_`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return f"{snake}_" if snake == "from" else snake
