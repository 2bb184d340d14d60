"""The events that the chain must answer to an action, of what the model made of it."""

from __future__ import annotations

from collections.abc import Iterator

from plimsoll.chain.abi import checksum
from plimsoll.core.orders import Order
from plimsoll.replay.actions import Expected
from plimsoll.risk.execution import Outcome
from plimsoll.risk.matching import Match
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.signing import order_hash

_ENDS = {
    "filled": "OrderExecuted",
    "failed": "OrderFailed",
    "void": "OrderVoided",
    "waiting": "OrderLeftQueue",
    "skipped": "OrderSkipped",
}


def cancelled(order: Order) -> Expected:
    return Expected("OrderCancelled", {"hash": order_hash(order), "account": order.account})


def relayed(account: int, fee: int) -> Expected:
    return Expected("Relayed", {"account": account, "fee": fee})


def delegate_set(account: int, delegate: int) -> Expected:
    return Expected("DelegateSet", {"account": account, "delegate": checksum(delegate.to_bytes(20, "big"))})


def of_match(maker: Order, taker: Order, result: Match | Refusal) -> Expected:
    if isinstance(result, Refusal):
        return Expected("MatchSkipped", {"maker_hash": order_hash(maker)})
    values = {
        "maker_hash": order_hash(maker),
        "taker_hash": order_hash(taker),
        "market_id": taker.market_id,
        "maker_account": maker.account,
        "taker_account": taker.account,
    }
    return Expected("OrdersMatched", values | result._asdict())


def of_execution(order: Order, outcome: Outcome) -> Iterator[Expected]:
    """The events of an order's execution."""
    if (done := outcome.trade) is not None:
        values = {"account": order.account, "market_id": order.market_id, "base": done.size, "quote": done.quote}
        yield Expected("Traded", values | {"fill_price": done.price, "fee": done.fee})
    ends: dict[str, object] = {"hash": order_hash(order)}
    if outcome.status != "skipped":
        ends["account"] = order.account
    yield Expected(_ENDS[outcome.status], ends)
