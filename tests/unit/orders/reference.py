"""What orders reserve, what their fills cost, and what the book keeps: the specification's sections 3 and 7."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.support.core import ETH_PARAMS, ORDER_CONFIG, SCALES, WAD, Core
from tests.support.evm import Receipt, known

NONE, QUEUED, WAITING, MATCHING, FILLED, SPENT = range(6)
DELAY, WINDOW = ORDER_CONFIG["settlementDelay"], ORDER_CONFIG["settlementWindow"]
EXECUTION_FEE: int = ORDER_CONFIG["executionFee"]
RESERVE_BPS: int = ORDER_CONFIG["feeReserveBps"]
MIN_EXECUTION_GAS = 450_000


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def fee_reserve(base: int, price: int, bps: int = RESERVE_BPS) -> int:
    return ceil_div(ceil_div(abs(base) * price, WAD) * bps, 10_000)


class Fill(NamedTuple):
    price: int
    quote: int
    fee: int


def fill(market: int, skew: int, base: int, price: int, confidence: int = 0) -> Fill:
    """Against the pool, at a record; `skew` before it."""
    scale = SCALES[market]
    n = 2 * scale + 2 * skew + base
    if base > 0:
        at = ceil_div((price + confidence) * n, 2 * scale)
        quote = -ceil_div(base * at, WAD)
    else:
        at = (price - confidence) * n // (2 * scale)
        quote = -base * at // WAD
    made = min(abs(base), abs(skew)) if skew * base < 0 else 0
    weighted = made * int(ETH_PARAMS["makerBps"]) + (abs(base) - made) * int(ETH_PARAMS["takerBps"])
    return Fill(at, quote, ceil_div(abs(quote) * weighted, abs(base) * 10_000))


def split(fee: int) -> tuple[int, int, int]:
    """(insurance, treasury, pool)."""
    insurance = fee * int(ETH_PARAMS["insuranceShareBps"]) // 10_000
    treasury = fee * int(ETH_PARAMS["treasuryShareBps"]) // 10_000
    return insurance, treasury, fee - insurance - treasury


def initial(market: int, size: int, price: int) -> int:
    """Initial margin with the parameters of ETH."""
    notional = ceil_div(size * price, WAD)
    slope = ceil_div(size * int(ETH_PARAMS["imSlopeBps"]) * 10**14, SCALES[market])
    fraction = min(WAD, int(ETH_PARAMS["imBaseBps"]) * 10**14 + slope)
    penalty = max(
        ceil_div(notional * int(ETH_PARAMS["penaltyBps"]), 10_000), int(ETH_PARAMS["keeperMinCents"]) * 10**16
    )
    return ceil_div(notional * fraction, WAD) + penalty


def reserved(core: Core, account: int) -> int:
    """WAD dollars: bits 128 to 223 of the account's word."""
    word: int = core.vault.balanceOf(account)
    return word >> 128 & 2**96 - 1


def hash_of(core: Core, order: Mapping[str, Any]) -> bytes:
    found: bytes = core.order_book.hashOf(order)
    return found


def status(core: Core, order: Mapping[str, Any]) -> int:
    found: int = core.order_book.commitment(hash_of(core, order)).status
    return found


def queue(core: Core, market: int) -> tuple[int, int]:
    """(next, head)."""
    _, following, head = core.order_book.queue(market)
    return following, head


def settle_from(core: Core, order: Mapping[str, Any]) -> int:
    """T."""
    found: int = core.order_book.commitment(hash_of(core, order)).settleFrom
    return found


def reason_of(receipt: Receipt, event: str = "OrderFailed") -> tuple[Any, ...]:
    """(error, value, …) that the event carries, decoded."""
    decoded = known().registry.decode_error(receipt.event(event)["reason"])
    assert decoded is not None, "no contract declares this error"
    name, values = decoded
    return (name, *values)
