"""What happened to an account, a market or the fund, out of an index's tables, for reports and pages.

Dollars, sizes and prices are WAD, times Unix seconds; lists are in the chain's order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.index.rows import account_text, occurrence_of, records_of
from plimsoll.index.store import Store, StoredEvent
from plimsoll.sdk.events import (
    LIQUIDATIONS,
    Accrued,
    ClosedAgainstSide,
    Filled,
    Happened,
    Liquidated,
    OrdersMatched,
    PositionAbsorbed,
    Posted,
    TakenOver,
    Traded,
)
from plimsoll.sdk.fund import Balance, FundLedger, entries_of, entry_of_shares, ledger_of

_FILLS = ("Traded", "Filled")
_CAUSES = {
    OrdersMatched: "match", Liquidated: "close-out", TakenOver: "take-over", PositionAbsorbed: "absorption",
    ClosedAgainstSide: "absorption",
}  # fmt: skip


class Fill(NamedTuple):
    """`kind`: order, match, close-out, take-over or absorption; `fee`: the trading fee; base, quote: what it got."""

    time: int
    block: int
    tx: str
    kind: str
    market_id: int
    base: int
    quote: int
    price: int
    fee: int
    new_base: int


class Payment(NamedTuple):
    """What a position paid, negative where it got it, when it was touched: funding, the utilisation fee, and what was
    realised where a part of its side had been closed."""

    time: int
    block: int
    market_id: int
    owed: int


class Rate(NamedTuple):
    """A market's funding rate after an accrual, WAD a day, and both sides' accumulators, RAY dollars a unit."""

    time: int
    block: int
    rate: int
    long_g: int
    short_g: int


class Liquidation(NamedTuple):
    """When, and the event as it was."""

    time: int
    record: Happened


def fills(store: Store, account: int) -> list[Fill]:
    """Every change of the account's positions, with its reason."""
    names = [*_FILLS, *(kind.__name__ for kind in _CAUSES)]
    text = account_text(account)
    rows = store.events(f"(account = ? OR other = ?) AND name IN ({_marks(names)})", [text, text, *names])
    times, records = _times(store, rows), records_of(rows)
    found = []
    for place, one in enumerate(records):
        if isinstance(one, Traded):
            found.append(_fill(times, one, "order", one.fill_price, one.fee))
        elif isinstance(one, Filled):
            cause = _cause(one, records[place + 1 :])
            price = abs(one.quote) * WAD // abs(one.base)
            found.append(_fill(times, one, _CAUSES[type(cause)] if cause else "", price, _fee(cause, account)))
    return found


def payments(store: Store, account: int) -> list[Payment]:
    """What the account's positions paid and got between fills."""
    rows = store.settlements(account_text(account))
    times = store.times(rows[0].block, rows[-1].block) if rows else {}
    return [Payment(times[row.block], row.block, row.market, int(row.owed)) for row in rows]


def rates(store: Store, market_id: int) -> list[Rate]:
    """The market's funding, accrual by accrual."""
    rows = store.events("name = ? AND market = ?", ["Accrued", market_id])
    times = _times(store, rows)
    return [
        Rate(times[one.block_number], one.block_number, one.rate, one.long_g, one.short_g)
        for one in records_of(rows)
        if isinstance(one, Accrued)
    ]


def liquidations(store: Store, account: int | None = None) -> list[Liquidation]:
    """Close-outs, take-overs, absorptions and debts, of one account or of all."""
    names = [kind.__name__ for kind in LIQUIDATIONS]
    where, values = f"name IN ({_marks(names)})", list[object](names)
    if account is not None:
        where += " AND (account = ? OR other = ?)"
        values += [account_text(account)] * 2
    rows = store.events(where, values)
    times = _times(store, rows)
    return [Liquidation(times[record.block_number], record) for record in records_of(rows)]


def fund_ledger(store: Store, fund: str, token_unit: int, balance: int) -> FundLedger:
    """The insurance fund's ledger from the tables alone. `balance`: what it should sum up to, WAD dollars."""
    account = ids.pack(fund)
    names = ["FeesSwept", "Liquidated", "OrderFailed", "Absorbed", "DebtCovered"]
    paid = records_of(store.events(f"name IN ({_marks(names)})", names))
    entries = [entry for record in paid for entry in entries_of(record)]
    shares = store.events("contract = 'InsuranceFund' AND name IN ('Deposit', 'Withdraw')")
    found = (entry_of_shares(occurrence_of(row), token_unit) for row in shares)
    entries += [entry for entry in found if entry is not None]
    entries.sort(key=lambda one: (one.block_number, one.log_index))
    posted = records_of(store.events("name = 'Posted' AND account = ?", [account_text(account)]))
    said = [
        Balance(one.block_number, one.log_index, one.tx_hash, one.unpacked.cash)
        for one in posted
        if isinstance(one, Posted)
    ]
    newest = store.block_back(0)
    return ledger_of(newest.number if newest else 0, entries, said, balance)


def _fill(times: dict[int, int], one: Traded | Filled, kind: str, price: int, fee: int) -> Fill:
    block = one.block_number
    return Fill(times[block], block, one.tx_hash, kind, one.market_id, one.base, one.quote, price, fee, one.new_base)


def _cause(fill: Filled, after: Iterable[Happened]) -> Happened | None:
    """The next event of the transaction that says why; a match and a liquidation say so after their fills."""
    for one in after:
        if one.tx_hash != fill.tx_hash:
            return None
        if type(one) in _CAUSES and getattr(one, "market_id", None) == fill.market_id:
            return one
    return None


def _fee(cause: Happened | None, account: int) -> int:
    match cause:
        case OrdersMatched():
            return cause.maker_fee if cause.maker_account == account else cause.taker_fee
        case TakenOver() if cause.to_account == account:
            return cause.fee
    return 0


def _times(store: Store, rows: Sequence[StoredEvent]) -> dict[int, int]:
    return store.times(rows[0].block, rows[-1].block) if rows else {}


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" for _ in values)
