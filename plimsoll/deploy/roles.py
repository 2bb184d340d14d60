"""Who may do what, after which delay, and what is scheduled, in words."""

from __future__ import annotations

from datetime import UTC, datetime

from plimsoll.chain.transactions import Chain
from plimsoll.core.durations import show_duration
from plimsoll.core.errors import UserError
from plimsoll.deploy.manifest import Manifest
from plimsoll.deploy.plan import ADMIN, CONTRACTS, ROLE_NAMES
from plimsoll.deploy.state import State, function_name, read_state
from plimsoll.deploy.verify import describe, role_name


def describe_roles(chain: Chain, manifest: Manifest) -> list[str]:
    """Lines for every role with its functions and holders, then what is scheduled. Raises UserError: not deployed."""
    missing = [name for name in CONTRACTS if name not in manifest.contracts]
    if missing or not chain.code(manifest.addresses["Governance"]):
        raise UserError(
            f"the deployment on {manifest.network} is not complete on {chain.uri}; run ape run deploy again"
        )
    state = read_state(chain, manifest.addresses, from_block=manifest.start_block)
    names = {address: name for name, address in manifest.addresses.items()}
    lines = []
    for role in sorted({*ROLE_NAMES, *state.roles}):
        lines.append(role_name(role))
        lines += [f"  may    {function}" for function in _functions(state, role, names)]
        lines += _holders(state, role)
    lines.append("scheduled")
    now = chain.block().timestamp
    for operation in sorted(state.scheduled, key=lambda one: one.ready_at):
        ready = "ready now" if operation.ready_at <= now else f"ready {_when(operation.ready_at)}"
        lines.append(f"  {describe(manifest.addresses, operation)} by {operation.caller}, {ready}")
    if not state.scheduled:
        lines.append("  nothing")
    return lines


def _functions(state: State, role: int, names: dict[str, str]) -> list[str]:
    if role == ADMIN:
        return ["every other restricted function, grant and revoke roles"]
    found = []
    for (target, selector), needed in state.functions.items():
        if needed == role:
            name = names.get(target)
            found.append(f"{name}.{function_name(name, selector)}" if name else f"{target} 0x{selector.hex()}")
    return sorted(found) or ["nothing"]


def _holders(state: State, role: int) -> list[str]:
    lines = []
    for (held, holder), grant in sorted(state.grants.items()):
        if held == role:
            change = "" if grant.final == grant.delay else f", soon {show_duration(grant.final)}"
            lines.append(f"  held   {holder}, delay {show_duration(grant.delay)}{change}")
    return lines or ["  held   by nobody"]


def _when(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
