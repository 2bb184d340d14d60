"""What a keeper shows: metrics, health, and that dashboard, alerts, runbook, units and docs speak of what there is."""

from __future__ import annotations

import io
import json
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from plimsoll.chain.build import ROOT
from plimsoll.chain.endpoints import RpcDisagreement, RpcPool
from plimsoll.chain.rpc import RpcUnavailable
from plimsoll.chain.sending import CarefulSigner
from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError
from plimsoll.keepers.checks import Checks, Often
from plimsoll.keepers.guard import Guard
from plimsoll.keepers.operating import VARIABLES
from plimsoll.keepers.runner import Log, Runner
from plimsoll.keepers.serving import STALE_SECONDS, serving
from plimsoll.keepers.settlement import Settlement
from plimsoll.keepers.store import FileStore
from plimsoll.keepers.sums import Totals
from plimsoll.keepers.telemetry import PREFIX, Telemetry, health
from plimsoll.sdk.contracts import Contracts
from tests.python.keepers.running import QUICK
from tests.python.keepers.test_runner import Do, Scripted
from tests.support.core import ETH
from tests.support.deployment import World

RULES = ROOT / "ops" / "prometheus" / "keepers.rules.yml"
DASHBOARD = ROOT / "ops" / "grafana" / "keepers.json"
RUNBOOK = ROOT / "docs" / "runbook.md"
KEEPERS = ROOT / "docs" / "keepers.md"

NAME = re.compile(r"\bplimsoll_[a-z_0-9]+")


class Case:
    """A keeper with all that one can have: several nodes, a store, checks."""

    def __init__(self, world: World, folder: Path, *rounds: Any) -> None:
        pool = RpcPool(["http://one.invalid/v2/secret", "http://two.invalid"])
        pool.endpoints[0].rpc = world.node
        self.chain = Chain(pool)
        self.signer = CarefulSigner(self.chain, world.signer("keeper").wallet)
        store = FileStore(folder / "s.sqlite")
        checks = Checks(world.contracts, self.chain.block(0).hash, self.signer, often=Often(sums=0), eth_market=ETH)
        checks.totals = Totals(1, 2, 3, 4, {})
        self.guard = Guard("scripted", store, self.signer, checks)
        self.log = Log("scripted", io.StringIO())
        self.runner = Runner(
            Scripted(*rounds), self.chain, self.signer, pace=QUICK, log=self.log, guard=self.guard,
            stop=threading.Event(),
        )  # fmt: skip
        self.checks = checks


@pytest.fixture
def case(world: World, tmp_path: Path) -> Case:
    case = Case(world, tmp_path, ["a"], UserError("no more"), ["b"])
    case.checks.look(world.chain.block())
    return case


def samples(text: bytes) -> dict[str, float]:
    """Values by name and labels, `keeper` left out."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for one in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()) if name != "keeper")
            assert one.labels["keeper"] == "scripted"
            found[f"{one.name}{{{labels}}}" if labels else one.name] = one.value
    return found


def test_metrics__rounds__are_counted(case: Case, world: World) -> None:
    telemetry = Telemetry(case.runner)
    case.runner.once()
    world.evm.block_number += 1
    case.signer.account.fees = 10**16
    case.runner.once()
    case.log("closed out", reward="2.5", tx="0x12")
    found = samples(telemetry.text())
    assert found["plimsoll_block"] == world.evm.block_number
    assert found["plimsoll_trouble"] == 1
    assert (found["plimsoll_events_total{event=trouble}"], found["plimsoll_events_total{event=did}"]) == (1, 1)
    assert found["plimsoll_rewards_dollars_total{event=closed out}"] == 2.5
    assert found["plimsoll_gas_dollars_total"] == 30
    assert found["plimsoll_round_seconds_count"] == 1
    assert found["plimsoll_balance_ether"] == 100
    assert (found["plimsoll_halted"], found["plimsoll_store_up"], found["plimsoll_standby"]) == (0, 1, 0)
    assert found["plimsoll_node_healthy{node=0:http://evm.invalid}"] == 1
    assert found["plimsoll_transactions_total{outcome=mined}"] == 0
    assert found["plimsoll_ledger_dust_dollars"] == 3e-18
    assert "secret" not in telemetry.text().decode()


def test_health__by_what_is_wrong(case: Case, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    case.runner.once()
    assert (health(case.runner, 60)["ok"], health(case.runner, 60)["state"]) == (True, "working")
    case.guard.is_standby = True
    assert health(case.runner, 60)["state"] == "standby"
    world.evm.block_number += 1
    case.runner.once()
    assert health(case.runner, 60) | {"silent_seconds": 0} == {
        "ok": False, "job": "scripted", "state": "blocked: no more", "silent_seconds": 0,
        "block": world.evm.block_number, "block_time": world.evm.timestamp, "due": 1, "trouble": "blocked: no more",
    }  # fmt: skip
    case.runner.sight.trouble = ""
    case.runner.sight.began -= STALE_SECONDS + 1
    assert str(health(case.runner, STALE_SECONDS)["state"]).startswith("no round for 6")
    case.guard.halted = "wrong sums"
    assert health(case.runner, 60)["state"] == "halted: wrong sums"


def test_due__what_is_left_for_good__does_not_count(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor leaves orders that don't pay, round after round; that is no work left."""

    class Left(Do):
        claims = ()

    monkeypatch.setattr(case.runner.job, "decide", lambda snapshot: [Do("a"), Left("b")])
    case.runner.once()
    assert case.runner.sight.due == 1


