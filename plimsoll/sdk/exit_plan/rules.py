"""The rules by which one leaves a rollup, from the file of profiles or from its portal, and when that can be done.

All times are seconds after the withdrawal was sent on L2. "Soonest" is when an output is proposed at once and nobody
challenges it; "latest" when one has to wait a whole interval and the challenge runs to its end.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from plimsoll.core.durations import parse_duration
from plimsoll.core.errors import UserError

FILE = Path(__file__).with_name("rollups.toml")


class Kind(StrEnum):
    """What a withdrawal rests on; `rollups.toml` explains them."""

    DISPUTE_GAMES = "dispute-games"
    OUTPUT_ORACLE = "output-oracle"
    TWO_PROOFS = "two-proofs"
    VALIDITY_PROOFS = "validity-proofs"


@dataclass(frozen=True, slots=True)
class Rules:
    """Times in seconds. `settled_soonest`, `settled_latest`: from an output's proposal (of a zk rollup from the L2
    block) until the output itself stands; then `air_gap`; independently `proof_maturity` after the user's proof."""

    name: str
    kind: Kind
    proposal_interval: int
    proposal_lag: int
    settled_soonest: int
    settled_latest: int
    air_gap: int
    proof_maturity: int
    inclusion: int
    prove_gas: int
    finalise_gas: int
    sources: tuple[str, ...]
    is_live: bool = False
    """Whether the portal on L1 said it."""

    @property
    def needs_proof(self) -> bool:
        """Whether the user proves his withdrawal before he finalises it."""
        return self.kind is not Kind.VALIDITY_PROOFS

    @property
    def proposed(self) -> tuple[int, int]:
        """When an output that covers the withdrawal is on L1, soonest and latest."""
        return self.proposal_lag, self.proposal_lag + self.proposal_interval

    @property
    def finalisable(self) -> tuple[int, int]:
        """When the money can be claimed, soonest and latest, for one who proves as soon as he can."""
        soonest, latest = self.proposed
        return (
            max(soonest + self.settled_soonest + self.air_gap, soonest + self.proof_maturity),
            max(latest + self.settled_latest + self.air_gap, latest + self.proof_maturity),
        )


_COMMON = {
    "name", "kind", "chain_ids", "sources", "proposal_interval", "proposal_lag", "inclusion", "prove_gas",
    "finalise_gas",
}  # fmt: skip
_OWN = {
    Kind.DISPUTE_GAMES: {"game_clock", "air_gap", "proof_maturity"},
    Kind.OUTPUT_ORACLE: {"finalisation_period"},
    Kind.TWO_PROOFS: {"window_two_proofs", "window_one_proof", "proof_maturity"},
    Kind.VALIDITY_PROOFS: {"proven_soonest", "proven_latest", "execution_delay"},
}


@cache
def profiles(path: Path = FILE) -> dict[str, Rules]:
    """All of a file by their keys. Raises UserError where it can't be read, or a profile is not as it says."""
    return {key: parse_profile(key, data) for key, data in _read(path).items()}


@cache
def profile_of_chain(chain_id: int, path: Path = FILE) -> str | None:
    """Key of the profile of a chain; None where there is none."""
    return next((key for key, data in _read(path).items() if chain_id in data.get("chain_ids", [])), None)


def profile(key: str, path: Path = FILE) -> Rules:
    """Raises UserError for a key that there isn't."""
    found = profiles(path)
    if key not in found:
        raise UserError(f"no rollup profile {key}; there are {', '.join(found)} ({path.name})")
    return found[key]


def parse_profile(key: str, data: Mapping[str, Any]) -> Rules:
    """One table of the file. Raises UserError with the key that is wrong."""
    where = f"{FILE.name}: {key}"
    try:
        kind = Kind(data.get("kind", ""))
    except ValueError:
        raise UserError(f"{where}: kind {data.get('kind')!r} is none of {', '.join(Kind)}") from None
    wanted = _COMMON | _OWN[kind]
    for name in sorted(wanted ^ set(data)):
        raise UserError(f"{where}: {name} is {'missing' if name in wanted else 'not for ' + kind}")
    if not data["sources"]:
        raise UserError(f"{where}: sources is empty; say where the figures are from")
    gas: dict[str, Any] = {name: data[name] for name in ("prove_gas", "finalise_gas")}
    for name, value in gas.items():
        if not isinstance(value, int) or value < 0:
            raise UserError(f"{where}: {name} is no amount of gas")
    times = {
        name: parse_duration(data[name], what=f"{where}: {name}")
        for name in wanted - {"name", "kind", "chain_ids", "sources", *gas}
    }
    return Rules(
        name=data["name"],
        kind=kind,
        proposal_interval=times["proposal_interval"],
        proposal_lag=times["proposal_lag"],
        **_settling(kind, times),
        inclusion=times["inclusion"],
        **gas,
        sources=tuple(data["sources"]),
    )


def with_games(
    rules: Rules, *, game_clock: int | None, air_gap: int, proof_maturity: int, sources: tuple[str, ...]
) -> Rules:
    """The same rollup by what its portal says; `game_clock` None where its games have none that can be read.

    One who said to be of two proofs and whose games have a chess clock is one of dispute games.
    """
    rules = replace(rules, air_gap=air_gap, proof_maturity=proof_maturity, sources=sources, is_live=True)
    if game_clock is None:
        return rules
    return replace(rules, kind=Kind.DISPUTE_GAMES, settled_soonest=game_clock, settled_latest=2 * game_clock)


def with_oracle(rules: Rules, *, period: int, interval: int, sources: tuple[str, ...]) -> Rules:
    """The same rollup by what its portal and its L2OutputOracle say."""
    return replace(
        rules,
        kind=Kind.OUTPUT_ORACLE,
        proposal_interval=interval,
        settled_soonest=period,
        settled_latest=period,
        air_gap=0,
        proof_maturity=period,
        sources=sources,
        is_live=True,
    )


def _settling(kind: Kind, times: Mapping[str, int]) -> dict[str, Any]:
    if kind is Kind.DISPUTE_GAMES:
        clock = times["game_clock"]
        # each side has a clock of its own, and both may use all of it
        return _settled(clock, 2 * clock, times["air_gap"], times["proof_maturity"])
    if kind is Kind.OUTPUT_ORACLE:
        period = times["finalisation_period"]
        return _settled(period, period, 0, period)
    if kind is Kind.TWO_PROOFS:
        return _settled(times["window_two_proofs"], times["window_one_proof"], 0, times["proof_maturity"])
    return _settled(times["proven_soonest"], times["proven_latest"], times["execution_delay"], 0)


def _settled(soonest: int, latest: int, air_gap: int, proof_maturity: int) -> dict[str, Any]:
    return {
        "settled_soonest": soonest,
        "settled_latest": latest,
        "air_gap": air_gap,
        "proof_maturity": proof_maturity,
    }


@cache
def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
