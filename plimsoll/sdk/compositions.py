"""What traders build out of orders: brackets, ladders of exits, exits spread over time, stops that trail the price.

The order book knows none of them. An exit is reduce-only, so that it clamps to what is left of the position and is void
with nothing left: what closes a position ends all its other exits. Two things follow for who uses them: exits of one
market stand for all of the account's position there, not for one entry's part of it; and a part that would leave less
than the market's minimum position waits until it doesn't.

All functions are pure; sizes and prices are WAD, times Unix seconds; mistakes are UserErrors of one line.
"""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.core.errors import UserError
from plimsoll.core.orders import NO_PARENT, Order, OrderKind
from plimsoll.core.units import format_usd
from plimsoll.sdk.orders import any_price, market_order, new_salt, stop_loss_order, take_profit_order
from plimsoll.sdk.signing import order_hash


class Bracket(NamedTuple):
    """An entry and its two exits, which wait for it to be filled, and of which one ends the other."""

    entry: Order
    stop_loss: Order
    take_profit: Order


class Scheduled(NamedTuple):
    """An order that is to be placed at `at` or after, before its expiry."""

    at: int
    order: Order


def bracket(
    entry: Order,
    stop_price: int,
    profit_price: int,
    *,
    stop_acceptable: int | None = None,
    profit_acceptable: int | None = None,
    expiry: int = 0,
) -> Bracket:
    """The exits of an entry that is not filled yet, for all of its size. Without acceptable prices they take any.

    To have others place all three on signatures, enter by a take-profit (not reduce-only) instead of a limit order; the
    exits of a limit order that is matched can be placed so by themselves.
    Raises UserError where the entry can only reduce, or a trigger lies on the wrong side of the other or of the entry's
    price.
    """
    if entry.reduce_only:
        raise UserError("bracket: its entry is reduce-only, and would leave nothing for the exits")
    _require_between(entry, stop_price, profit_price)
    parent = order_hash(entry)
    stop_loss = stop_loss_order(
        entry.account,
        entry.market_id,
        -entry.base,
        stop_price,
        acceptable_price=stop_acceptable,
        expiry=expiry,
        parent=parent,
        counter=entry.counter,
    )
    take_profit = take_profit_order(
        entry.account,
        entry.market_id,
        -entry.base,
        profit_price,
        acceptable_price=profit_acceptable,
        expiry=expiry,
        parent=parent,
        counter=entry.counter,
    )
    return Bracket(entry, stop_loss, take_profit)


def ladder(
    account: int,
    market_id: int,
    base: int,
    first_price: int,
    last_price: int,
    steps: int,
    *,
    expiry: int = 0,
    parent: bytes = NO_PARENT,
    counter: int = 0,
) -> list[Order]:
    """`steps` reduce-only take-profits, evenly from the first price to the last, whose sizes sum to `base` exactly.

    `base` is signed as the exits are: negative to leave a long. Each accepts its own trigger price and no worse.
    """
    sizes = split(base, steps)
    prices = [first_price + (last_price - first_price) * place // max(1, steps - 1) for place in range(steps)]
    return [
        take_profit_order(
            account,
            market_id,
            size,
            price,
            acceptable_price=price,
            expiry=expiry,
            parent=parent,
            counter=counter,
        )
        for size, price in zip(sizes, prices, strict=True)
    ]


def spread_over_time(
    account: int,
    market_id: int,
    base: int,
    first_time: int,
    interval: int,
    steps: int,
    *,
    acceptable_price: int | None = None,
    counter: int = 0,
) -> list[Scheduled]:
    """`steps` reduce-only market orders, one every `interval` seconds, whose sizes sum to `base` exactly.

    An order knows when it ends, not when it begins: whoever places them keeps each to himself until its time. Each
    expires, for those who place it on a signature, a second before the next is due.
    """
    if interval < 1:
        raise UserError(f"exits over time: an interval of {interval} s is not more than zero")
    if first_time < 0:
        raise UserError(f"exits over time: {first_time} is no Unix time in seconds")
    return [
        Scheduled(
            first_time + place * interval,
            market_order(
                account,
                market_id,
                size,
                acceptable_price=acceptable_price,
                reduce_only=True,
                expiry=first_time + (place + 1) * interval - 1,
                counter=counter,
            ),
        )
        for place, size in enumerate(split(base, steps))
    ]


def trail(stop: Order, price: int, distance: int, *, step: int = 1) -> Order | None:
    """The stop-loss that replaces `stop` now that the index is at `price`: its trigger `distance` away from it.

    None where that is not better than the present trigger by at least `step`, so that a stop never loosens and a small
    move costs no gas. Its acceptable price moves with the trigger, and it is new under the same counter.
    """
    if stop.kind != OrderKind.STOP_LOSS:
        raise UserError("trailing stop: the order is no stop-loss")
    if distance < 1 or step < 1:
        raise UserError("trailing stop: its distance and its step must be more than zero")
    away = distance if stop.is_buy else -distance
    trigger = price + away
    gained = stop.trigger_price - trigger if stop.is_buy else trigger - stop.trigger_price
    if gained < step:
        return None
    acceptable = stop.acceptable_price
    if acceptable != any_price(stop.base):
        acceptable += trigger - stop.trigger_price
    return stop._replace(trigger_price=trigger, acceptable_price=acceptable, salt=new_salt(stop.counter))


def split(base: int, steps: int) -> list[int]:
    """A size in `steps` parts that differ by a wei at most and sum to it exactly. Raises UserError."""
    if steps < 1:
        raise UserError(f"exits: {steps} is no number of them; there must be at least one")
    if abs(base) < steps:
        raise UserError("exits: the size is too small to be split, or zero")
    sign = 1 if base > 0 else -1
    return [sign * (abs(base) * (place + 1) // steps - abs(base) * place // steps) for place in range(steps)]


def _require_between(entry: Order, stop_price: int, profit_price: int) -> None:
    """Raises UserError where the triggers don't enclose the entry's price, or one another."""
    below, above = (stop_price, profit_price) if entry.is_buy else (profit_price, stop_price)
    side = "buy" if entry.is_buy else "sell"
    if below >= above:
        where = "below" if entry.is_buy else "above"
        raise UserError(
            f"bracket: the stop-loss of a {side} lies {where} its take-profit, unlike {format_usd(stop_price)} "
            f"and {format_usd(profit_price)}"
        )
    at = entry.acceptable_price if entry.kind == OrderKind.LIMIT else entry.trigger_price
    if entry.kind != OrderKind.MARKET and not below < at < above:
        raise UserError(
            f"bracket: the entry at {format_usd(at)} is not between {format_usd(below)} and {format_usd(above)}; "
            "an exit would be due at once"
        )
