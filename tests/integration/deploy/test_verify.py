"""Verifying finds whatever differs: code, parameters, roles. And the list of roles says what is scheduled."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from plimsoll.chain.build import ROOT
from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Reverted
from plimsoll.core.errors import UserError
from plimsoll.deploy.plan import FUNCTION_ROLES, RISK, struct_of
from plimsoll.deploy.roles import describe_roles
from plimsoll.deploy.verify import Verification, verify
from tests.integration.deploy.conftest import Site

pytestmark = pytest.mark.node

DAY = 86_400


def verified(site: Site, **changes: Any) -> Verification:
    return verify(replace(site.parameters, **changes), site.chain, site.manifest)


def differences(found: Verification) -> list[tuple[str, str, str, str]]:
    return [(row.group, row.item, row.actual, row.expected) for row in found.differences]


def contract(site: Site, name: str) -> Deployed:
    return site.manifest.contract(name, site.chain)


def govern(site: Site, delay: int, target: str, function: str, *args: Any) -> None:
    """The governor schedules a call, waits, and executes it."""
    governance, governor, called = contract(site, "Governance"), site.signer("governor"), contract(site, target)
    data = called.encode(function, *args)
    governance.transact(governor, "schedule", called, data, 0)
    site.advance(delay)
    governance.transact(governor, "execute", called, data)


def test_verify__as_deployed__no_difference(deployed: Site) -> None:
    found = verified(deployed)
    assert (found.ok, found.notes) == (True, [])
    assert len(found.rows) > 120
    assert found.summary() == f"{len(found.rows)} checks, 0 differences"
    assert not found.table(only_differences=True)


def test_verify__file_changed__named_with_both_values(deployed: Site) -> None:
    eth, btc = deployed.parameters.markets
    eth = replace(eth, params=replace(eth.params, penalty_bps=80), orders=replace(eth.orders, settlement_delay=3))
    found = verified(deployed, markets=(eth, btc))
    assert differences(found) == [
        ("ETH/USD", "margin penalty", "0.75%", "0.8%"),
        ("ETH/USD", "orders settlement_delay", "2 s", "3 s"),
    ]
    assert found.notes == ["the parameters file was changed since the deployment"]
    assert found.summary().endswith(
        "2 differences: ETH/USD margin penalty is 0.75%, not 0.8%; ETH/USD orders settlement_delay is 2 s, not 3 s"
    )


def test_verify__parameter_changed_by_governance__named(deployed: Site) -> None:
    params = replace(deployed.parameters.markets[1].params, taker_bps=7, insurance_share_bps=2_500)
    govern(deployed, 2 * DAY, "MarketConfigurator", "setParams", 2, struct_of(params))
    assert differences(verified(deployed)) == [
        ("BTC/USD", "fees taker", "0.07%", "0.06%"),
        ("BTC/USD", "fees insurance_share", "25%", "20%"),
    ]


@pytest.mark.parametrize(
    ("target", "function", "args", "difference"),
    [
        ("Liquidator", "setGasMarket", [2], ("protocol", "gas_market", "2", "1")),
        ("LiquidityPool", "setWeights", [[6_000, 4_000]], ("pool", "weights", "60%, 40%", "50%, 50%")),
        ("InsuranceFund", "setDelays", [(20, 60, 3_600)], ("fund", "deposit_delay", "20 s", "10 s")),
    ],
)
def test_verify__setting_changed__named(
    deployed: Site, target: str, function: str, args: list[Any], difference: tuple[str, ...]
) -> None:
    govern(deployed, 2 * DAY, target, function, *args)
    assert differences(verified(deployed)) == [difference]


def test_verify__oracle_changed__named(deployed: Site) -> None:
    oracle = contract(deployed, "OracleAggregator")
    config = oracle.call("config", 1)._asdict() | {"quorum": 3}
    sources = [source._asdict() for source in oracle.call("sources", 1)]
    extra = {"adapter": sources[2]["adapter"], "isPush": False, "maxAge": 0, "feedId": b"\7" * 32}
    govern(deployed, 2 * DAY, "OracleAggregator", "setMarket", 1, config, [*sources[:3], extra, *sources[3:]])
    items = [row.item for row in verified(deployed).differences]
    assert items == ["oracle quorum", "oracle source 4", "oracle source 5", "oracle source 6"]


@pytest.mark.parametrize("name", ["OrderBook", "LiquidityPool", "PerpMarket"])
def test_verify__code_changed__named_and_the_rest_left(deployed: Site, name: str) -> None:
    """An immutable is turned into another address: the same code but for 20 bytes."""
    address, authority = deployed.manifest.addresses[name], deployed.manifest.addresses["MarginVault"]
    code = deployed.chain.code(address)
    other = code.replace(bytes.fromhex(authority[2:]), b"\7" * 20)
    assert other != code
    deployed.rpc("anvil_setCode", address, "0x" + other.hex())
    found = verified(deployed)
    assert [(row.group, row.item) for row in found.differences] == [("code", name)]
    assert found.notes == ["the rest was not compared: it would be asked of code that is not the deployment's"]


def test_verify__authority_changed__named(deployed: Site) -> None:
    """What is no immutable is asked: here the storage slot with the authority is overwritten."""
    address = deployed.manifest.addresses["Liquidator"]
    governance = int(deployed.manifest.addresses["Governance"], 16)
    slot = next(slot for slot in range(10) if deployed.chain.storage(address, slot) & (2**160 - 1) == governance)
    deployed.rpc("anvil_setStorageAt", address, hex(slot), f"0x{7:064x}")
    assert [row.item for row in verified(deployed).differences] == ["Liquidator.authority"]


def test_verify__role_granted_later__named(deployed: Site) -> None:
    alice = deployed.signer("alice").address
    govern(deployed, 7 * DAY, "Governance", "grantRole", RISK, alice, 0)
    assert ("roles", f"RISK {alice}", "held, delay 0 s", "not held") in differences(verified(deployed))


def test_verify__deployer_with_a_role__named(deployed: Site) -> None:
    deployer = deployed.manifest.deployer
    govern(deployed, 7 * DAY, "Governance", "grantRole", RISK, deployer, 0)
    assert ("roles", f"deployer {deployer}", "holds RISK", "holds none") in differences(verified(deployed))


def test_verify__function_opened_and_contract_closed__named(deployed: Site) -> None:
    vault = contract(deployed, "OrderBook")
    selector = vault.interface.selector("setOrderConfig")
    govern(deployed, 7 * DAY, "Governance", "setTargetFunctionRole", vault, [selector], 2**64 - 1)
    govern(deployed, 7 * DAY, "Governance", "setTargetClosed", contract(deployed, "LiquidityPool"), True)
    assert differences(verified(deployed)) == [
        ("functions", "OrderBook.setOrderConfig", "PUBLIC", "LISTING"),
        ("roles", "closed contracts", "LiquidityPool", "none"),
    ]


def test_verify__half_deployed__refused(deployed: Site) -> None:
    manifest = deployed.manifest
    del manifest.contracts["Lens"]
    with pytest.raises(
        UserError, match=r"the deployment is not complete \(Lens is missing\); run ape run deploy again"
    ):
        verify(deployed.parameters, deployed.chain, manifest)


def test_verify__another_chain__refused(deployed: Site) -> None:
    manifest = deployed.manifest
    manifest.genesis = "0x" + "00" * 32
    with pytest.raises(UserError, match="is on another chain than"):
        verify(deployed.parameters, deployed.chain, manifest)


# --- roles ---------------------------------------------------------------------------------------------------------


def test_roles__deployer__can_do_nothing_any_more(deployed: Site) -> None:
    governance, deployer = contract(deployed, "Governance"), deployed.signer()
    for role in range(4):
        assert governance.call("hasRole", role, deployer).isMember is False
    with pytest.raises(Reverted) as caught:
        contract(deployed, "MarketConfigurator").transact(deployer, "haltOpening", 1, 2**40)
    assert caught.value.name == "AccessManagedUnauthorized"
    granted = [event["account"] for event in governance.history("RoleGranted")]
    revoked = [event["account"] for event in governance.history("RoleRevoked")]
    assert deployer.address in granted
    assert revoked == [deployer.address]


def test_roles__guardian__halts_at_once_and_nothing_else(deployed: Site) -> None:
    guardian, configurator = deployed.signer("guardian"), contract(deployed, "MarketConfigurator")
    configurator.transact(guardian, "haltOpening", 1, deployed.chain.block().timestamp + DAY)
    with pytest.raises(Reverted, match="AccessManagedUnauthorized"):
        configurator.transact(guardian, "resumeOpening", 1)


def test_roles__governor__waits_for_the_delay(deployed: Site) -> None:
    governor, liquidator = deployed.signer("governor"), contract(deployed, "Liquidator")
    with pytest.raises(Reverted, match="AccessManagerNotScheduled"):
        liquidator.transact(governor, "setGasMarket", 2)
    govern(deployed, 2 * DAY, "Liquidator", "setGasMarket", 2)
    assert liquidator.call("gasMarket") == 2


def test_describe_roles__scheduled__says_what_by_whom_and_when(deployed: Site) -> None:
    governance, governor = contract(deployed, "Governance"), deployed.signer("governor")
    pool = contract(deployed, "LiquidityPool")
    assert describe_roles(deployed.chain, deployed.manifest)[-2:] == ["scheduled", "  nothing"]
    governance.transact(governor, "schedule", pool, pool.encode("moveCapital", 1, 2, 10), 0)
    lines = describe_roles(deployed.chain, deployed.manifest)
    assert re.fullmatch(rf"  LiquidityPool.moveCapital by {governor.address}, ready 20\d\d-.* UTC", lines[-1])
    deployed.advance(2 * DAY)
    assert describe_roles(deployed.chain, deployed.manifest)[-1].endswith("ready now")
    assert "  may    MarketConfigurator.haltOpening" in lines
    assert f"  held   {governor.address}, delay 7 days" in lines


def test_function_roles__every_restricted_function__has_one() -> None:
    """Found in the sources, so that a new one is not forgotten (it would need ADMIN)."""
    restricted: dict[str, set[str]] = {}
    for file in (ROOT / "contracts").rglob("*.sol"):
        found = re.findall(r"function (\w+)\([^)]*\)[^{;]*\brestricted\b", file.read_text())
        if found and "test" not in file.parts:
            restricted[file.stem] = set(found)
    shared = restricted.pop("RequestVault")
    for name in ("LiquidityPool", "InsuranceFund"):
        restricted[name] = restricted.get(name, set()) | shared
    assert restricted == {name: set(functions) for name, functions in FUNCTION_ROLES.items()}
