"""The stage itself: what differs between contracts and model, or in the ledger, makes a drill fail."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plimsoll.core.units import WAD
from plimsoll.drills import stage as stage_module
from plimsoll.drills import world
from plimsoll.drills.notes import Notes, Report
from plimsoll.drills.run import drill
from plimsoll.drills.stage import ETH, PRICES, Stage, staged
from plimsoll.drills.world import Recorded, Said
from plimsoll.replay.actions import Applied, CloseOut, Deposit
from plimsoll.replay.onchain import NotAsExpected
from plimsoll.risk.aggregation import Accepted, aggregate
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.receipts import Receipt, receipt_of
from plimsoll.sdk.receipts.figures import Checked
from plimsoll.sdk.slots import VAULT_BALANCES, slot_of

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("built")]


def played(out: Path, scene: Callable[[Stage], None]) -> Report:
    """A drill with one trader, who has $5,000 and is long 10 ETH."""

    def play(notes: Notes) -> None:
        with staged(notes, "trader") as stage:
            stage.deposit({"trader": 5_000})
            stage.open(PRICES, ("trader", ETH, 10 * WAD))
            scene(stage)

    return drill("usdc-0.97", out, play)


def test_staged__nothing_happens__everything_adds_up(tmp_path: Path) -> None:
    report = played(tmp_path, lambda stage: None)
    assert report.passed
    assert len(report.notes.promises) == 6


def test_finish__money_from_nowhere__the_drill_fails_with_the_sum(tmp_path: Path) -> None:
    def scene(stage: Stage) -> None:
        vault, slot = stage.devnet.contract("MarginVault").address, slot_of(VAULT_BALANCES, stage.account("trader"))
        word = stage.devnet.chain.storage(vault, slot)
        stage.devnet.chain.rpc.call("anvil_setStorageAt", vault, hex(slot), f"0x{word + WAD:064x}")

    report = played(tmp_path, scene)
    assert report.passed is False
    assert report.reason.startswith("SumsBroken: ")
    assert json.loads((tmp_path / "usdc-0.97.json").read_text())["passed"] is False


def test_refused__contracts_refuse_by_the_same_name__says_which(tmp_path: Path) -> None:
    def scene(stage: Stage) -> None:
        assert stage.refused(CloseOut(stage.account("trader"), 1)) == "Liquidator_Healthy"
        assert stage.attempt(CloseOut(stage.account("trader"), 1)) == "Liquidator_Healthy"
        assert stage.attempt(Deposit(stage.account("trader"), 1)) == ""

    assert played(tmp_path, scene).passed


@pytest.mark.parametrize(("amount", "found"), [(1, "nothing"), (0, "MarginVault_ZeroAmount")])
def test_block__the_contracts_refuse_otherwise__the_drill_fails(amount: int, found: str, tmp_path: Path) -> None:
    def scene(stage: Stage) -> None:
        with stage.block():
            stage.mirror._block.applied.append(Applied(Deposit(stage.account("trader"), amount), refusal="Made_Up"))

    report = played(tmp_path, scene)
    assert report.passed is False
    wanted = f"deposit: the model refuses with Made_Up; the contracts with {found}"
    assert report.reason == f"{NotAsExpected.__name__}: {wanted}"


def test_finish__a_receipt_is_wrong__is_a_broken_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A close-out that the model would not have done is named by its transaction."""

    def scene(stage: Stage) -> None:
        fallen = {market: price * 75 // 100 for market, price in PRICES.items()}
        stage.wait(300)
        stage.publish(fallen)
        assert stage.liquidate(fallen)

    def other(contracts: Contracts, tx_hash: str) -> Receipt:
        found = receipt_of(contracts, tx_hash)
        return dataclasses.replace(found, checked=tuple(replace_first(one) for one in found.checked))

    def replace_first(one: Checked) -> Checked:
        first, *rest = one.figures
        return dataclasses.replace(one, figures=(dataclasses.replace(first, said=(first.found or 0) + 1), *rest))

    assert played(tmp_path, scene).passed
    monkeypatch.setattr(stage_module, "receipt_of", other)
    report = played(tmp_path, scene)
    assert report.passed is False
    assert report.reason.startswith("broken: each liquidation's receipt is right (['0x")


def test_say__the_reference_aggregation_finds_another_price__is_a_broken_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(*arguments: Any) -> object:
        found = aggregate(*arguments)
        return found._replace(price=found.price + 1) if isinstance(found, Accepted) else found

    monkeypatch.setattr(world, "aggregate", other)
    report = played(tmp_path, lambda stage: None)
    assert report.passed is False
    assert report.reason.startswith("broken: contracts = reference model, to the wei")


def test_say__each_way_that_an_update_ends__is_told(tmp_path: Path) -> None:
    def scene(stage: Stage) -> None:
        price, names = PRICES[ETH], stage.world.names(ETH)
        agreed = dict.fromkeys(names, Said(price))
        assert stage.say({ETH: agreed})[ETH] == Recorded(price, 0, stage.now, 0, names)
        assert stage.say({ETH: {}})[ETH] == "skipped"
        apart = {name: Said(price * (100 + place) // 100) for place, name in enumerate(names)}
        assert stage.say({ETH: apart})[ETH] == "Oracle_Dispersed"
        with pytest.raises(ValueError, match=r"was not recorded: Oracle_MoveTooLarge$"):
            stage.publish({ETH: price * 2})
        stage.report_missing(ETH, names[0])
        with pytest.raises(ValueError, match=f"source {names[0]} can't be reported"):
            stage.report_missing(ETH, names[0])

    assert played(tmp_path, scene).passed


def test_open__is_not_filled__says_why(tmp_path: Path) -> None:
    def scene(stage: Stage) -> None:
        with pytest.raises(ValueError, match=r"was not opened: failed, PerpMarket_InsufficientMargin"):
            stage.open(PRICES, ("trader", ETH, 1_000 * WAD))

    assert played(tmp_path, scene).passed
