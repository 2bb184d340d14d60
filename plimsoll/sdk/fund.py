"""The insurance fund's ledger, rebuilt from what events say was paid, and compared with what the fund has.

The entries come from the events of those who pay and are paid: sweeps, close-outs, failed orders, absorptions, debts,
entries and exits of shares. That they are all there is shows in the vault's own events, which say after each posting
what the fund has: the two must agree after every transaction, and at the end with the balance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from plimsoll.chain.contracts import Deployed, Occurrence
from plimsoll.chain.transactions import Log
from plimsoll.core import ids
from plimsoll.core.units import format_usd, from_wad
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import (
    Absorbed,
    DebtCovered,
    FeesSwept,
    Happened,
    Liquidated,
    OrderFailed,
    Posted,
    decode,
)
from plimsoll.sdk.history import logs_between

FEES, COSTS, FORFEITED, ENTRIES = "fees swept", "costs of close-outs", "fees of failed orders", "entries of shares"
TOP_UPS, REWARDS, DEBTS, EXITS = "top-ups of keepers", "rewards of absorptions", "debts", "exits of shares"
KINDS = (FEES, COSTS, FORFEITED, ENTRIES, TOP_UPS, REWARDS, DEBTS, EXITS)
"""In the order in which they are shown: what comes in, and what goes out."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was paid: WAD dollars, positive into the fund. `about` is the account or market, 0 for none."""

    block_number: int
    log_index: int
    tx_hash: str
    kind: str
    amount: int
    about: int = 0


@dataclass(frozen=True, slots=True)
class Balance:
    """What the vault said, or says at the end, that the fund has: WAD dollars."""

    block_number: int
    log_index: int
    tx_hash: str
    cash: int


@dataclass(frozen=True, slots=True)
class Deviation:
    """The first transaction after which the entries don't sum up to what the vault says."""

    block_number: int
    tx_hash: str
    summed: int
    said: int


@dataclass(frozen=True, slots=True)
class FundLedger:
    """All entries up to a block, and the fund's cash at its end."""

    block: int
    entries: tuple[Entry, ...]
    balance: int
    deviation: Deviation | None = None

    @property
    def total(self) -> int:
        return sum(entry.amount for entry in self.entries)

    @property
    def difference(self) -> int:
        """Σ entries less the balance, WAD wei; 0 where the ledger is complete."""
        return self.total - self.balance

    @property
    def is_right(self) -> bool:
        return not self.difference and self.deviation is None

    @property
    def by_kind(self) -> Mapping[str, tuple[int, int]]:
        """How many entries of each kind, and their sum."""
        found = dict.fromkeys(KINDS, (0, 0))
        for entry in self.entries:
            count, amount = found[entry.kind]
            found[entry.kind] = count + 1, amount + entry.amount
        return found


# --- the ledger --------------------------------------------------------------------------------------------------


def ledger_of(block: int, entries: Sequence[Entry], said: Iterable[Balance], balance: int) -> FundLedger:
    """The ledger of entries and of what the vault said meanwhile, both in order."""
    return FundLedger(block, tuple(entries), balance, _first_deviation(entries, said))


def _first_deviation(entries: Sequence[Entry], said: Iterable[Balance]) -> Deviation | None:
    rows: list[Entry | Balance] = sorted([*entries, *said], key=lambda one: (one.block_number, one.log_index))
    summed = last = 0
    for (block, tx_hash), group in groupby(rows, key=lambda one: (one.block_number, one.tx_hash)):
        for row in group:
            if isinstance(row, Balance):
                last = row.cash
            else:
                summed += row.amount
        if summed != last:
            return Deviation(block, tx_hash, summed, last)
    return None


def entries_of(record: Happened) -> Iterator[Entry]:
    """What an event says was paid into or out of the fund; what is nothing is left out."""
    match record:
        case FeesSwept():
            paid = [(FEES, record.insurance, record.market_id)]
        case Liquidated():
            paid = [(COSTS, max(0, record.cost - record.reward), record.account)]
            paid += [(TOP_UPS, -record.top_up, record.account)]
        case OrderFailed():
            paid = [(FORFEITED, record.forfeited, record.account)]
        case Absorbed():
            paid = [(REWARDS, -record.reward, record.account)]
        case DebtCovered():
            paid = [(DEBTS, -record.by_fund, record.account)]
        case _:
            return
    for kind, amount, about in paid:
        if amount:
            yield Entry(record.block_number, record.log_index, record.tx_hash, kind, amount, about)


