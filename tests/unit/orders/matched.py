"""The sums of a match, written from the specification, and what a match changes."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.support.core import ETH, ETH_PARAMS, ETH_PRICE, WAD, Core
from tests.support.signed import Signed
from tests.unit.market.reference import filled, split
from tests.unit.orders.reference import ceil_div


class Sums(NamedTuple):
    """What the taker gets, and both fees; WAD."""

    quote: int
    maker_fee: int
    taker_fee: int


def sums(base: int, price: int) -> Sums:
    """`base` is the taker's, signed."""
    quote = -base * price // WAD
    return Sums(
        quote,
        ceil_div(abs(quote) * int(ETH_PARAMS["makerBps"]), 10_000),
        ceil_div(abs(quote) * int(ETH_PARAMS["takerBps"]), 10_000),
    )


class Side(NamedTuple):
    """An account before a match."""

    cash: int
    base: int
    quote: int

    def after(self, base: int, quote: int, paid: int) -> Side:
        """What it has then."""
        new_base, new_quote, released = filled(self.base, self.quote, base, quote)
        return Side(self.cash + released - paid, new_base, new_quote)


def side(core: Core, account: int, market: int = ETH) -> Side:
    base, quote, owed = core.market.position(account, market)
    assert owed == 0, "time has passed since it was settled"
    return Side(core.cash(account), base, quote)


def unswept(core: Core) -> tuple[int, int]:
    insurance, treasury = core.market.unsweptFees(ETH)
    return insurance, treasury


def fee_parts(sums_: Sums) -> tuple[int, int, int]:
    """(insurance, treasury, pool): both fees together are split as one."""
    insurance, treasury, pool = split(sums_.maker_fee + sums_.taker_fee)
    return insurance, treasury, pool


def hold(signed: Signed, long: int, short: int, size: int, price: int = ETH_PRICE) -> None:
    """Give one account a long position, and another the short one, by a match at the index price."""
    if size:
        signed.match(signed.limit(short, ETH, -size, price), signed.limit(long, ETH, size, price))


def pair(
    signed: Signed, maker: int, taker: int, base: int, price: int = ETH_PRICE, **of_taker: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A maker's order, and a taker's of `base` against all of it at its price."""
    return signed.limit(maker, ETH, -base, price), signed.limit(taker, ETH, base, price, **of_taker)
