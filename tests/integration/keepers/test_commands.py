"""`ape run keeper` and `ape run trade`: what they print, and how they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plimsoll.chain.build import ROOT, build_environment
from tests.integration.keepers.conftest import Bot, Stage, until

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.node

ALICE, KEEPER, STRANGER = "TEST::6", "TEST::5", "0x" + "77" * 32
"""TEST::n is the n-th of the devnet's accounts."""

Run = Callable[..., "Result"]


@pytest.fixture
def run(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command of scripts/ in this process, on the stage's devnet: its result."""
    monkeypatch.chdir(ROOT)
    from click.testing import CliRunner

    from scripts import keeper, trade

    def invoke(
        command: str, *arguments: str, network: str = "", deployments: Path | None = None, nested: int = 0
    ) -> Result:
        """`nested` more names than one say which command it is."""
        common = ["--network", network or f"optimism:devnet:{stage.devnet.node.url}"]
        common += ["--deployments", str(deployments or stage.devnet.manifest_path.parent)]
        cli = {"keeper": keeper.cli, "trade": trade.cli}[command]
        return CliRunner().invoke(cli, [*arguments[: 1 + nested], *common, *arguments[1 + nested :]])

    return invoke


def test_trade__the_life_of_a_position(stage: Stage, run: Run) -> None:
    stage.start("publisher", "provider")
    stage.start("executor", "keeper")
    deposited = run("trade", "deposit", "10_000", "--account", ALICE)
    assert deposited.exit_code == 0, deposited.output
    assert "cash         $10,000.00, reserved $0.00, withdrawable $10,000" in deposited.output
    bought = run("trade", "buy", "ETH", "2.5", "--wait", "20", "--account", ALICE)
    assert bought.exit_code == 0, bought.output
    assert "placed       market ETH/USD +2.5 at $2,512.51 or better" in bought.output
    assert "filled       +2.5 at $2,500.0" in bought.output
    closed = run("trade", "close", "ETH", "--wait", "20", "--account", ALICE)
    assert "position +0" in closed.output, closed.output
    left = run("trade", "withdraw", "all", "--account", ALICE)
    assert "equity       $0.00" in left.output, left.output


def test_trade__orders_that_wait__and_what_is_shown(stage: Stage, run: Run) -> None:
    alice = stage.client("alice")
    alice.deposit(1_000)
    waits = run("trade", "limit", "sell", "ETH", "1", "2_600", "--reduce-only", "--account", ALICE)
    assert "placed       limit ETH/USD -1 at $2,600.00 or better, reduce only" in waits.output
    shown = run("trade", "show", "--account", ALICE)
    assert "position     none" in shown.output
    assert "BTC/USD  index $60,000.00" in shown.output
    [order] = [line.split()[1] for line in shown.output.splitlines() if line.startswith("order ")]
    assert run("trade", "cancel", order, "--account", ALICE).output == f"cancelled    {order}\n"
    assert "ETH/USD -10 at $2,49" in run("trade", "quote", "ETH", "--account", ALICE, "--", "-10").output
    isolated = alice.account(isolated_market="ETH")
    moved = run("trade", "transfer", str(isolated), "100", "--account", ALICE)
    assert "cash         $900.00" in moved.output
    assert "cash         $100.00" in run("trade", "show", "--isolated", "ETH", "--account", ALICE).output


def test_trade__an_order_is_signed_relayed_and_cancelled(stage: Stage, run: Run, tmp_path: Path) -> None:
    alice = stage.client("alice")
    alice.deposit(1_000)
    file = tmp_path / "order.json"

    def relay(*order: str) -> Result:
        signed = run("trade", "sign", *order, "--expiry", "1h", "--account", ALICE, nested=1)
        assert signed.exit_code == 0, signed.output
        file.write_text(signed.output)
        return run("trade", "relay", str(file), "--account", KEEPER)

    relayed = relay("buy", "ETH", "1")
    assert "placed       market ETH/USD +1 at $2,512.50 or better, until" in relayed.output, relayed.output
    refused = relay("limit", "buy", "ETH", "1", "2_000")
    assert (refused.exit_code, refused.output.count("\n")) == (2, 1), refused.output
    assert "error: order: a signed limit order is for matching" in refused.output
    bracket = ("--stop", "1_900", "--profit", "2_200", "--price", "2_000", "--account", ALICE)
    assert run("trade", "bracket", "buy", "ETH", "1", *bracket).output.count("placed ") == 3
    assert len(alice.open_orders()) == 4
    cancelled = run("trade", "cancel-all", "--account", ALICE)
    assert cancelled.output == "cancelled    all that was not made under counter 1\n"
    assert [order.is_queued for order in alice.open_orders()] == [True]


def test_trade__what_can_not_be_done__is_one_line_and_2(stage: Stage, run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases = {
        "error: no key: the environment variable NO_SUCH_KEY is not set": ("show", "--key-env", "NO_SUCH_KEY"),
        "error: no account was named": ("show",),
        "error: no account nobody": ("show", "--account", "nobody"),
        "error: market 'DOGE' is not known": ("buy", "DOGE", "1", "--account", ALICE),
        "error: size: 'much' is not a number": ("buy", "ETH", "much", "--account", ALICE),
        "error: size -1 has a sign": ("sell", "ETH", "--account", ALICE, "--", "-1"),
        "error: ETH/USD: the account has no position": ("close", "ETH", "--account", ALICE),
        "error: withdraw: nothing can leave": ("withdraw", "all", "--account", ALICE),
        "error: hash '0x12' is not 0x and 64": ("cancel", "0x12", "--account", ALICE),
    }
    for said, arguments in cases.items():
        _is_one_line(run("trade", *arguments), said)
    nothing = run("trade", "show", "--account", ALICE, deployments=tmp_path / "empty")
    _is_one_line(nothing, "error: nothing is deployed on chain 901")
    _is_one_line(run("trade", "show", network="optimism:devnet:http://127.0.0.1:9"), "error: no answer from")
    _is_one_line(run("trade", "show", network="foo:bar:baz"), "error: --network: No ecosystem named 'foo'")


def test_keeper__what_can_not_start__is_one_line_and_2(stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOR_KEY", STRANGER)
    wait, price = "--wait-for-prices", ("--price", "ETH/USD=2500")
    poor, strange = ("--key-env", "POOR_KEY"), ("--beacon-key-env", "POOR_KEY")
    cases = {
        "error: no key: the environment variable NO_SUCH_KEY is not set": ("executor", "--key-env", "NO_SUCH_KEY"),
        "error: executor: 0x": ("executor", *poor, wait),
        "error: max batch 99 does not": ("executor", "--account", KEEPER, "--max-batch", "99", wait),
        "error: publisher: name one source": ("publisher", "--account", KEEPER),
        "error: market 'DOGE' is not known": ("publisher", "--account", KEEPER, "--price", "DOGE=1"),
        "error: price: 'ETH' is not NAME=value": ("publisher", "--account", KEEPER, "--price", "ETH"),
        "error: publisher: none of the 1 keys": ("publisher", "--account", KEEPER, *strange, *price),
        "error: liquidator: taking over needs a key": ("liquidator", "--dry-run", "--take-over", "5", wait),
    }
    for said, arguments in cases.items():
        _is_one_line(run("keeper", *arguments), said)
    stage.pass_seconds(20)
    for job in ("executor", "liquidator"):
        _is_one_line(run("keeper", job, "--account", KEEPER), "error: stale oracle: no price is fresh (ETH/USD: ")
    assert stage.sent_by("keeper") == 0


def test_keeper__by_ape__runs_until_it_is_told_to_stop(stage: Stage) -> None:
    stage.start("publisher", "provider")
    command = [str(Path(sys.executable).parent / "ape"), "run", "keeper", "executor", "--account", KEEPER]
    command += ["--network", f"optimism:devnet:{stage.devnet.node.url}"]
    command += ["--deployments", str(stage.devnet.manifest_path.parent), "--poll", "0.1"]
    bot = Bot(command, cwd=ROOT, env={**os.environ, **build_environment()})
    stage.bots.append(bot)
    [started] = bot.wait_for("started", seconds=40)
    assert started["address"] == stage.devnet.signers["keeper"].address
    alice = stage.client("alice")
    alice.deposit(10_000)
    assert alice.wait_for(alice.place_market("ETH/USD", 1)).status == "filled"
    bot.wait_for("executed")
    assert bot.stop() == 0
    assert bot.said("stopped")


def _is_one_line(result: Result, said: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.output.startswith(said), result.output
    assert result.output.count("\n") == 1, result.output


def test_keeper__status_and_reset__of_the_store(stage: Stage, run: Run, tmp_path: Path) -> None:
    store = str(tmp_path / "keepers.sqlite")
    empty = run("keeper", "status", "--store", store)
    assert (empty.exit_code, empty.output) == (1, "no keeper has written into this store\n")
    stage.start("publisher", "provider", store=store)
    settlement = stage.start("settlement", "keeper", store=store)
    until("both are there", lambda: run("keeper", "status", "--store", store).output.count("working") == 2)
    shown = run("keeper", "status", "--store", store)
    assert shown.exit_code == 0, shown.output
    assert stage.devnet.signers["keeper"].address in shown.output
    assert run("keeper", "reset", "--store", store).output == "the circuit breaker is closed already\n"
    assert settlement.stop() == 0
    assert "settlement" not in run("keeper", "status", "--store", store).output
    _is_one_line(run("keeper", "status", "--store", "none"), "error: without a store nothing is known of the keepers")
    away = run("keeper", "status", "--store", "redis://127.0.0.1:9/0")
    _is_one_line(away, "error: store redis://127.0.0.1:9: ")
