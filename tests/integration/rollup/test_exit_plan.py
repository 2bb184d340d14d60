"""`ape run exit-plan` and `ape run fees` on a rollup with the OP stack's real contracts on both layers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plimsoll.chain.build import ROOT
from plimsoll.chain.transactions import Call, Reverted
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.devnet.opstack import OpStack, OpStackSettings
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.deployments import load
from plimsoll.sdk.exit_plan.live import read_rules
from plimsoll.sdk.exit_plan.reading import read_leaving, read_volatility
from plimsoll.sdk.exit_plan.rules import Kind, profile
from plimsoll.sdk.fees.flows import BRIDGE_GAS, GAS, flows
from plimsoll.sdk.fees.oracle import FeeOracle

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.node

SETTINGS = OpStackSettings(proof_maturity_seconds=500_000, game_clock_seconds=200_000, air_gap_seconds=150_000)
BASE = profile("op-mainnet")
ETH = 1
DOLLARS = 20_000

Run = Callable[..., "Result"]


@dataclass
class Scene:
    """A trader with a position on a deployed rollup."""

    devnet: Devnet
    stack: OpStack
    trader: Plimsoll
    account: int

    @property
    def portal(self) -> str:
        return self.stack.l1_contract("OptimismPortal").address

    def withdraw(self) -> tuple[int, int, int]:
        """A withdrawal from an address to the end: gas of handing it to the bridge, of proof and finalisation."""
        stack = self.stack
        self.devnet.mint(stack.l1_signers["bob"].address, 2_000)
        for _ in range(2):  # the second time nothing is new
            sent = stack.l2_contract("L2StandardBridge").transact(
                stack.l2_signers["bob"],
                "bridgeERC20To",
                stack.l2_token,
                stack.l1_token,
                stack.l1_signers["bob"].address,
                10**9,
                BRIDGE_GAS,
                b"",
            )
        (withdrawal,) = stack.withdrawals(sent)
        stack.propose()
        stack.advance(10)
        proven = stack.prove(withdrawal, "bob")
        stack.pass_challenge()
        return sent.gas_used, proven.gas_used, stack.finalise(withdrawal, "bob").gas_used


@pytest.fixture(scope="module")
def booted(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with boot_devnet(rollup=SETTINGS, folder=tmp_path_factory.mktemp("devnet")) as devnet:
        deployment = load(devnet.manifest_path)
        contracts = deployment.on(devnet.chain)
        alice = Plimsoll(devnet.chain, contracts, devnet.signers["alice"], markets=deployment.markets)
        account = devnet.deposit("alice", DOLLARS)
        placed = alice.place_market("ETH", "3", account=account, slippage_bps=500)
        devnet.advance(2)
        devnet.record()
        contracts.order_book.transact(devnet.signers["keeper"], "execute", placed.order, [])
        assert devnet.stack is not None
        yield Scene(devnet, devnet.stack, alice, account)


@pytest.fixture
def scene(booted: Scene) -> Iterator[Scene]:
    prices, snapshot = dict(booted.devnet.prices), booted.devnet.snapshot()
    # attached anew, so that nobody remembers nonces of the test before
    stack = OpStack(booted.stack.l1, booted.stack.l2, SETTINGS, l2_signers=booted.devnet.signers)
    booted.stack = booted.devnet.stack = stack
    yield booted
    booted.devnet.restore(snapshot)
    booted.devnet.prices = prices


@pytest.fixture
def run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command of scripts/ in this process, on the rollup."""
    monkeypatch.chdir(ROOT)
    from click.testing import CliRunner

    from scripts import _exit_plan, fees

    def invoke(command: str, *arguments: str, deployments: Path | None = None) -> Result:
        common = ["--network", f"optimism:devnet:{scene.devnet.node.url}"]
        common += ["--deployments", str(deployments or scene.devnet.manifest_path.parent)]
        return CliRunner().invoke({"exit-plan": _exit_plan.cli, "fees": fees.cli}[command], [*arguments, *common])

    return invoke


def is_one_line(result: Result, said: str) -> None:
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert said in result.output