def entry_of_shares(occurrence: Occurrence, unit: int) -> Entry | None:
    """The entry of the fund's own Deposit or Withdraw; `unit` is WAD dollars of a token unit."""
    signs = {"Deposit": (ENTRIES, 1), "Withdraw": (EXITS, -1)}
    if occurrence.name not in signs:
        return None
    kind, sign = signs[occurrence.name]
    log = occurrence.log
    who = ids.pack(occurrence["owner" if sign > 0 else "receiver"])
    return Entry(log.block_number, log.index, log.tx_hash, kind, sign * occurrence["assets"] * unit, who)


# --- reading -----------------------------------------------------------------------------------------------------

_NAMES = ("FeesSwept", "Liquidated", "OrderFailed", "Absorbed", "DebtCovered")


def read_ledger(contracts: Contracts) -> FundLedger:
    """The fund's ledger as of the newest block."""
    chain, fund = contracts.chain, contracts.of("InsuranceFund")
    account = ids.pack(fund.address)
    head = chain.block_number

    def logs(deployed: Sequence[Deployed], topics: Sequence[Any]) -> list[Log]:
        return logs_between(chain, [one.address for one in deployed], topics, contracts.from_block, head)

    rooms = [contracts.market, contracts.liquidator, contracts.order_book]
    topics = [room.interface.events[name].topic for room in rooms for name in _NAMES if name in room.interface.events]
    entries = [entry for record in _decoded(rooms, logs(rooms, [topics])) for entry in entries_of(record)]
    shares = [fund.interface.events[name].topic for name in ("Deposit", "Withdraw")]
    found = (entry_of_shares(one, contracts.token_unit) for one in fund.events(logs([fund], [shares])))
    entries += [entry for entry in found if entry is not None]
    posted = logs([contracts.vault], [contracts.vault.interface.events["Posted"].topic, account])
    said = [
        Balance(one.block_number, one.log_index, one.tx_hash, one.unpacked.cash)
        for one in _decoded([contracts.vault], posted)
        if isinstance(one, Posted)
    ]
    entries.sort(key=lambda one: (one.block_number, one.log_index))
    return ledger_of(head, entries, said, contracts.vault.call("cashOf", account, block=head))


def _decoded(contracts: Sequence[Deployed], logs: Iterable[Log]) -> list[Happened]:
    by_address = {contract.address: contract for contract in contracts}
    found = (by_address[log.address].interface.decode_log(log) for log in logs)
    records = (decode(one) for one in found if one is not None)
    return [one for one in records if one is not None]


# --- showing -----------------------------------------------------------------------------------------------------


def ledger_lines(ledger: FundLedger) -> Iterator[str]:
    """The ledger for people: a line for each kind, and whether it adds up."""
    for kind, (count, amount) in ledger.by_kind.items():
        yield f"{kind:<24} {count:>8,}  {format_usd(amount):>20}"
    yield f"{'sum of the events':<24} {len(ledger.entries):>8,}  {format_usd(ledger.total):>20}"
    yield f"{'balance':<24} {'':>8}  {format_usd(ledger.balance):>20}   at block {ledger.block}"
    if ledger.is_right:
        yield "right: the ledger from events is the balance, to the wei"
        return
    yield f"WRONG: the ledger from events is {ledger.difference} wei more than the balance"
    if (first := ledger.deviation) is not None:
        yield (
            f"WRONG: first after transaction {first.tx_hash} in block {first.block_number}, where the events sum up to "
            f"{from_wad(first.summed)} and the vault says {from_wad(first.said)}"
        )


CSV_HEADER = ("block", "logIndex", "transaction", "kind", "about", "amountWei", "balanceWei")


def ledger_rows(ledger: FundLedger) -> Iterator[tuple[object, ...]]:
    """The entries for a table of `CSV_HEADER`: integers as they are, with the running sum."""
    balance = 0
    for one in ledger.entries:
        balance += one.amount
        about = ids.describe(one.about) if one.about >> 96 else f"market {one.about}" if one.about else ""
        yield one.block_number, one.log_index, one.tx_hash, one.kind, about, one.amount, balance


def ledger_json(ledger: FundLedger) -> dict[str, Any]:
    """All of it; WAD integers are written as text, since JSON readers round them."""
    first = ledger.deviation
    return {
        "block": ledger.block,
        "right": ledger.is_right,
        "sum": str(ledger.total),
        "balance": str(ledger.balance),
        "difference": str(ledger.difference),
        "byKind": {kind: {"entries": count, "sum": str(amount)} for kind, (count, amount) in ledger.by_kind.items()},
        "firstDeviation": None
        if first is None
        else {
            "block": first.block_number,
            "transaction": first.tx_hash,
            "summed": str(first.summed),
            "said": str(first.said),
        },
        "entries": [
            dict(zip(CSV_HEADER, [*row[:5], str(row[5]), str(row[6])], strict=True)) for row in ledger_rows(ledger)
        ],
    }
