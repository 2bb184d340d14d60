"""Ten minutes of a crash on the contracts of a devnet, and what is found when the chain does something else."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from plimsoll.core.units import WAD
from plimsoll.dashboard.report import ReplayReport, checks
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.replay import cli
from plimsoll.replay.actions import Block
from plimsoll.replay.onchain import NotAsExpected, OnChain, deployment_of
from plimsoll.replay.promises import COUNTERS, QUEUES
from plimsoll.replay.run import OPENING_SECONDS, Check, Replay, SumsBroken
from plimsoll.replay.stored import Layout, Ledger
from plimsoll.risk.scenario import prices
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.fund import FundLedger, read_ledger
from plimsoll.sdk.slots import VAULT_BALANCES, slot_of
from tests.python.replay.setting import crash, parameters, scenario

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("built", "synthetic")]


@pytest.fixture
def synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(prices.DATA_VARIABLE, "")


@contextmanager
def staged(
    minutes: int, accounts: int, population: Mapping[str, int] | None = None
) -> Iterator[tuple[Devnet, Replay, OnChain]]:
    """A replay on a devnet of its own, ready to run."""
    chosen = scenario(accounts=accounts, population=population)
    history = crash(chosen, minutes)
    with boot_devnet(
        timestamp=history.start - OPENING_SECONDS - 60, prices={}, trader_dollars=0, pool_dollars=0, fund_dollars=0
    ) as devnet:
        replay = Replay(chosen, history, devnet.parameters, at=deployment_of(devnet))
        yield devnet, replay, OnChain(devnet, replay.roles, replay.keys)


def without_a_chain(report: ReplayReport) -> ReplayReport:
    """What the model alone must report as well."""
    return dataclasses.replace(report, wall_seconds=Decimal(0), gas={}, model_comparisons=0)


def test_run__ten_minutes_of_the_crash__chain_and_model_agree_to_the_last_digit() -> None:
    with staged(10, 30) as (devnet, replay, chain):
        report = replay.run(chain)
        assert chain.first_difference == ""
        assert devnet.now == replay.mirror.now
    assert report.model_mismatches == 0
    assert report.model_comparisons is not None
    assert report.model_comparisons > 300
    assert all(check.passed for check in checks(report))
    assert report.sum_base == {"ETH": 0, "BTC": 0}
    assert report.closeouts + report.takeovers + report.absorbed > 0
    assert {"deposit", "place a market order", "record prices, 2 markets"} <= report.gas.keys()
    assert all(20_000 < used < 1_000_000 for used in report.gas.values())

    chosen = scenario(accounts=30)
    alone = Replay(chosen, crash(chosen, 10), parameters()).run()
    assert without_a_chain(alone) == without_a_chain(report)


def test_run__everybody_uses_the_order_book__chain_and_model_agree_on_every_word_of_it() -> None:
    habits = {"book_share": WAD * 6 // 10, "stop_share": WAD, "relayed_share": WAD // 2, "delegate_share": WAD // 2}
    with staged(20, 40, habits) as (_, replay, chain):
        report = replay.run(chain)
        assert chain.first_difference == ""
    assert report.model_mismatches == 0
    assert min(report.matches, report.stops_executed, report.take_profits_executed, report.orders_voided) > 0
    assert min(report.relayed, report.delegated) > 0
    flows = {"match two orders", "set a delegate", "set a delegate, relayed", "execute a stop-loss"}
    assert flows | {"place a market order, relayed"} <= report.gas.keys()


def test_run__words_of_the_order_book_change__each_is_counted() -> None:
    with staged(2, 10) as (devnet, replay, chain):
        slots = [slot_of(QUEUES, 2), slot_of(COUNTERS, next(iter(replay.traders.by_account)))]
        book = devnet.contract("OrderBook").address
        meddling = Meddling(chain, 0, lambda: None)

        def check(one: Check) -> None:
            """Before the last one another relay fee, and a counter that nobody raised."""
            if one.minute == 2:
                chain.wait()
                for slot in slots:
                    word = devnet.chain.storage(book, slot)
                    devnet.chain.rpc.call("anvil_setStorageAt", book, hex(slot), f"0x{word ^ 1 << 112:064x}")
            chain.check(one)

        meddling.check = check
        report = replay.run(meddling)
    assert report.model_mismatches == 2


def test_run__twice__the_same_report_but_for_the_time_it_took() -> None:
    reports = []
    for _ in range(2):
        with staged(2, 10) as (_, replay, chain):
            reports.append(dataclasses.replace(replay.run(chain), wall_seconds=Decimal(0)))
    assert reports[0] == reports[1]
    assert reports[0].gas


class Meddling:
    """Passes everything on to a chain, and does something else once, after some blocks."""

    def __init__(self, chain: OnChain, after: int, meddle: Callable[[], None]) -> None:
        self.chain = chain
        self.left = after
        self.meddle = meddle
        self.check: Callable[[Check], None] = chain.check
        self.finish = chain.finish

    def send(self, block: Block, touched: Layout, expected: Ledger) -> None:
        self.chain.send(block, touched, expected)
        self.left -= 1
        if not self.left:
            self.chain.wait()
            self.meddle()


def add_cash(devnet: Devnet, account: int, cash: int) -> None:
    """Write into the vault's storage, WAD."""
    vault, slot = devnet.contract("MarginVault").address, slot_of(VAULT_BALANCES, account)
    word = devnet.chain.storage(vault, slot)
    devnet.chain.rpc.call("anvil_setStorageAt", vault, hex(slot), f"0x{word + cash:064x}")


