"""The commands that reach L1: what they print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from eth_utils import to_checksum_address

from plimsoll.chain.build import ROOT
from plimsoll.core import ids
from plimsoll.sdk.rollup.derivation import aliased
from tests.integration.rollup.conftest import Crossing

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.node

ALICE, BOB = "TEST::6", "TEST::7"
Run = Callable[..., "Result"]


@pytest.fixture
def run(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command of scripts/ in this process, on the devnet: its result."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PLIMSOLL_L1", crossing.l1.uri)
    from click.testing import CliRunner

    def invoke(command: str, *arguments: str, nested: int = 0) -> Result:
        common = ["--network", f"optimism:devnet:{crossing.l2.uri}"]
        common += ["--deployments", str(crossing.devnet.manifest_path.parent)]
        cli = import_module(f"scripts.{command}").cli
        result = CliRunner().invoke(cli, [*arguments[:nested], *common, *arguments[nested:]])
        for signers in (crossing.stack.l1_signers, crossing.stack.l2_signers):
            for signer in signers.values():
                signer.forget_nonce()
        return result

    return invoke


def is_one_line(result: Result, said: str) -> None:
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert said in result.output


def test_deposit_l1__then_withdraw_and_withdrawals__dollars_go_round(crossing: Crossing, run: Run) -> None:
    crossing.fund(1_000)
    sent = run("trade", "deposit-l1", "1_000", "--account", ALICE, nested=1)
    assert sent.exit_code == 0, sent.output
    assert "deposit      is on its way: L2 has not executed it yet" in sent.output
    late = run("trade", "deposit-l1", "1_000", "--account", ALICE, nested=1)
    is_one_line(late, "has 0 tokens on L1, fewer than 1,000")
    crossing.stack.relay()
    shown = run("trade", "show", "--account", ALICE, nested=1)
    assert "withdrawable $1,000" in shown.output

    assert run("withdrawals", "--account", ALICE).output == "no withdrawals to L1\n"
    assert run("trade", "withdraw", "400", "--l1", "--account", ALICE, nested=1).exit_code == 0
    listed = run("withdrawals", "--account", ALICE)
    assert "$400 to 0x976EA74026E726554dB657fA54763abd0C3a0aa9" in listed.output
    assert "waits for an output" in listed.output
    crossing.propose()
    assert "can be proven: next step prove" in run("withdrawals", "--finalise", "--account", ALICE).output
    proven = run("withdrawals", "--prove", "--account", BOB, "--for", str(crossing.account()))
    assert "prove        0x" in proven.output
    assert "is proven and waits until" in proven.output
    for _ in range(3):
        (one,) = crossing.withdrawals.followed(crossing.withdrawals.of_owner(crossing.l1_signer().address))
        crossing.devnet.advance(one.seconds_left or 0)
        done = run("withdrawals", "--all", "--account", ALICE)
        assert done.exit_code == 0, done.output
    assert "is paid" in done.output
    assert crossing.l1_tokens() == 400 * 10**6
    crossing.check()


def test_withdrawals__of_a_transaction__needs_no_owner_but_a_key_for_steps(crossing: Crossing, run: Run) -> None:
    crossing.deposit(100)
    crossing.stack.relay()
    started = crossing.withdraw(50)
    whose = ["--for", str(crossing.account("bob"))]
    assert "$50 to" in run("withdrawals", "--tx", started.tx_hash, *whose).output
    crossing.propose()
    is_one_line(run("withdrawals", "--tx", started.tx_hash, "--prove", *whose), "--account ALIAS")
    is_one_line(run("withdrawals"), "whose account?")
    is_one_line(run("withdrawals", "--tx", "0x" + "00" * 32, *whose), "has no transaction")


def test_claim__what_an_account_refused__is_tried_again_or_taken_out(crossing: Crossing, run: Run) -> None:
    treasury = ids.pack(crossing.devnet.parameters.treasury)
    crossing.deposit(100, account=treasury)
    crossing.stack.relay()
    again = run("trade", "claim", str(treasury), "--account", ALICE, nested=1)
    is_one_line(again, "claim: that account takes no deposits")
    is_one_line(run("trade", "claim", str(treasury), "--account", BOB, nested=1), "has nothing to claim of account")
    home = "0x" + "ab" * 20
    taken = run("trade", "claim", str(treasury), "--to", home, "--account", ALICE, nested=1)
    assert taken.output == f"claim        $100 paid to {home}\n"
    crossing.check()


def test_arrival__failed_on_l2__is_said_and_relayed_again_by_anyone(crossing: Crossing, run: Run) -> None:
    made, token = crossing.deposit(100), crossing.devnet.token.address
    sent = made.receipt.tx_hash
    early = run("trade", "arrival", sent, "--relay", "--account", BOB, nested=1)
    assert early.output == "deposit      is on its way: L2 has not executed it yet\n"
    code = crossing.refuse(crossing.l2, token)
    crossing.stack.relay()
    crossing.l2.rpc.call("anvil_setCode", token, code)
    failed = run("trade", "arrival", sent, "--account", BOB, nested=1)
    assert (failed.exit_code, failed.output.count("a message failed on L2")) == (1, 1)
    done = run("trade", "arrival", sent, "--relay", "--account", BOB, nested=1)
    assert (done.exit_code, done.output.count("relayed      0x")) == (0, 2), done.output
    assert "deposit      is in the account\n" in done.output
    is_one_line(run("trade", "arrival", "0x" + "00" * 32, "--account", BOB, nested=1), "has no transaction")
    crossing.check()


def test_agent__named_shown_and_ended(crossing: Crossing, run: Run) -> None:
    agent = to_checksum_address("0x" + "ab" * 20)
    assert run("trade", "agent", "--account", ALICE, nested=1).output == "agent        none\n"
    named = run("trade", "agent", agent, "--contract", "--account", ALICE, nested=1)
    assert named.output == f"agent        {agent} on L1, a contract\n"
    assert run("trade", "agent", "--account", ALICE, nested=1).output == named.output
    is_one_line(run("trade", "agent", agent, "--end", "--account", ALICE, nested=1), "--end takes no address")
    is_one_line(run("trade", "agent", "0x" + "00" * 20, "--account", ALICE, nested=1), "to name none use --end")
    assert run("trade", "agent", "--end", "--account", ALICE, nested=1).output == "agent        none\n"


def test_force_exit__two_rounds__shown_sent_and_gone_on_with(crossing: Crossing, run: Run) -> None:
    crossing.deposit(10_000)
    crossing.stack.relay()
    crossing.open()
    crossing.stack.sequencer.stop()
    crossing.stack.advance(90)
    shown = run("force-exit", "--account", ALICE)
    assert "exit         cancel, and place orders that only reduce" in shown.output
    assert shown.output.endswith("nothing was sent; add --send, or --json to see the transactions\n")
    transactions = json.loads(run("force-exit", "--json", "--account", ALICE).output)
    assert [one["label"] for one in transactions] == ["cancel all orders", "close ETH/USD"]
    assert {one["to"] for one in transactions} == {crossing.rollup.portal.address}

    sent = run("force-exit", "--send", "--account", ALICE)
    assert sent.output.count("\nsent         ") == 2, sent.output
    waits = run("force-exit", "--send", "--account", ALICE)
    assert "exit         wait: signed prices fill the orders" in waits.output
    crossing.stack.advance(65)
    left = run("force-exit", "--send", "--price", "ETH/USD=2500", "--account", ALICE)
    assert "fill ETH/USD at signed prices" in left.output
    assert left.output.count("\nsent         ") == 2, left.output
    assert "exit         nothing is left to do" in run("force-exit", "--account", ALICE).output
    crossing.stack.advance(crossing.stack.settings.sequencing_window_seconds + 1)
    assert [receipt.ok for receipt in crossing.stack.relay()] == [True] * 4
    (started,) = crossing.withdrawals.of_owner(crossing.l1_signer().address)
    crossing.propose()
    crossing.follow_to_the_end(started.withdrawal)
    assert crossing.l1_tokens() > 9_900 * 10**6
    crossing.check()


def test_force_exit__price_data_out_of_a_file__is_carried_along(crossing: Crossing, run: Run, tmp_path: Path) -> None:
    crossing.deposit(10_000)
    crossing.stack.relay()
    crossing.open()
    crossing.devnet.advance(90)
    run("force-exit", "--send", "--account", ALICE)
    crossing.stack.relay()
    crossing.devnet.advance(65)
    file = tmp_path / "prices.json"
    is_one_line(run("force-exit", "--price-data", str(file), "--account", ALICE), "not a JSON list of price items")
    file.write_text(json.dumps(["0x12"]))
    is_one_line(run("force-exit", "--price-data", str(file), "--account", ALICE), "an item is no")
    items = crossing.devnet.price_data(crossing.devnet.prices, crossing.l1.block().timestamp)
    file.write_text(json.dumps(["0x" + item.hex() for item in items]))
    left = run("force-exit", "--send", "--price-data", str(file), "--account", ALICE)
    assert "fill ETH/USD at signed prices" in left.output
    assert [receipt.ok for receipt in crossing.stack.relay()] == [True] * 2
    assert crossing.position() == 0


def test_force_exit__for_a_contract__prints_what_it_has_to_send(crossing: Crossing, run: Run) -> None:
    safe = to_checksum_address("0x" + "5a" * 20)
    account = ids.pack(aliased(safe))
    crossing.deposit(500, account=account)
    crossing.stack.relay()
    printed = run("force-exit", "--contract", safe, "--for", str(account))
    (transaction,) = json.loads(printed.output)
    assert transaction["label"] == f"withdraw all to {safe} on L1"
    refused = run("force-exit", "--contract", safe, "--for", str(account), "--send")
    is_one_line(refused, "only the contract itself can send this")
    is_one_line(run("force-exit", "--for", str(account), "--account", ALICE), "neither the owner")


def test_deploy_gateway__there_already__is_compared(crossing: Crossing, run: Run) -> None:
    address = crossing.rollup.l1_gateway.address
    found = run("deploy-gateway", "--account", "TEST::0")
    assert found.output == f"L1Gateway    {address} on chain 900: is there, and fits\n"
    ours = crossing.l1.code(address)
    crossing.l1.rpc.call("anvil_setCode", address, "0x" + (ours + b"\0").hex())  # says the same, and is another
    is_one_line(run("deploy-gateway", "--account", "TEST::0"), "its code is not what this checkout compiles")
    crossing.l1.rpc.call("anvil_setCode", address, "0x" + crossing.l1.code(crossing.bridge.address).hex())
    is_one_line(run("deploy-gateway", "--account", "TEST::0"), "is not this deployment's gateway: its messenger is")
    crossing.l1.rpc.call("anvil_setCode", address, "0x")
    refused = run("deploy-gateway", "--account", "TEST::0")
    is_one_line(refused, "use the account and the nonce that l1_gateway was computed from")
    is_one_line(run("withdrawals", "--account", ALICE), "has not this deployment's gateway")
