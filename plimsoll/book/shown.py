"""What the API says, as JSON: numbers as decimal text, hashes and accounts as hexadecimal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plimsoll.book.book import Level
from plimsoll.book.facts import MarketFacts
from plimsoll.book.records import BookOrder, Match
from plimsoll.sdk.signed import order_to_json


def hash_shown(value: bytes) -> str:
    return "0x" + value.hex()


def order_shown(one: BookOrder) -> dict[str, Any]:
    """An order: its terms, and what became of them. Sizes are unsigned WAD base."""
    return {
        "hash": hash_shown(one.hash),
        "status": one.status,
        "left": str(one.left),
        "pending": str(one.pending),
        "filled": str(one.filled),
        "end": one.end,
        "reason": one.reason,
        "sequence": one.sequence,
        "receivedAt": one.received_at,
        "signer": f"0x{one.signer:040x}",
        "order": order_to_json(one.order),
    }


def trade_shown(one: Match) -> dict[str, Any]:
    """A match; `side` is the taker's. `transaction` is where it is settled, or may be."""
    return {
        "id": one.id,
        "market": one.market_id,
        "state": one.state.name.lower(),
        "side": "buy" if one.is_buy else "sell",
        "price": str(one.price),
        "base": str(one.base),
        "maker": hash_shown(one.maker),
        "taker": hash_shown(one.taker),
        "at": one.at,
        "transaction": one.tx_hash or None,
    }


def levels_shown(levels: Iterable[Level]) -> list[dict[str, Any]]:
    """Price levels; a size of zero: gone."""
    return [{"price": str(one.price), "size": str(one.size), "orders": one.orders} for one in levels]


def market_shown(market_id: int, market: MarketFacts, now: int) -> dict[str, Any]:
    """What an order in the market must be like now."""
    low, high = market.band
    newest = market.model.newest
    return {
        "market": market_id,
        "indexPrice": str(market.price),
        "publishedAt": newest.published_at if newest else 0,
        "isFresh": market.model.is_fresh(now),
        "lowestPrice": str(low),
        "highestPrice": str(high),
        "tick": str(market.terms.tick),
        "lot": str(market.terms.lot),
        "minNotional": str(market.terms.min_notional),
        "makerBps": market.model.rules.params.maker_bps,
        "takerBps": market.model.rules.params.taker_bps,
        "executionFee": str(market.model.order_params.execution_fee),
    }
