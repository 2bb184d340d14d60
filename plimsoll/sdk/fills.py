"""An account's fills as people read them: each with its price, its fee and with whom, whatever it came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from plimsoll.core.units import WAD
from plimsoll.sdk.events import (
    ClosedAgainstSide,
    Filled,
    Happened,
    Liquidated,
    OrdersMatched,
    PositionAbsorbed,
    TakenOver,
    Traded,
)

AGAINST_POOL, MAKER, TAKER = "pool", "maker", "taker"
LIQUIDATED, TAKEN_OVER, TOOK_OVER, ABSORBED = "liquidated", "taken over", "took over", "absorbed"

EVENTS: tuple[type[Happened], ...] = (
    Traded,
    Filled,
    OrdersMatched,
    Liquidated,
    TakenOver,
    PositionAbsorbed,
    ClosedAgainstSide,
)
"""What `fills` needs."""


@dataclass(frozen=True, slots=True)
class Fill:
    """One change of a position by a trade: `quote` went to it, and `fee` from the account to the protocol or a keeper.

    `execution_fee` is what the taker of a match paid to whoever matched him; see the order's placement for others'.
    `role` is "pool" for an order's fill against the pool, "maker" or "taker" of a match, or what became of the account:
    "liquidated", "taken over", "took over", "absorbed".
    """

    account: int
    market_id: int
    base: int
    quote: int
    fee: int
    role: str
    new_base: int
    block_number: int
    tx_hash: str
    execution_fee: int = 0

    @property
    def price(self) -> int:
        """Dollars for one of the asset, WAD, rounded down."""
        return abs(self.quote) * WAD // abs(self.base)


def fills(records: Iterable[Happened], account: int) -> list[Fill]:
    """The fills of an account among these events, which are in order.

    What a fill cost, and with whom it was, is in the event that follows it.
    """
    found: list[Fill] = []
    for record in records:
        if isinstance(record, Traded) and record.account == account:
            found.append(_fill(record, record.fee, AGAINST_POOL))
        elif isinstance(record, Filled) and record.account == account:
            found.append(_fill(record, 0, ""))
        elif (named := _named(record, account)) is not None and found and found[-1].tx_hash == record.tx_hash:
            role, fee, execution_fee = named
            found[-1] = replace(found[-1], role=role, fee=fee, execution_fee=execution_fee)
    return found


def _fill(record: Traded | Filled, fee: int, role: str) -> Fill:
    return Fill(
        record.account,
        record.market_id,
        record.base,
        record.quote,
        fee,
        role,
        record.new_base,
        record.block_number,
        record.tx_hash,
    )


def _named(record: Happened, account: int) -> tuple[str, int, int] | None:
    """What an event says of the account's last fill: the role, the fee and the execution fee."""
    if isinstance(record, OrdersMatched):
        if record.taker_account == account:
            return TAKER, record.taker_fee, record.execution_fee
        return (MAKER, record.maker_fee, 0) if record.maker_account == account else None
    if isinstance(record, TakenOver):
        if record.to_account == account:
            return TOOK_OVER, record.fee, 0
        return (TAKEN_OVER, 0, 0) if record.account == account else None
    if isinstance(record, Liquidated):
        return (LIQUIDATED, record.cost, 0) if record.account == account else None
    if isinstance(record, PositionAbsorbed | ClosedAgainstSide):
        return (ABSORBED, 0, 0) if record.account == account else None
    return None
