"""Handlers of matching: pairs of signed limit orders that may fit each other, new ones and ones matched in part."""

from __future__ import annotations

from typing import Any, NamedTuple

from plimsoll.core.orders import NO_PARENT, Order, OrderKind, TimeInForce
from plimsoll.risk.matching import MakerFill, Match
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.signing import order_hash
from tests.stateful.choices import Choices
from tests.stateful.orders import new_salt, reasons, size_of, who_acts
from tests.stateful.people import TRADERS, actor, address, main, sign, signer
from tests.stateful.world import MARKETS, World, named
from tests.support.core import MAX_PRICE
from tests.support.evm import Receipt

MAKER_TIMES = (*[TimeInForce.GOOD_TILL_TIME] * 24, *[TimeInForce.POST_ONLY] * 12, *TimeInForce)
TAKER_TIMES = (*[TimeInForce.GOOD_TILL_TIME] * 20, *[TimeInForce.IMMEDIATE_OR_CANCEL] * 6, *TimeInForce)


class Pair(NamedTuple):
    """Two orders, who signs them, and how much is asked for."""

    maker: Order
    maker_name: str | None
    taker: Order
    taker_name: str | None
    base: int


def match(w: World, c: Choices) -> None:
    pair, caller = _pair(w, c), c.pick(TRADERS)
    maker, maker_name, taker, taker_name, base = pair

    def check(done: Match, receipt: Receipt) -> None:
        w.hold([list(done)], _matched(receipt), "what was matched")

    done = w.call(
        "matchOrders",
        lambda: w.model.match_orders(
            maker, signer(maker_name), taker, signer(taker_name), base, now=w.now, sender=address(caller)
        ),
        actor(caller),
        w.core.order_book.matchOrders,
        tuple(maker),
        sign(maker, w.domain, maker_name),
        tuple(taker),
        sign(taker, w.domain, taker_name),
        base,
        touches=(maker.account, taker.account, main(caller)),
        orders=(order_hash(maker), order_hash(taker)),
        check=check,
    )
    if done is not None:
        w.signed += [maker, taker]


def match_batch(w: World, c: Choices) -> None:
    first, caller = _pair(w, c), c.pick(TRADERS)
    taker, taker_name = first.taker, first.taker_name
    makers = [(first.maker, first.maker_name, max(1, first.base // 2))]
    for _ in range(c.integer(0, 3)):
        maker = _maker(w, c, taker)
        base = abs(taker.base) * c.integer(0, 60) // 100
        makers.append((maker, who_acts(c, maker.account), base))
    if c.chance(20):
        makers.append(makers[0])

    def check(done: list[Match | Refusal], receipt: Receipt) -> None:
        w.hold([list(one) for one in done if isinstance(one, Match)], _matched(receipt), "what was matched")
        skipped = [named(one) for one in done if isinstance(one, Refusal)]
        w.hold(skipped, reasons(receipt, "MatchSkipped"), "what was skipped")
        for name, _ in skipped:
            w.count(f"matchBatch skipped: {name}")

    fills = [MakerFill(maker, signer(name), base) for maker, name, base in makers]
    done = w.call(
        "matchBatch",
        lambda: w.model.match_batch(taker, signer(taker_name), fills, now=w.now, sender=address(caller)),
        actor(caller),
        w.core.order_book.matchBatch,
        tuple(taker),
        sign(taker, w.domain, taker_name),
        [(tuple(maker), sign(maker, w.domain, name), base) for maker, name, base in makers],
        touches=(taker.account, *(maker.account for maker, _, _ in makers), main(caller)),
        orders=(order_hash(taker), *(order_hash(maker) for maker, _, _ in makers)),
        check=check,
    )
    if done is not None:
        w.signed += [taker, *(maker for maker, _, _ in makers)]


def _matched(receipt: Receipt) -> list[Any]:
    fields = ("base", "quote", "makerFee", "takerFee", "executionFee")
    return [[event[field] for field in fields] for event in receipt.events("OrdersMatched")]


def _pair(w: World, c: Choices) -> Pair:
    taker = c.pick(w.signed[-20:]) if w.signed and c.chance(25) else _taker(w, c)
    maker = _maker(w, c, taker)
    if w.signed and c.chance(25):
        tried = [c.pick(w.signed[-40:]) for _ in range(6)]
        maker = next((one for one in tried if _fits(one, taker)), tried[0] if c.chance(20) else maker)
    least = min(_left(w, taker), _left(w, maker))
    base = least * c.pick((10_000, 10_000, 5_000, 3_000)) // 10_000 + (1 if c.chance(3) else 0)
    return Pair(maker, who_acts(c, maker.account), taker, who_acts(c, taker.account), 0 if c.chance(1) else base)


def _fits(maker: Order, taker: Order) -> bool:
    return maker.market_id == taker.market_id and (maker.base > 0) != (taker.base > 0)


def _left(w: World, order: Order) -> int:
    found = w.model.state.orders.get(order_hash(order))
    return abs(order.base) - (found.matched if found else 0)


def _taker(w: World, c: Choices) -> Order:
    """Half of them leave what they hold, the sick above all."""
    account = c.pick(w.accounts)
    held = [each for each in w.accounts if w.model.markets_bitmap(each)]
    if held and c.chance(50):
        sick = [each for each in held if w.model.is_liquidatable(each, w.now)]
        account = c.pick(sick) if sick and c.chance(50) else c.pick(held)
    isolated = account >> 64 & 0xFFFFFFFF
    market = isolated if isolated and c.chance(97) else c.pick(MARKETS)
    base, reduce_only = size_of(w, c, account, market)
    acceptable = (MAX_PRICE if base > 0 else 0) if c.chance(80) else _near(w, c, market)
    return _limit(w, c, account, market, base, acceptable, reduce_only, c.pick(TAKER_TIMES))


def _maker(w: World, c: Choices, taker: Order) -> Order:
    """The other side of a taker's order, near the index; a bid where one would buy that way as well."""
    others = [each for each in w.accounts if each >> 96 != taker.account >> 96]
    account = c.pick(others) if c.chance(97) else c.pick(w.accounts)
    isolated = account >> 64 & 0xFFFFFFFF
    if isolated not in (0, taker.market_id):
        account ^= isolated << 64
    market = taker.market_id if c.chance(98) else c.pick(MARKETS)
    base = -taker.base * c.pick((10_000, 10_000, 15_000, 5_000)) // 10_000
    held = w.model.position(account, market, w.now)[0]
    reduce_only = bool(held) and (held > 0) != (base > 0) and c.chance(40)
    return _limit(w, c, account, market, base, _near(w, c, market), reduce_only, c.pick(MAKER_TIMES))


def _near(w: World, c: Choices, market: int) -> int:
    """Mostly within the band, sometimes at its edge or a wei beyond."""
    price = w.prices[market]
    if c.chance(85):
        return price * (10_000 + c.integer(-25, 25)) // 10_000
    return c.pick((-1, 1)) * (price * 25 // 10_000 + c.integer(0, 1)) + price


def _limit(
    w: World, c: Choices, account: int, market: int, base: int, price: int, reduce_only: bool, in_force: int
) -> Order:
    return Order(
        account,
        market,
        OrderKind.LIMIT if c.chance(99) else OrderKind.MARKET,
        base,
        price,
        0,
        reduce_only,
        in_force,
        w.now + c.integer(-1, 200) if c.chance(30) else 0,
        NO_PARENT if c.chance(99) else b"p" * 32,
        new_salt(w, c, account),
    )