def is_one_line_after_notes(result: Result, said: str) -> None:
    *notes, error = result.output.splitlines()
    assert result.exit_code == 2, result.output
    assert all(note.startswith("note: ") for note in notes), result.output
    assert said in error


# --- the rules as the portal says them -----------------------------------------------------------------------------


def test_read_rules__dispute_games__are_the_settings(scene: Scene) -> None:
    rules = read_rules(scene.stack.l1, scene.portal, BASE, scene.stack.l2)
    assert (rules.kind, rules.is_live) == (Kind.DISPUTE_GAMES, True)
    assert (rules.settled_soonest, rules.air_gap, rules.proof_maturity) == (200_000, 150_000, 500_000)
    assert rules.proposal_interval == BASE.proposal_interval  # no game yet to tell otherwise
    assert scene.portal in rules.sources[0]


def test_read_rules__games__tell_how_often_and_how_late(scene: Scene) -> None:
    for _ in range(4):
        scene.devnet.advance(1_000)
        scene.stack.relay()
        scene.devnet.advance(40)
        scene.stack.l2.rpc.call("evm_mine")
        scene.stack.propose()
    rules = read_rules(scene.stack.l1, scene.portal, BASE, scene.stack.l2)
    assert rules.proposal_interval == pytest.approx(1_040, abs=5)
    assert rules.proposal_lag <= 5


def test_read_rules__soonest__is_the_second_before_which_the_portal_refuses(scene: Scene) -> None:
    stack = scene.stack
    scene.devnet.mint(stack.l1_signers["bob"].address, 2_000)
    sent = stack.l2_contract("L2StandardBridge").transact(
        stack.l2_signers["bob"], "bridgeERC20To", stack.l2_token, stack.l1_token, stack.l1_signers["bob"].address,
        10**9, BRIDGE_GAS, b"",
    )  # fmt: skip
    (withdrawal,) = stack.withdrawals(sent)
    stack.propose()
    stack.advance(1)
    stack.prove(withdrawal, "bob")
    proven_at = stack.l1.block().timestamp
    rules = read_rules(stack.l1, scene.portal, BASE, stack.l2)
    wait = rules.finalisable[0] - rules.proposed[0]
    stack.advance(rules.settled_soonest)
    stack.resolve()
    call = stack.l1_contract("OptimismPortal").prepare("checkWithdrawal", withdrawal.hash, stack.l1_signers["bob"])
    stack.l1.rpc.batch([("evm_setNextBlockTimestamp", [proven_at + wait]), ("evm_mine", [])])
    with pytest.raises(Reverted, match="matured"):
        stack.l1.read([call])
    stack.l1.rpc.batch([("evm_setNextBlockTimestamp", [proven_at + wait + 1]), ("evm_mine", [])])
    stack.l1.read([call])


def test_read_rules__output_oracle__is_told_apart(built: None) -> None:
    settings = OpStackSettings(portal="oracle", proof_maturity_seconds=12_345, output_interval=7)
    with OpStack.boot(settings) as stack:
        rules = read_rules(stack.l1, stack.l1_contract("OptimismPortal").address, BASE)
        assert (rules.kind, rules.proof_maturity, rules.settled_soonest) == (Kind.OUTPUT_ORACLE, 12_345, 12_345)
        assert rules.proposal_interval == 14  # seven blocks of two seconds
        assert rules.finalisable[0] == rules.proposal_lag + 12_345


def test_read_rules__no_portal__says_so(scene: Scene) -> None:
    with pytest.raises(UserError, match="no contract at 0x1111"):
        read_rules(scene.stack.l1, "0x" + "11" * 20, BASE)
    with pytest.raises(UserError, match="is no portal"):
        read_rules(scene.stack.l1, scene.stack.l1_token.address, BASE)


# --- costs ---------------------------------------------------------------------------------------------------------


