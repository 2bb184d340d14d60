"""The rules of a rollup as its contracts on L1 say them: OptimismPortal, its dispute games or its L2OutputOracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from plimsoll.chain.abi import AbiError
from plimsoll.chain.contracts import Deployed
from plimsoll.chain.optimism import at
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Call, Chain, Reverted
from plimsoll.core.errors import UserError
from plimsoll.sdk.exit_plan.rules import Rules, with_games, with_oracle

LOOK_BACK = 40
"""Newest games that are looked at for those of the kind that counts."""


@dataclass(frozen=True, slots=True)
class _Game:
    created_at: int
    address: str


def read_rules(l1: Chain, portal: str, base: Rules, l2: Chain | None = None) -> Rules:
    """What the portal says, and `base` where it says nothing. With `l2` also how old outputs are when proposed.

    Raises UserError where the address is no portal of an OP stack.
    """
    if not l1.code(portal):
        raise UserError(f"{l1.uri}: no contract at {portal}; is it the portal's address on this L1?")
    contract = at("GamePortal", portal, l1)
    block = l1.block_number
    sources = (f"portal {contract.address} on chain {l1.chain_id}, block {block}",)
    names = ("disputeGameFactory", "respectedGameType", "proofMaturityDelaySeconds", "disputeGameFinalityDelaySeconds")
    found = _ask([contract.prepare(name) for name in names], l1)
    if None not in found:
        factory, game_type, maturity, air_gap = found
        return _by_games(at("GameFactory", factory, l1), game_type, maturity, air_gap, base, sources, l2)
    (oracle,) = _ask([at("OraclePortal", portal, l1).prepare("l2Oracle")], l1)
    if oracle is None or not int(oracle, 16):
        raise UserError(f"{l1.uri}: the contract at {portal} is no portal: it knows neither games nor an output oracle")
    return _by_oracle(at("OutputOracle", oracle, l1), base, sources)


def _by_games(
    factory: Deployed,
    game_type: int,
    maturity: int,
    air_gap: int,
    base: Rules,
    sources: tuple[str, ...],
    l2: Chain | None,
) -> Rules:
    games = _newest_games(factory, game_type)
    # a game carries its own clock; the implementation is asked where there is no game yet
    address = games[0].address if games else factory.call("gameImpls", game_type)
    (clock,) = _ask([at("Game", address, factory.chain).prepare("maxClockDuration")], factory.chain)
    rules = with_games(base, game_clock=clock, air_gap=air_gap, proof_maturity=maturity, sources=sources)
    if len(games) >= 3:
        rules = replace(rules, proposal_interval=(games[0].created_at - games[-1].created_at) // (len(games) - 1))
    lag = None if l2 is None or not games else _lag(games[0], factory.chain, l2)
    return rules if lag is None else replace(rules, proposal_lag=lag)


def _by_oracle(oracle: Deployed, base: Rules, sources: tuple[str, ...]) -> Rules:
    names = ("submissionInterval", "l2BlockTime", "finalizationPeriodSeconds")
    blocks, seconds, period = oracle.chain.read([oracle.prepare(name) for name in names])
    return with_oracle(base, period=period, interval=blocks * seconds, sources=sources)


def _newest_games(factory: Deployed, game_type: int) -> list[_Game]:
    """Of the type that withdrawals may rest on, newest first, among the newest of all."""
    count = factory.call("gameCount")
    indices = range(count - 1, max(-1, count - 1 - LOOK_BACK), -1)
    found = factory.chain.read([factory.prepare("gameAtIndex", index) for index in indices])
    return [_Game(created_at, address) for kind, created_at, address in found if kind == game_type]


def _lag(game: _Game, l1: Chain, l2: Chain) -> int | None:
    """How old the L2 block of a game was when it was created; None where that can't be said."""
    (number,) = _ask([at("Game", game.address, l1).prepare("l2BlockNumber")], l1)
    if number is None or number > l2.block_number:
        return None
    return max(0, game.created_at - l2.block(number).timestamp)


def _ask(calls: Sequence[Call], chain: Chain) -> list[Any]:
    """Answers, None for whatever the contract doesn't know. Raises UserError where the node doesn't answer."""
    answers = []
    for call in calls:
        try:
            answers.append(chain.read([call])[0])
        except (Reverted, RpcError, AbiError):
            answers.append(None)
    return answers
