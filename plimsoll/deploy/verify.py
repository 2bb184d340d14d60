"""Compare a deployment with its parameters file, item by item: code, wiring, every parameter, every role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from plimsoll.chain.contracts import Deployed, interface
from plimsoll.chain.transactions import Chain
from plimsoll.core.durations import show_duration
from plimsoll.core.errors import UserError
from plimsoll.deploy.code import code_hash, expected_code
from plimsoll.deploy.external import external_rows
from plimsoll.deploy.fields import Field, show_address
from plimsoll.deploy.manifest import Manifest, genesis_of
from plimsoll.deploy.parameters import MARKET, MARKET_SECTIONS, ORACLE, ORDERS, Parameters
from plimsoll.deploy.plan import (
    ADMIN,
    ROLE_NAMES,
    SHARE_VAULTS,
    Plan,
    contracts_of,
    core_struct,
    function_roles,
    grants_of,
    make_plan,
    sources_of,
)
from plimsoll.deploy.rows import Row, summary, table
from plimsoll.deploy.state import Grant, RoleState, State, function_name, read_state

PUBLIC_ROLE = 2**64 - 1


@dataclass
class Verification:
    """`notes` are what a person should know and is no difference."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def differences(self) -> list[Row]:
        return [row for row in self.rows if not row.ok]

    @property
    def ok(self) -> bool:
        return not self.differences

    def table(self, *, only_differences: bool = False) -> list[str]:
        """Lines of text, one a row."""
        return table(self.rows, only_differences=only_differences)

    def summary(self) -> str:
        return summary(self.rows)


def verify(parameters: Parameters, chain: Chain, manifest: Manifest, l1: Chain | None = None) -> Verification:
    """Compare everything; with `l1` also what must exist there.

    Raises UserError where the manifest is of another chain, or nothing is deployed.
    """
    if (chain.chain_id, genesis_of(chain)) != (manifest.chain_id, manifest.genesis):
        raise UserError(
            f"the deployment in the manifest of {manifest.network} is on another chain than {chain.uri}; "
            "choose its network, or deploy"
        )
    missing = [name for name in contracts_of(parameters) if name not in manifest.contracts]
    if missing:
        raise UserError(f"the deployment is not complete ({missing[0]} is missing); run ape run deploy again")
    found = Verification()
    plan = make_plan(parameters, manifest.deployer, manifest.start_nonce, chain)
    found.rows += _code(plan, manifest, chain)
    if not found.ok:
        found.notes.append("the rest was not compared: it would be asked of code that is not the deployment's")
        return found
    if not parameters.development:  # where they are mocks
        found.rows += external_rows(parameters, chain, l1)
    state = read_state(chain, manifest.addresses, from_block=manifest.start_block)
    found.rows += _wiring(plan, chain)
    for market in parameters.markets:
        found.rows += _market(parameters, market.id, state, manifest.addresses)
    found.rows += _protocol(parameters, state)
    found.rows += _governance(plan, state, chain, manifest)
    if manifest.parameters_hash != parameters.digest:
        found.notes.append("the parameters file was changed since the deployment")
    for operation in state.scheduled:
        found.notes.append(
            f"scheduled by {operation.caller}, ready at {operation.ready_at}: {describe(plan, operation)}"
        )
    return found


def describe(plan: Plan | Mapping[str, str], operation: Any) -> str:
    """What a scheduled operation will call."""
    addresses = plan.addresses if isinstance(plan, Plan) else plan
    names = {address: name for name, address in addresses.items()}
    name = names.get(operation.target)
    if name is None:
        return f"{operation.target} 0x{operation.data[:4].hex()}"
    return f"{name}.{function_name(name, operation.data[:4])}"


def _code(plan: Plan, manifest: Manifest, chain: Chain) -> Iterator[Row]:
    codes = chain.rpc.batch([("eth_getCode", [one.address, "latest"]) for one in plan.creations])
    for creation, text in zip(plan.creations, codes, strict=True):
        address = manifest.contracts[creation.name].address
        yield Row("address", creation.name, creation.address, address)
        code = bytes.fromhex(text[2:])
        actual = code_hash(code) if code else "no code"
        expected = code_hash(expected_code(chain, creation.name, creation.data, creation.address)) if code else "code"
        yield Row("code", creation.name, expected, actual)


