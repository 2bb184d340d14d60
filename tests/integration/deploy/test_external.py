"""What must exist before a deployment, against real contracts of the OP stack; and a dry run without a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plimsoll.chain.build import ROOT
from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError
from plimsoll.deploy.external import external_rows
from plimsoll.deploy.parameters import Parameters, Rollup, load
from plimsoll.devnet.anvil import AnvilSettings
from plimsoll.devnet.opstack import OpStack
from plimsoll.devnet.opstack.predeploys import PREDEPLOYS

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.node

DESCRIPTION = bytes.fromhex("7284e416")


def feed_code(description: str, answer: int, updated_at: int) -> bytes:
    """Code that answers description() with a text of at most 32 bytes, and everything else with one round."""
    text = description.encode()
    round_ = b"".join(value.to_bytes(32, "big") for value in (1, answer, updated_at, updated_at, 1))
    said = (32).to_bytes(32, "big") + len(text).to_bytes(32, "big") + text.ljust(32, b"\0")

    def answer_with(size: int, at: int) -> bytes:  # codecopy(0, at, size); return(0, size)
        return bytes([0x60, size, 0x60, at, 0x5F, 0x39, 0x60, size, 0x5F, 0xF3])

    # jump to 24 where the selector is description's; 35 bytes of code, then the data
    ask = bytes.fromhex("5f3560e01c63") + DESCRIPTION + bytes([0x14, 0x60, 24, 0x57])
    return ask + answer_with(160, 35) + b"\x5b" + answer_with(96, 195) + round_ + said


@dataclass
class Place:
    """An L1 and an L2 with all that OP Mainnet's parameters ask for, at their addresses; and these parameters."""

    stack: OpStack
    parameters: Parameters

    def rows(self, parameters: Parameters | None = None, *, l1: bool = True) -> dict[str, tuple[str, str]]:
        """Item → (expected, actual) of what differs."""
        found = external_rows(parameters or self.parameters, self.stack.l2, self.stack.l1 if l1 else None)
        assert found
        return {row.item: (row.expected, row.actual) for row in found if not row.ok}

    def put(self, address: str, code: bytes) -> None:
        self.stack.l2.rpc.call("anvil_setCode", address, "0x" + code.hex())


@pytest.fixture(scope="module")
def booted(built: None) -> Iterator[Place]:
    with OpStack.boot(l2=AnvilSettings(chain_id=10, gas_limit=60_000_000)) as stack:
        at = {name: contract.address for name, contract in stack.layer1.contracts.items()}
        rollup = Rollup(
            l1_chain_id=stack.l1.chain_id,
            portal=at["OptimismPortal"],
            l1_messenger=at["L1CrossDomainMessenger"],
            l1_bridge=at["L1StandardBridge"],
            messenger=PREDEPLOYS["L2CrossDomainMessenger"],
            bridge=PREDEPLOYS["L2StandardBridge"],
            l1_token=stack.l1_token.address,
        )
        token = stack.l2_token.address
        loaded = replace(load("optimism-mainnet", blanks=True), token=token, rollup=rollup)
        place = Place(stack, loaded)
        now = stack.l2.block().timestamp
        place.put(loaded.sequencer.feed, feed_code("L2 Sequencer Uptime Status Feed", 0, now))
        for market in loaded.markets:
            push = market.sources[-1]
            place.put(str(push.contract), feed_code(market.name.replace("/", " / "), 2_500 * 10**8, now))
        yes = bytes.fromhex("60015f5260205ff3")  # 1, whatever is asked
        for address in (loaded.api3_server, loaded.data_streams, loaded.pyth):
            place.put(address, yes)
        yield place


@pytest.fixture
def place(booted: Place) -> Iterator[Place]:
    snapshot = booted.stack.snapshot()
    yield booted
    booted.stack.restore(snapshot)


def test_external_rows__all_as_it_should_be__no_difference(place: Place) -> None:
    assert place.rows() == {}
    assert place.rows(l1=False) == {}


def test_external_rows__other_token__decimals_symbol_and_origin(place: Place) -> None:
    wrong = replace(place.parameters, token_decimals=18, token_symbol="DAI")
    assert place.rows(wrong) == {"token decimals": ("18", "6"), "token symbol": ("DAI", "USDC")}
    assert place.parameters.rollup is not None
    native = replace(place.parameters, rollup=replace(place.parameters.rollup, l1_token="0x" + "00" * 20))
    assert place.rows(native) == {"token is bridged from": ("none", place.stack.l1_token.address)}


def test_external_rows__feeds__by_their_description_and_age(place: Place) -> None:
    eth = str(place.parameters.markets[0].sources[-1].contract)
    now = place.stack.l2.block().timestamp
    place.put(eth, feed_code("BTC / USD", 1, now - 7_200))
    differences = sorted(place.rows().values())
    assert differences == [("ETH/USD", "BTC/USD"), ("at most 1 h", "2 h")]