def test_run__money_from_nowhere__the_sums_stop_the_replay() -> None:
    with staged(3, 10) as (devnet, replay, chain):
        account = next(iter(replay.traders.by_account))
        with pytest.raises(SumsBroken, match=r"^minute 1: tokens in the vault less claims are -\d+ wei"):
            replay.run(Meddling(chain, 6, lambda: add_cash(devnet, account, 10**12)))
        assert chain.first_difference.endswith(f"{account:#x} differs")


def test_run__money_moves_from_one_account_to_another__both_are_counted() -> None:
    def swap() -> None:
        first, second = list(replay.traders.by_account)[:2]
        add_cash(devnet, first, 10**12)
        add_cash(devnet, second, -(10**12))

    with staged(3, 10) as (devnet, replay, chain):
        report = replay.run(Meddling(chain, 6, swap))
    assert report.model_mismatches >= 2
    assert [check.name for check in checks(report) if not check.passed] == ["chain = reference model"]
    assert chain.first_difference


def test_run__the_contracts_refuse_what_the_model_does__names_the_flow_and_the_refusal() -> None:
    with staged(3, 10) as (devnet, replay, chain):

        def break_() -> None:
            devnet.chain.rpc.call("anvil_setCode", devnet.contract("OracleAggregator").address, "0xfe")

        with pytest.raises(NotAsExpected, match=r"^[\w ,]+: the contracts refuse with .*; the model did not$"):
            replay.run(Meddling(chain, 6, break_))


def test_main__port_is_taken__one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ["--minutes", "1", "--accounts", "5", "--out", str(tmp_path / "out"), "--port", str(port)]
        assert cli.main(arguments) == 2
    assert f"port {port} is taken" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_main__the_funds_ledger_is_off_by_a_wei__fails_and_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(contracts: Contracts) -> FundLedger:
        ledger = read_ledger(contracts)
        return dataclasses.replace(ledger, balance=ledger.balance - 1)

    monkeypatch.setattr(cli, "read_ledger", off)
    assert cli.main(["--minutes", "1", "--accounts", "5", "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "FAILS" in captured.out
    assert captured.err == "error: WRONG: the ledger from events is 1 wei more than the balance\n"


def test_main__two_minutes__table_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert cli.main(["--minutes", "2", "--accounts", "5", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "Gas, median by flow" in printed
    assert "fund's balance = its events" in printed
    assert "FAILS" not in printed
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json"]
