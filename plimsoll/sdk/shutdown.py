"""The end of a market without prices: where it stands, its next step, and what is left of an account in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plimsoll.chain.transactions import Block, Receipt, Signer
from plimsoll.core.errors import UserError
from plimsoll.risk.shutdown import CLOSING_SECONDS, DEAD_ORACLE_SECONDS, DECLARE_SECONDS
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.refusals import refusals_as_user_errors
from plimsoll.sdk.times import date
from plimsoll.sdk.words import markets_in, unpack_balance, unpack_record

STEPS = ("declare", "confirm", "close")
FUNCTIONS = dict(zip(STEPS, ("declareDead", "confirmDead", "closeDead"), strict=True))
"""Of the liquidator, by step."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A market's next step and the Unix time from which it can be made; any price that is recorded ends all of it."""

    market_id: int
    last_price_at: int
    declared_at: int
    confirmed_at: int

    @property
    def next_step(self) -> str:
        if not self.declared_at:
            return "declare"
        return "close" if self.confirmed_at else "confirm"

    @property
    def opens_at(self) -> int:
        if not self.declared_at:
            return self.last_price_at + DECLARE_SECONDS + 1
        return self.confirmed_at + CLOSING_SECONDS if self.confirmed_at else self.declared_at + DEAD_ORACLE_SECONDS


def read_standing(contracts: Contracts, market_id: int) -> Standing:
    """Raises UserError for a market that never had a price."""
    newest = unpack_record(contracts.oracle.call("newest", market_id))
    if newest is None:
        raise UserError(f"market {market_id} never had a price: there is nothing in it to shut down")
    declared_at, confirmed_at, _ = contracts.liquidator.call("declaration", market_id)
    return Standing(market_id, newest.published_at, int(declared_at), int(confirmed_at))


def read_standings(contracts: Contracts, last_price_at: Mapping[int, int], block: Block) -> dict[int, Standing]:
    """Of several markets as of a block; `last_price_at` by market, Unix seconds."""
    calls = [contracts.liquidator.prepare("declaration", market_id) for market_id in last_price_at]
    found = contracts.chain.read(calls, block=block.number)
    return {
        market_id: Standing(market_id, at, int(declared_at), int(confirmed_at))
        for (market_id, at), (declared_at, confirmed_at, _) in zip(last_price_at.items(), found, strict=True)
    }


def take_step(contracts: Contracts, signer: Signer, market_id: int, step: str) -> Receipt:
    """Make a step of `STEPS`. Raises UserError where it isn't the next one, or not yet."""
    standing = read_standing(contracts, market_id)
    if standing.next_step != step:
        raise UserError(f"{step}: the next step for market {market_id} is to {standing.next_step} it")
    now = contracts.chain.block().timestamp
    if now < standing.opens_at:
        raise UserError(f"{step}: not before {date(standing.opens_at)}, in {standing.opens_at - now} s")
    with refusals_as_user_errors(step):
        return contracts.liquidator.transact(signer, FUNCTIONS[step], market_id)


def unsettled(contracts: Contracts, account: int) -> list[int]:
    """The markets that count for an account although nothing of its position is left: what it owes there waits."""
    word = contracts.vault.call("balanceOf", account)
    held = markets_in(unpack_balance(int(word)).markets)
    calls = [contracts.market.prepare("position", account, market_id) for market_id in held]
    return [market_id for market_id, (base, _, _) in zip(held, contracts.chain.read(calls), strict=True) if base == 0]


def settle_all(contracts: Contracts, signer: Signer, account: int) -> list[int]:
    """Turn what waits in such markets into cash. Returns them."""
    found = unsettled(contracts, account)
    for market_id in found:
        with refusals_as_user_errors("settle"):
            contracts.market.transact(signer, "settle", account, market_id)
    return found