def test_gas__of_a_withdrawal__is_what_the_plan_reckons(scene: Scene) -> None:
    """On L2 within five hundredths; on L1 the profiles have a fifth more, for deeper tries."""
    bridged, proven, finalised = scene.withdraw()
    assert bridged == pytest.approx(GAS["bridge to L1"], rel=0.05)
    assert proven * 12 // 10 == pytest.approx(BASE.prove_gas, rel=0.1)
    assert finalised * 12 // 10 == pytest.approx(BASE.finalise_gas, rel=0.1)


def test_fee_of__a_transaction__is_what_the_rollup_takes(scene: Scene) -> None:
    """The balance goes down by gas × price and, to the wei, by what is reckoned of the signed bytes."""
    stack, trader = scene.stack, scene.devnet.signers["alice"]
    stack.relayer.blob_base_fee = 3 * 10**9
    try:
        scene.devnet.advance(12)
        stack.relay()
    finally:
        stack.relayer.blob_base_fee = 1
    token = scene.devnet.token
    before = trader.balance
    prices = FeeOracle(scene.devnet.chain).prices()
    (signed,) = trader.sign_many(
        [Call(token.address, token.encode("approve", "0x" + "22" * 20, 2**200 - 1), gas=90_000)]
    )
    trader.broadcast([signed])
    receipt = scene.devnet.chain.wait_for(signed.tx_hash)
    l1_fee = before - trader.balance - receipt.fee
    assert prices.blob_base_fee == 3 * 10**9
    assert l1_fee == prices.fee_of(signed.raw) > 0


def test_fee_oracle__on_the_rollup__agrees_and_adds_no_operator_fee(scene: Scene) -> None:
    oracle = FeeOracle(scene.devnet.chain)
    prices = oracle.prices()
    for flow in flows():
        assert abs(oracle.fee(flow.unsigned) - prices.fee_of(flow.signed)) * 20 <= prices.fee_of(flow.signed), flow.name
    assert oracle.operator_fee(100_000) == 0


# --- reading -------------------------------------------------------------------------------------------------------


def test_read_leaving__a_position__with_what_closing_costs(scene: Scene) -> None:
    scene.devnet.record()
    leaving = read_leaving(scene.trader.contracts, scene.account, {ETH: "ETH/USD"})
    (holding,) = leaving.holdings
    quote = scene.trader.quote("ETH", "-3")
    assert (holding.market, holding.base, holding.fill_price) == ("ETH/USD", 3 * WAD, quote.fill_price)
    assert (holding.fee, holding.execution_fee, holding.settles_within) == (quote.fee, quote.execution_fee, 5)
    assert leaving.equity == scene.trader.account_snapshot(scene.account).equity
    assert leaving.withdrawable == scene.trader.contracts.vault.call("withdrawable", scene.account) * 10**12


def test_read_volatility__records__are_found(scene: Scene) -> None:
    for place in range(27):
        scene.devnet.advance(300)
        scene.devnet.record({"ETH/USD": (2_500 + 5 * (place % 2)) * WAD})
    found = read_volatility(scene.trader.contracts, ETH)
    # ln(2505/2500) is 0.002 every five minutes
    assert found.per_day / WAD == pytest.approx(0.002 * 288**0.5, rel=0.03)
    assert "moves 5 min apart" in found.source


# --- the commands --------------------------------------------------------------------------------------------------


def test_exit_plan__with_l1__by_its_portal(scene: Scene, run: Run) -> None:
    scene.devnet.record()
    result = run(
        "exit-plan", hex(scene.account), "--l1", scene.stack.l1.uri, "--portal", scene.portal, "--volatility", "60%"
    )
    assert result.exit_code == 0, result.output
    for said in (
        "chain 901: dispute-games, as its portal says",
        "close 1 position",
        "prove",
        "5 days 19 h",
        "given, 60%",
    ):
        assert said in result.output, (said, result.output)


def test_exit_plan__json__of_an_address(scene: Scene, run: Run) -> None:
    scene.devnet.record()
    options = ["--rollup", "linea", "--l1-gas-price", "30", "--eth-price", "2_000", "--volatility", "ETH=3%/day"]
    result = run("exit-plan", scene.trader.signer.address, *options, "--json")
    assert result.exit_code == 0, result.output
    plan = json.loads(result.output)
    assert (plan["rollup"], plan["soonest"]) == ("Linea", 1_800)
    assert plan["steps"][-1]["execution"] == str(250_000 * 30 * 2_000 * 10**9)
    assert int(plan["arrives"]) < DOLLARS * WAD
    assert {one["market"] for one in plan["exposures"]} == {"ETH/USD"}


