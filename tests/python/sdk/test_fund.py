"""The insurance fund's ledger: what events say was paid sums up to the balance, and where it doesn't it is said."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.sdk.events import Absorbed, DebtCovered, FeesSwept, Happened, Liquidated, OrderFailed, Posted
from plimsoll.sdk.fund import (
    COSTS,
    CSV_HEADER,
    DEBTS,
    ENTRIES,
    EXITS,
    FEES,
    FORFEITED,
    REWARDS,
    TOP_UPS,
    Balance,
    Entry,
    FundLedger,
    entries_of,
    ledger_json,
    ledger_lines,
    ledger_of,
    ledger_rows,
    read_ledger,
)
from tests.support.core import ETH, account_id, deploy_core
from tests.support.deployment import World
from tests.support.evm import Evm

PLACE: dict[str, Any] = {"block_number": 3, "log_index": 2, "tx_hash": "0xaa"}
LIQUIDATED = {
    "account": 5,
    "market_id": 1,
    "keeper": "0x",
    "base": 1,
    "quote": 1,
    "health_price": 1,
    "published_at": 1,
    "equity": 1,
    "maintenance": 1,
}


def made(kind: type[Happened], **values: Any) -> list[tuple[str, int, int]]:
    return [(one.kind, one.amount, one.about) for one in entries_of(kind(**PLACE, **values))]


def test_entries_of__each_event__what_it_brings_or_takes() -> None:
    assert made(FeesSwept, market_id=2, insurance=7, treasury=3) == [(FEES, 7, 2)]
    assert made(FeesSwept, market_id=2, insurance=0, treasury=3) == []
    assert made(Liquidated, **LIQUIDATED, cost=100, reward=30, top_up=0) == [(COSTS, 70, 5)]
    assert made(Liquidated, **LIQUIDATED, cost=1, reward=2, top_up=1) == [(TOP_UPS, -1, 5)]
    assert made(Liquidated, **LIQUIDATED, cost=2, reward=2, top_up=0) == []
    assert made(OrderFailed, hash=b"", account=5, executor="0x", paid=1, forfeited=4, reason=b"") == [(FORFEITED, 4, 5)]
    assert made(Absorbed, account=5, keeper="0x", equity=-1, reward=9) == [(REWARDS, -9, 5)]
    assert made(DebtCovered, account=5, debt=9, by_fund=6, by_pool=3) == [(DEBTS, -6, 5)]
    assert made(Posted, account=5, balance=1) == []


def entry(block: int, amount: int, kind: str = FEES, tx_hash: str = "0x1", index: int = 1) -> Entry:
    return Entry(block, index, tx_hash, kind, amount, 1)


def said(block: int, cash: int, tx_hash: str = "0x1", index: int = 0) -> Balance:
    return Balance(block, index, tx_hash, cash)


def test_ledger_of__complete__is_right() -> None:
    ledger = ledger_of(9, [entry(1, 5), entry(2, -2, DEBTS)], [said(1, 5), said(2, 4), said(2, 3, index=2)], 3)
    assert (ledger.total, ledger.difference, ledger.is_right) == (3, 0, True)
    assert ledger.by_kind[DEBTS] == (1, -2)
    assert list(ledger_lines(ledger))[-1] == "right: the ledger from events is the balance, to the wei"


def test_ledger_of__an_entry_is_missing__says_after_which_transaction() -> None:
    ledger = ledger_of(9, [entry(1, 5)], [said(1, 5), said(2, 7, "0x2"), said(3, 9, "0x3")], 9)
    assert ledger.deviation is not None
    assert (ledger.deviation.tx_hash, ledger.deviation.summed, ledger.deviation.said) == ("0x2", 5, 7)
    assert not ledger.is_right
    *_, off, first = ledger_lines(ledger)
    assert off == "WRONG: the ledger from events is -4 wei more than the balance"
    assert "first after transaction 0x2 in block 2" in first


def test_ledger_of__errors_that_cancel_out__are_wrong_all_the_same() -> None:
    ledger = ledger_of(9, [entry(1, 5), entry(2, 5, tx_hash="0x2")], [said(1, 4), said(2, 10, "0x2")], 10)
    assert ledger.difference == 0
    assert not ledger.is_right


def test_ledger_of__another_balance_than_the_last_posted__is_wrong() -> None:
    ledger = ledger_of(9, [entry(1, 5)], [said(1, 5)], 6)
    assert ledger.deviation is None
    assert (ledger.difference, ledger.is_right) == (-1, False)


def test_ledger_rows_and_json__integers_with_the_running_sum() -> None:
    account = ids.pack("0x" + "11" * 20)
    ledger = FundLedger(9, (entry(1, 5), Entry(2, 0, "0x2", DEBTS, -2, account), Entry(3, 0, "0x3", FEES, 1)), 4)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(CSV_HEADER)
    rows.writerows(ledger_rows(ledger))
    assert text.getvalue().splitlines()[1:] == [
        "1,1,0x1,fees swept,market 1,5,5",
        f"2,0,0x2,debts,0x{'11' * 20} cross #0,-2,3",
        "3,0,0x3,fees swept,,1,4",
    ]
    data = ledger_json(ledger)
    assert (data["right"], data["sum"], data["difference"], data["firstDeviation"]) == (True, "4", "0", None)
    assert data["byKind"]["debts"] == {"entries": 1, "sum": "-2"}
    assert data["entries"][1]["balanceWei"] == "3"


# --- on a deployed core ------------------------------------------------------------------------------------------


@pytest.fixture
def empty(evm: Evm) -> World:
    """A core whose fund has nothing."""
    return World(deploy_core(evm, fund_dollars=0))


def test_read_ledger__shares_fees_and_a_failed_order__are_the_balance(empty: World) -> None:
    """Fees are swept before an exit; a forfeited fee comes from an order that fails on its own margin."""
    provider = empty.trader("provider", 10_000)
    fund = empty.contracts.of("InsuranceFund")
    me = provider.signer.address
    fund.transact(provider.signer, "requestDeposit", 5_000 * 10**6, me, me)
    empty.tick(61)
    fund.transact(provider.signer, "executeRequest", 1)
    trader = empty.trader("trader", 200)
    empty.open(trader, "ETH", "1")
    failing = trader.place_market("ETH", "0.5", acceptable_price="1e30")
    empty.core.post(trader.account(), -40 * WAD)
    empty.tick(2)
    empty.execute(failing)
    fund.transact(provider.signer, "requestRedeem", fund.call("balanceOf", me) // 2, me, me)
    empty.tick(86_401)
    fund.transact(provider.signer, "executeRequest", 2)
    ledger = read_ledger(empty.contracts)
    assert ledger.is_right, list(ledger_lines(ledger))
    assert ledger.balance == empty.core.cash(empty.core.fund_main)
    found = {kind: count for kind, (count, _) in ledger.by_kind.items() if count}
    assert found == {FEES: 1, FORFEITED: 1, ENTRIES: 1, EXITS: 1}
    assert ledger.by_kind[ENTRIES] == (1, 5_000 * WAD)


def test_read_ledger__money_from_nowhere__is_found(empty: World) -> None:
    core = empty.core
    core.vault.post([(account_id(core.fund), 3, 0, 0)], sender=core.pool)
    ledger = read_ledger(empty.contracts)
    assert not ledger.is_right
    assert (ledger.total, ledger.balance, ledger.difference) == (0, 3, -3)


def test_read_ledger__nothing_happened__is_an_empty_ledger(empty: World) -> None:
    ledger = read_ledger(empty.contracts)
    assert (ledger.entries, ledger.balance, ledger.is_right) == ((), 0, True)
    assert ETH in empty.client().markets()
