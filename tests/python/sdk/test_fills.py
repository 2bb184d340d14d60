"""An account's fills: the event before says what, the event after says why and at which cost."""

from __future__ import annotations

from typing import Any

from plimsoll.core.units import WAD
from plimsoll.sdk.events import Filled, Happened, Liquidated, OrdersMatched, PositionAbsorbed, TakenOver, Traded
from plimsoll.sdk.fills import Fill, fills

ME, OTHER, POOL = 1 << 96, 2 << 96, 3 << 96
HASH = b"\1" * 32


def at(index: int, tx_hash: str = "0xaa") -> dict[str, Any]:
    return {"block_number": 5, "log_index": index, "tx_hash": tx_hash}


def filled(account: int, index: int, base: int = 2 * WAD, tx_hash: str = "0xaa") -> Filled:
    quote = -3 * base
    return Filled(
        account=account,
        market_id=1,
        counter=OTHER,
        base=base,
        quote=quote,
        new_base=7,
        new_quote=8,
        **at(index, tx_hash),
    )


def matched(maker: int, taker: int, index: int, tx_hash: str = "0xaa") -> OrdersMatched:
    return OrdersMatched(
        maker_hash=HASH,
        taker_hash=HASH,
        market_id=1,
        maker_account=maker,
        taker_account=taker,
        base=1,
        quote=-1,
        maker_fee=11,
        taker_fee=22,
        execution_fee=33,
        **at(index, tx_hash),
    )


def taken_over(account: int, to_account: int, index: int) -> TakenOver:
    return TakenOver(
        account=account,
        market_id=1,
        to_account=to_account,
        base=1,
        quote=1,
        health_price=1,
        published_at=1,
        equity=1,
        maintenance=1,
        discount=1,
        fee=44,
        **at(index),
    )


def roles(records: list[Happened]) -> list[tuple[str, int, int]]:
    return [(fill.role, fill.fee, fill.execution_fee) for fill in fills(records, ME)]


def test_fills__an_orders__has_its_own_fee() -> None:
    trade = Traded(
        account=ME, market_id=2, base=-WAD, quote=3 * WAD, fill_price=3 * WAD, fee=5, new_base=1, new_quote=2, **at(0)
    )
    assert fills([trade], ME) == [Fill(ME, 2, -WAD, 3 * WAD, 5, "pool", 1, 5, "0xaa", 0)]
    assert fills([trade], OTHER) == []


def test_fills__of_matches__each_has_its_own_fee() -> None:
    """Both sides are filled before the match is said; a batch says one after another."""
    records: list[Happened] = [
        filled(ME, 0),
        filled(OTHER, 1),
        matched(OTHER, ME, 2),
        filled(ME, 3, -WAD),
        filled(OTHER, 4),
        matched(ME, OTHER, 5),
    ]
    assert roles(records) == [("taker", 22, 33), ("maker", 11, 0)]
    first, second = fills(records, ME)
    assert (first.base, first.quote, first.price, first.new_base) == (2 * WAD, -6 * WAD, 3 * WAD, 7)
    assert (second.base, second.price) == (-WAD, 3 * WAD)


def test_fills__of_the_liquidator__say_what_happened() -> None:
    liquidated = Liquidated(
        account=ME,
        market_id=1,
        keeper="0x",
        base=1,
        quote=1,
        health_price=1,
        published_at=1,
        equity=1,
        maintenance=1,
        cost=55,
        reward=1,
        top_up=1,
        **at(1),
    )
    absorbed = PositionAbsorbed(account=ME, market_id=1, base=1, quote=1, published_at=1, **at(1))
    assert roles([filled(ME, 0), liquidated]) == [("liquidated", 55, 0)]
    assert roles([filled(ME, 0), absorbed]) == [("absorbed", 0, 0)]
    assert roles([filled(ME, 0), taken_over(OTHER, ME, 1)]) == [("took over", 44, 0)]
    assert roles([filled(ME, 0), taken_over(ME, OTHER, 1)]) == [("taken over", 0, 0)]


def test_fills__an_event_of_another_transaction_or_account__says_nothing() -> None:
    assert roles([matched(ME, OTHER, 0)]) == []
    assert roles([filled(ME, 0), matched(ME, OTHER, 0, "0xbb")]) == [("", 0, 0)]
    assert roles([filled(ME, 0), matched(OTHER, POOL, 1), taken_over(OTHER, POOL, 2)]) == [("", 0, 0)]
