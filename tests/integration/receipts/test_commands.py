"""`ape run receipt` and `ape run fund`: what they print, and how they end."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plimsoll.chain.build import ROOT
from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.sdk.slots import VAULT_BALANCES, slot_of
from tests.integration.receipts.conftest import Crash
from tests.integration.receipts.test_receipts import KEEPER_SHARE, OTHER_SHARE

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.node

Run = Callable[..., "Result"]


@pytest.fixture
def run(crash: Crash, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command of scripts/ in this process, on the devnet: its result."""
    monkeypatch.chdir(ROOT)
    from click.testing import CliRunner

    from scripts import fund, receipt

    def invoke(command: str, *arguments: str, network: str = "", deployments: Path | None = None) -> Result:
        common = ["--network", network or f"optimism:devnet:{crash.devnet.node.url}"]
        common += ["--deployments", str(deployments or crash.devnet.manifest_path.parent)]
        return CliRunner().invoke({"fund": fund.cli, "receipt": receipt.cli}[command], [*arguments, *common])

    return invoke


def is_one_line(result: Result, said: str) -> None:
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert said in result.output


def test_receipt__all_kinds__a_table_each_and_0(crash: Crash, run: Run) -> None:
    crash.fall()
    calls = [
        crash.close_out(crash.unhealthy),
        crash.take_over(crash.bargain, 20 * WAD, crash.taker),
        crash.absorb(crash.bankrupt),
    ]
    for sent, kind in zip(crash.send_together(calls), ("close-out", "take-over", "absorption"), strict=True):
        result = run("receipt", sent.tx_hash)
        assert result.exit_code == 0, result.output
        assert f"\n{kind} " in result.output
        assert "WRONG" not in result.output
        assert result.output.splitlines()[-1].startswith("right        1 liquidation, ")
        data = json.loads(run("receipt", sent.tx_hash, "--json").output)
        assert (data["right"], data["liquidations"][0]["kind"]) == (True, kind)
        equity = next(one for one in data["liquidations"][0]["figures"] if one["name"] == "equity")
        assert equity["said"] == equity["recomputed"]


def test_receipt__a_keeper_was_paid_more__is_said_and_1(crash: Crash, run: Run) -> None:
    crash.fall()
    code = crash.chain.code(crash.liquidator.address).replace(KEEPER_SHARE, OTHER_SHARE)
    crash.chain.rpc.call("anvil_setCode", crash.liquidator.address, "0x" + code.hex())
    sent = crash.send(crash.close_out(crash.unhealthy))
    result = run("receipt", sent.tx_hash)
    assert result.exit_code == 1
    [line] = [one for one in result.output.splitlines() if one.strip().startswith("of it to the keeper")]
    assert line.endswith("WRONG")
    assert result.output.splitlines()[-1] == "WRONG        1 of 1 liquidation not as the rules make them"
    assert run("receipt", sent.tx_hash, "--json").exit_code == 1


def test_receipt__bad_input__is_one_line_and_2(crash: Crash, run: Run, tmp_path: Path) -> None:
    is_one_line(run("receipt", "0x12"), "is not 0x and 64 hexadecimal digits")
    is_one_line(run("receipt", "0x" + "12" * 32), "is it the right network?")
    is_one_line(run("receipt", crash.devnet.record().tx_hash), "no liquidation in it")
    is_one_line(run("receipt", "0x" + "12" * 32, deployments=tmp_path), "nothing is deployed on chain 901")
    is_one_line(run("receipt", "0x" + "12" * 32, network="optimism:nowhere:node"), "error: --network:")


def test_fund__after_a_crash__is_the_balance_and_0(crash: Crash, run: Run) -> None:
    crash.fall()
    crash.send_together([crash.close_out(crash.unhealthy), crash.absorb(crash.bankrupt)])
    crash.contracts.market.transact(crash.keeper, "sweep", 1)
    result = run("fund")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "right: the ledger from events is the balance, to the wei"
    data = json.loads(run("fund", "--json").output)
    assert data["right"] is True
    rows = list(csv.DictReader(io.StringIO(run("fund", "--csv").output)))
    assert [row["kind"] for row in rows] == [
        "entries of shares",
        "costs of close-outs",
        "rewards of absorptions",
        "debts",
        "fees swept",
    ]
    balance = crash.contracts.vault.call("cashOf", ids.pack(crash.contracts.addresses["InsuranceFund"]))
    assert int(rows[-1]["balanceWei"]) == balance == int(data["balance"]) == int(data["sum"])


def test_fund__a_wei_is_gone__is_said_loudly_and_1(crash: Crash, run: Run) -> None:
    account = ids.pack(crash.contracts.addresses["InsuranceFund"])
    slot = slot_of(VAULT_BALANCES, account)
    word = crash.chain.storage(crash.contracts.vault.address, slot)
    crash.write(crash.contracts.vault, slot, word - 1)
    said = "WRONG: the ledger from events is 1 wei more than the balance"
    for arguments in ((), ("--json",), ("--csv",)):
        result = run("fund", *arguments)
        assert result.exit_code == 1
        assert said in result.output
    is_one_line(run("fund", "--json", "--csv"), "--json and --csv: give one of them")