def _wiring(plan: Plan, chain: Chain) -> Iterator[Row]:
    """What contracts say themselves; the rest of the wiring is immutable and compared with the code."""
    p = plan.parameters
    core = core_struct(p, plan.addresses)
    getters = {
        "authority": core["authority"],
        "token": core["token"],
        "asset": core["token"],
        "sequencerGuard": plan.addresses["SequencerGuard"],
        "server": p.api3_server,
        "verifier": p.data_streams,
        "pyth": p.pyth,
        "l1Gateway": p.l1_gateway,
        "feed": p.sequencer.feed,
    }
    wanted = [
        (name, getter, value)
        for name in plan.addresses
        for getter, value in getters.items()
        if f"{getter}()" in interface(name).functions
    ]
    calls = [Deployed.of(name, plan.addresses[name], chain).prepare(getter) for name, getter, _ in wanted]
    for (name, getter, value), actual in zip(wanted, chain.read(calls), strict=True):
        yield Row("wiring", f"{name}.{getter}", show_address(value), show_address(actual))
    grace = Deployed.of("SequencerGuard", plan.addresses["SequencerGuard"], chain).call("graceSeconds")
    yield Row("wiring", "SequencerGuard.graceSeconds", show_duration(p.sequencer.grace), show_duration(grace))


def _market(p: Parameters, market_id: int, state: State, addresses: Mapping[str, str]) -> Iterator[Row]:
    market = p.markets[market_id - 1]
    group = market.name
    if not state.is_listed(market_id):
        yield Row(group, "market", f"listed as {market_id}", "not listed")
        return
    scale = MARKET["scale"]
    yield Row(group, "scale", scale.show(market.scale), scale.show(state.scales[market_id]))
    for section, fields in MARKET_SECTIONS.items():
        yield from _compared(group, section, fields, market.params, state.params[market_id])
    flag = MARKET["isolated_only"]
    yield Row(
        group,
        "isolated_only",
        flag.show(market.params.isolated_only),
        flag.show(state.params[market_id].isolated_only),
    )
    yield from _compared(group, "orders", ORDERS, market.orders, state.orders[market_id])
    if market_id not in state.oracles:
        yield Row(group, "oracle", "configured", "not configured")
        return
    yield from _compared(group, "oracle", ORACLE, market.oracle, state.oracles[market_id])
    expected, actual = sources_of(market, addresses), state.sources[market_id]
    for place in range(max(len(expected), len(actual))):
        yield Row(group, f"oracle source {place + 1}", _source(expected, place), _source(actual, place))


def _protocol(p: Parameters, state: State) -> Iterator[Row]:
    yield Row("protocol", "markets", str(len(p.markets)), str(len(state.scales)))
    yield Row("protocol", "gas_market", str(p.gas_market), str(state.gas_market))
    for name, part in SHARE_VAULTS.items():
        shares = getattr(p, part)
        for place, key in enumerate(("deposit_delay", "redeem_cooldown", "execution_window")):
            actual = show_duration(state.delays[name][place])
            yield Row(part, key, show_duration(getattr(shares, key)), actual)
    weights = [f"{market.weight_bps / 100:g}%" for market in p.markets]
    yield Row("pool", "weights", ", ".join(weights), ", ".join(f"{weight / 100:g}%" for weight in state.weights))