def test_exit_plan__a_token_that_is_not_the_bridge_s__is_told_and_the_portal_known(
    scene: Scene, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scripts import _exit_plan

    monkeypatch.setattr(_exit_plan, "network_name", lambda: "optimism-sepolia")
    scene.devnet.record()
    result = run("exit-plan", hex(scene.account), "--volatility", "60%")
    assert result.exit_code == 0, result.output
    assert "is made here by its issuer" in result.output
    result = run("exit-plan", hex(scene.account), "--l1", scene.stack.l1.uri)
    is_one_line_after_notes(result, "no contract at 0x16Fc5058F25648194471939df75CF27A2fdC48BC")


def test_exit_plan__too_few_records__is_a_note_and_no_risk(scene: Scene, run: Run) -> None:
    scene.devnet.record()
    result = run("exit-plan", hex(scene.account))
    assert result.exit_code == 0, result.output
    assert "too few to estimate a volatility from" in result.output
    assert "the price until then" not in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rollup", "arbitrum"], "no rollup profile arbitrum; there are op-mainnet"),
        (["--rollup", "linea", "--portal", "0x" + "11" * 20], "leave out --portal, or --rollup"),
        (["--l1", "http://127.0.0.1:9"], "give the rollup's --portal too"),
        (["--volatility", "DOGE=60%"], "market 'DOGE' is not known"),
        (["--volatility", "wild"], "write it like"),
        (["--eth-price", "dear"], "eth-price: 'dear' is not a number"),
    ],
)
def test_exit_plan__mistakes__are_one_line(scene: Scene, run: Run, options: list[str], said: str) -> None:
    scene.devnet.record()
    is_one_line(run("exit-plan", hex(scene.account), *options), said)


def test_exit_plan__no_account__is_one_line(run: Run) -> None:
    is_one_line(run("exit-plan", "me"), "me")


def test_fees__on_the_rollup__beside_what_the_chain_says(run: Run) -> None:
    result = run("fees", "--compact")
    assert result.exit_code == 0, result.output
    for said in ("chain says", "executeBatch", "a market order of $10,000", "compact"):
        assert said in result.output


def test_fees__given_prices__count(run: Run) -> None:
    given = [
        "--l1-base-fee",
        "10",
        "--blob-base-fee",
        "0.5",
        "--base-fee-scalar",
        "1368",
        "--blob-base-fee-scalar",
        "810949",
    ]
    result = run("fees", *given, "--l2-gas-price", "0.002", "--eth-price", "3_000", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.output)
    assert (data["l1BaseFee"], data["l1BlobBaseFee"], data["l2GasPrice"]) == (
        str(10**10),
        str(5 * 10**8),
        str(2 * 10**6),
    )
    assert data["flows"]["execute"]["l1FeeByChain"] is None
    assert int(data["flows"]["execute"]["l2Fee"]) == GAS["execute"] * 2 * 10**6


def test_fees__a_bare_node__says_what_to_give(built: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    from click.testing import CliRunner

    from plimsoll.devnet.anvil import Anvil, AnvilSettings
    from scripts import fees

    with Anvil(AnvilSettings()) as node:
        options = ["--network", f"optimism:devnet:{node.url}", "--deployments", str(tmp_path)]
        result = CliRunner().invoke(fees.cli, ["--l1-base-fee", "1", *options])
        is_one_line(result, "give --blob-base-fee, --base-fee-scalar, --blob-base-fee-scalar")
        given = ["--l1-base-fee", "1", "--blob-base-fee", "1", "--base-fee-scalar", "1", "--blob-base-fee-scalar", "1"]
        result = CliRunner().invoke(fees.cli, [*given, *options])
        assert result.exit_code == 0, result.output
        assert "unknown (--eth-price)" in result.output