@pytest.mark.parametrize(("error", "counted"), [(RpcDisagreement("differ"), 1), (RpcUnavailable("away"), 0)])
def test_checks__nodes__only_a_contradiction_counts_as_one(
    case: Case, world: World, monkeypatch: pytest.MonkeyPatch, error: RpcUnavailable, counted: int
) -> None:
    def compare(calls: Any) -> int:
        assert calls[0][0] == "eth_call"
        raise error

    contracts = Contracts(case.chain, world.contracts.addresses)
    checks = Checks(contracts, case.chain.block(0).hash, None, often=Often(sums=0))
    monkeypatch.setattr(case.chain.rpc, "compare", compare)
    with pytest.raises(type(error)):
        checks.look(case.chain.block())
    assert checks.disagreements == counted


def test_serving__metrics_and_health__over_http(case: Case, world: World) -> None:
    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    with serving(case.runner, "127.0.0.1:0") as port:
        case.runner.once()
        status, text = get("/metrics")
        assert (status, "plimsoll_block{" in text) == (200, True)
        status, text = get("/health?full=1")
        assert (status, json.loads(text)["state"]) == (200, "working")
        world.evm.block_number += 1
        case.runner.once()
        assert get("/health")[0] == 503
        assert get("/")[0] == 404
        with pytest.raises(UserError, match=f"can't listen on :{port}"), serving(case.runner, f":{port}"):
            pass
    with pytest.raises(urllib.error.URLError):
        get("/metrics")


def test_serving__no_address__serves_nowhere(case: Case) -> None:
    with serving(case.runner, None) as port:
        assert port == 0
    with pytest.raises(UserError, match="'localhost:x' is not HOST:PORT"), serving(case.runner, "localhost:x"):
        pass
    with pytest.raises(UserError, match="is not HOST:PORT"), serving(case.runner, "9101x"):
        pass


# --- what is written about it --------------------------------------------------------------------------------------


def expressions() -> dict[str, str]:
    """By where they stand."""
    found = {f"alert {one['alert']}": one["expr"] for one in alerts()}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        found |= {f"panel {panel['title']} {place}": one["expr"] for place, one in enumerate(panel["targets"])}
    return found


def alerts() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def test_dashboard_and_alerts__name_metrics_that_there_are(case: Case, world: World) -> None:
    telemetry = Telemetry(case.runner)
    case.runner.once()
    case.log("executed", reward="1", tx="0x12")
    settlement = Settlement(world.contracts, None)
    settlement.observe(world.chain.block())
    exported = {name.partition("{")[0] for name in samples(telemetry.text())}
    exported |= {PREFIX + one.name for one in settlement.figures()}
    named = {name: where for where, text in expressions().items() for name in NAME.findall(text)}
    assert len(named) > 20
    assert {name: where for name, where in named.items() if name not in exported} == {}
    # and nothing is exported that nobody looks at
    unseen = {name for name in exported if not name.endswith(("_created", "_sum", "_count"))} - set(named)
    assert unseen <= {"plimsoll_block_timestamp_seconds"}


def test_runbook__has_an_entry_for_each_alert__and_no_other() -> None:
    names = [one["alert"] for one in alerts()]
    assert re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == names
    assert len(set(names)) == len(names)
    for one in alerts():
        assert one["labels"]["severity"] in ("page", "ticket")
        assert one["annotations"]["summary"]


def test_docs__name_the_variables_that_there_are__and_all_of_them() -> None:
    code = "".join(path.read_text() for path in (ROOT / "plimsoll" / "keepers").rglob("*.py"))
    read = set(re.findall(r'"(PLIMSOLL_[A-Z_]+)"', code))
    assert set(VARIABLES) <= read
    assert set(re.findall(r"PLIMSOLL_[A-Z_]+\b", KEEPERS.read_text())) == read
    for path in (RUNBOOK, *(ROOT / "ops").rglob("*")):
        if path.is_file():
            assert set(re.findall(r"PLIMSOLL_[A-Z_]+\b", path.read_text())) <= read, path


def test_procfile__takes_nothing_that_its_example_lacks() -> None:
    example = (ROOT / "ops" / "keepers.env.example").read_text()
    given = set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    lines = [line for line in (ROOT / "ops" / "Procfile").read_text().splitlines() if not line.startswith("#")]
    assert [line.partition(":")[0] for line in lines] == ["publisher", "executor", "liquidator", "settlement"]
    taken = set(re.findall(r"\$([A-Z_]+)", "\n".join(lines)))
    assert taken == {
        "NETWORK",
        *(f"{name.upper()}_KEY" for name in ("publisher", "executor", "liquidator", "settlement")),
    }
    assert taken <= given


def test_units__run_modules_that_there_are() -> None:
    bots = {path.stem for path in (ROOT / "plimsoll" / "keepers" / "bots").glob("*.py")}
    text = "".join(path.read_text() for path in (ROOT / "ops").rglob("*") if path.is_file()) + KEEPERS.read_text()
    named = set(re.findall(r"plimsoll\.keepers\.bots\.(\w+)", text))
    assert {"publisher", "executor", "liquidator", "settlement", "heads", "queue"} == named
    assert named <= bots