def _governance(plan: Plan, state: State, chain: Chain, manifest: Manifest) -> Iterator[Row]:
    addresses = manifest.addresses
    wanted = {key: Grant(delay, delay) for key, delay in grants_of(plan.parameters).items()}
    for role, holder in sorted({*wanted, *state.grants}):
        item = f"{role_name(role)} {holder}"
        expected, actual = wanted.get((role, holder)), state.grants.get((role, holder))
        yield Row("roles", item, _grant(expected), _grant(actual))
    logged = _holders_by_events(addresses, chain, manifest.start_block)
    yield Row("roles", "holders by events", _holders(state.grants), _holders(logged))
    yield Row("roles", f"deployer {manifest.deployer}", "holds none", _deployer(state, addresses, chain, manifest))
    for role in sorted({*ROLE_NAMES, *state.roles}):
        # ADMIN grants every role and may cancel for it; new holders are so at once, since ADMIN itself has the delay
        actual_role = state.roles.get(role, RoleState(ADMIN, ADMIN, 0))
        yield Row("roles", f"{role_name(role)} settings", _role(RoleState(ADMIN, ADMIN, 0)), _role(actual_role))
    functions = function_roles(addresses)
    names = {address: name for name, address in addresses.items()}
    for target, selector in sorted({*functions, *state.functions}, key=lambda one: (names.get(one[0], ""), one[1])):
        name = names.get(target)
        item = f"{name}.{function_name(name, selector)}" if name else f"{target} 0x{selector.hex()}"
        expected_role, actual_id = (
            functions.get((target, selector), ADMIN),
            state.functions.get((target, selector), ADMIN),
        )
        yield Row("functions", item, role_name(expected_role), role_name(actual_id))
    governance = Deployed.of("Governance", addresses["Governance"], chain)
    calls = [governance.prepare("isTargetClosed", address) for address in addresses.values()]
    calls += [governance.prepare("getTargetAdminDelay", address) for address in addresses.values()]
    results = chain.read(calls)
    closed = [name for name, is_closed in zip(addresses, results, strict=False) if is_closed]
    delayed = [name for name, delay in zip(addresses, results[len(addresses) :], strict=True) if delay]
    yield Row("roles", "closed contracts", "none", ", ".join(closed) or "none")
    yield Row("roles", "contracts with an admin delay of their own", "none", ", ".join(delayed) or "none")


def _deployer(state: State, addresses: Mapping[str, str], chain: Chain, manifest: Manifest) -> str:
    governance = Deployed.of("Governance", addresses["Governance"], chain)
    roles = sorted({*ROLE_NAMES, *state.roles})
    answers = chain.read([governance.prepare("hasRole", role, manifest.deployer) for role in roles])
    held = [role_name(role) for role, answer in zip(roles, answers, strict=True) if answer.isMember]
    return f"holds {', '.join(held)}" if held else "holds none"


def _holders_by_events(addresses: Mapping[str, str], chain: Chain, from_block: int) -> set[tuple[int, str]]:
    """(role, holder) as the events tell it, whatever the contract's own lists say."""
    governance = Deployed.of("Governance", addresses["Governance"], chain)
    holders: set[tuple[int, str]] = set()
    for event in governance.history(from_block=from_block):
        if event.name == "RoleGranted":
            holders.add((event["roleId"], event["account"]))
        elif event.name == "RoleRevoked":
            holders.discard((event["roleId"], event["account"]))
    return holders


def _compared(group: str, section: str, table: Mapping[str, Field], expected: Any, actual: Any) -> Iterator[Row]:
    for key, kind in table.items():
        name = key + kind.suffix
        yield Row(group, f"{section} {key}", kind.show(getattr(expected, name)), kind.show(getattr(actual, name)))


def role_name(role: int) -> str:
    """By its number, which unknown ones are called."""
    return "PUBLIC" if role == PUBLIC_ROLE else ROLE_NAMES.get(role, f"role {role}")


def _grant(grant: Grant | None) -> str:
    if grant is None:
        return "not held"
    change = "" if grant.final == grant.delay else f", soon {show_duration(grant.final)}"
    return f"held, delay {show_duration(grant.delay)}{change}"


def _role(role: RoleState) -> str:
    delay = show_duration(role.grant_delay)
    return f"granted by {role_name(role.admin)} after {delay}, cancelled by {role_name(role.guardian)}"


def _holders(grants: Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{role_name(role)} {holder}" for role, holder in sorted(grants))


def _source(sources: list[dict[str, Any]], place: int) -> str:
    if place >= len(sources):
        return "none"
    source = sources[place]
    kind = f"push, {show_duration(source['maxAge'])}" if source["isPush"] else "pull"
    return f"{kind}, {source['adapter']} 0x{source['feedId'].hex()}"
