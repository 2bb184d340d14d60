"""The stop-losses and take-profits that guard a position: built by the SDK's compositions, with counted salts.

A stop lies well before the account's liquidation; how far the exits are is drawn for each position.
"""

from __future__ import annotations

from collections.abc import Callable

from plimsoll.core.orders import Order
from plimsoll.core.units import BPS, WAD
from plimsoll.replay.trader import Exits, Trader
from plimsoll.risk.scenario.draws import Draws
from plimsoll.sdk.compositions import bracket, ladder, trail
from plimsoll.sdk.orders import stop_loss_order, take_profit_order

RUNGS = 3
STEP_BPS = 20
"""By how much a trailing stop must gain to be worth its gas."""

Salt = Callable[[int], int]


def bracket_of(trader: Trader, entry: Order, price: int, salt: Salt) -> tuple[Order, Order]:
    """Stop-loss and take-profit that wait for an entry which isn't filled yet."""
    stop_at, profit_at = _triggers(trader, entry.base, price)
    made = bracket(entry, stop_at, profit_at, stop_acceptable=_worst(trader.draws, entry.base, stop_at))
    account = entry.account
    return made.stop_loss._replace(salt=salt(account)), made.take_profit._replace(salt=salt(account))


def exits_of(trader: Trader, market_id: int, base: int, price: int, minimum: int, salt: Salt) -> list[Order]:
    """Exits of a position of `base` at `price`. `minimum`: the least notional that a rung of a ladder may have, WAD."""
    account, (stop_at, profit_at) = trader.account, _triggers(trader, base, price)
    worst = _worst(trader.draws, base, stop_at)
    exits = [stop_loss_order(account, market_id, -base, stop_at, acceptable_price=worst)]
    style: Exits = trader.guard or "pair"
    if style == "ladder" and abs(base) * price // WAD >= RUNGS * minimum:
        first = price + (profit_at - price) // RUNGS
        exits += ladder(account, market_id, -base, first, profit_at, RUNGS)
    elif style != "trailing":
        exits.append(take_profit_order(account, market_id, -base, profit_at))
    return [order._replace(salt=salt(account)) for order in exits]


def trailed(trader: Trader, stop: Order, price: int, salt: Salt) -> Order | None:
    """What replaces a trailing stop now that the index is at `price`; None where that gains too little."""
    moved = trail(stop, price, price * stop_bps(trader) // BPS, step=price * STEP_BPS // BPS)
    return None if moved is None else moved._replace(salt=salt(stop.account))


def stop_bps(trader: Trader) -> int:
    """How far a stop is: at most 4 %, and half of what the account's leverage lets the price fall."""
    leverage = max(leg.leverage for leg in trader.plan.legs)
    return max(30, min(400, BPS * WAD // (2 * leverage)))


def _triggers(trader: Trader, base: int, price: int) -> tuple[int, int]:
    """(stop, profit) for a position of `base` entered at `price`."""
    sign = 1 if base > 0 else -1
    gain = trader.draws.between(80, 900)
    return price * (BPS - sign * stop_bps(trader)) // BPS, price * (BPS + sign * gain) // BPS


def _worst(draws: Draws, base: int, stop_at: int) -> int | None:
    """Half of the stops take any price; the others none that is 3 % worse than the trigger, and wait instead."""
    if draws.below(2):
        return None
    return stop_at * (BPS - 300 if base > 0 else BPS + 300) // BPS