def test_external_rows__nothing_there__is_said_of_each(place: Place) -> None:
    place.put(place.parameters.sequencer.feed, b"")
    place.put(place.parameters.pyth, b"")
    found = place.rows()
    assert found["sequencer feed"] == (place.parameters.sequencer.feed, "no contract there")
    assert found["sequencer feed answers"] == ("0 or 1", "no answer")
    assert found["Pyth's contract"][1] == "no contract there"
    assert [actual for item, (_, actual) in found.items() if " Pyth 0x" in item] == ["no answer"] * 2


def test_external_rows__another_l1__is_refused(place: Place) -> None:
    assert place.parameters.rollup is not None
    wrong = replace(place.parameters, rollup=replace(place.parameters.rollup, l1_chain_id=1))
    with pytest.raises(UserError, match=r"is chain 900, and .*optimism-mainnet.toml names chain 1 as its L1"):
        place.rows(wrong)
    with pytest.raises(UserError, match=r"is chain 900, and .* is for chain 10"):
        external_rows(place.parameters, place.stack.l1)


def test_external_rows__portal_of_another_rollup__does_not_fit(place: Place) -> None:
    assert place.parameters.rollup is not None
    other = place.stack.l1_contract("SystemConfig").address
    wrong = replace(place.parameters, rollup=replace(place.parameters.rollup, portal=other))
    assert place.rows(wrong) == {"L1 messenger's portal": (other, place.parameters.rollup.portal)}


# --- the commands --------------------------------------------------------------------------------------------------

Run = Callable[..., "Result"]


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(ROOT)
    from click.testing import CliRunner

    from scripts import deploy, verify

    def invoke(command: str, *arguments: str) -> Result:
        common = ["--network", place.stack.l2.uri, "--parameters", "optimism-mainnet"]
        options = [*arguments, *common, "--deployments", str(tmp_path)]
        return CliRunner().invoke({"deploy": deploy.cli, "verify": verify.cli}[command], options)

    return invoke


def test_verify_external__before_anything_is_deployed__names_what_is_not_there(place: Place, run: Run) -> None:
    """On a chain of this kind that isn't OP Mainnet: the file's token is not there."""
    result = run("verify", "--external")
    assert result.exit_code == 1, result.output
    assert "no contract there, not 0x7F5c764cBc14f9669B88837ca1490cCa17c31607" in result.output
    assert "note  blank: governance governor <address of the DAO's executor>" in result.output


def test_deploy_dry_run__no_key__lists_blanks_and_steps_and_sends_nothing(place: Place, run: Run) -> None:
    before = place.stack.l2.block_number
    result = run("deploy", "--dry-run")
    assert result.exit_code == 1, result.output
    for said in (
        "blank contracts treasury <address that owns the treasury account>",
        "create  Governance at 0x",
        "create  PythAdapter at 0x",
        "call    list market 1 ETH/USD",
        "9 values are blank",
        "no deployer was named, so the addresses are made up; nothing was sent",
    ):
        assert said in result.output, said
    assert place.stack.l2.block_number == before


def test_deploy__blanks__are_refused_before_anything_is_sent(run: Run) -> None:
    result = run("deploy", "--account", "TEST::0")
    assert result.exit_code == 2, result.output
    assert "optimism-mainnet.toml is not filled in: contracts treasury" in result.output
    result = run("deploy", "--deployer", "0x" + "11" * 20)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert "--deployer is for a dry run" in result.output


def test_deploy_dry_run__filled_in__is_ready_for_a_deployer_without_his_key(
    place: Place, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from plimsoll.deploy import parameters
    from scripts import deploy

    filled = replace(place.parameters, blanks=())
    monkeypatch.setattr(parameters, "load", lambda *_, **__: filled)
    deployer = "0x" + "77" * 20
    options = ["--dry-run", "--network", place.stack.l2.uri, "--deployments", str(tmp_path), "--deployer", deployer]
    result = CliRunner().invoke(deploy.cli, options)
    assert result.exit_code == 2, result.output
    assert "has 0.000000 ETH; about" in result.output
    place.stack.l2.rpc.call("anvil_setBalance", deployer, hex(10**21))
    result = CliRunner().invoke(deploy.cli, options)
    assert result.exit_code == 0, result.output
    assert "0 differences; 0 values are blank" in result.output
    assert "0 contracts are there; nothing was sent" in result.output


def test_watched_wallet__signs_nothing(place: Place) -> None:
    from plimsoll.chain.transactions import Signer
    from plimsoll.chain.watching import WatchedWallet

    rich = place.stack.l2_signers["alice"].address
    with pytest.raises(UserError, match="only its address is known here, not its key"):
        Signer(place.stack.l2, WatchedWallet(rich)).send(rich, value=1)


def test_feed_code__answers__as_it_is_made(place: Place) -> None:
    address = "0x" + "ab" * 20
    place.put(address, feed_code("ETH / USD", 7, 99))
    chain: Chain = place.stack.l2
    assert chain.call(address, DESCRIPTION)[64:].rstrip(b"\0") == b"ETH / USD"
    assert int.from_bytes(chain.call(address, bytes.fromhex("feaf968c"))[32:64], "big") == 7
