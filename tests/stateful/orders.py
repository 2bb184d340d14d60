"""Handlers of orders against the pool: placing and cancelling by call and by signature, delegates, executing."""

from __future__ import annotations

from typing import Any

from plimsoll.core.orders import COUNTER_SHIFT, NO_PARENT, Order, OrderKind, Scope, TimeInForce
from plimsoll.risk.commitments import FILLED, QUEUED, SPENT, WAITING
from plimsoll.risk.delegates import Grant
from plimsoll.risk.execution import Outcome
from plimsoll.sdk.signing import Cancel, CancelAll, Delegation, order_hash
from tests.stateful.choices import Choices
from tests.stateful.people import BOTS, TRADERS, actor, address, main, owner_name, sign, signer
from tests.stateful.world import MARKETS, WAD, World, named, plain
from tests.support.core import MAX_PRICE
from tests.support.evm import Receipt, known

KINDS = (*[OrderKind.MARKET] * 5, *[OrderKind.LIMIT] * 2, *OrderKind)
RELAY_FEES = (0, WAD // 10, WAD // 10, 10 * WAD, 10 * WAD + 1)


# --- placing ---


def place(w: World, c: Choices) -> None:
    order = _new_order(w, c)
    if w.open_orders and c.chance(2):
        order = c.pick(list(w.open_orders))
    relayer, who = c.pick(TRADERS), who_acts(c, order.account)
    key = order_hash(order)
    if c.chance(5 if order.kind == OrderKind.LIMIT else 40):
        done = w.call(
            "placeFor",
            lambda: w.model.place_for(order, signer(who), now=w.now, sender=address(relayer)),
            actor(relayer),
            w.core.order_book.placeFor,
            tuple(order),
            sign(order, w.domain, who),
            touches=(order.account, main(relayer)),
            orders=(key,),
        )
    else:
        caller = who or relayer
        done = w.call(
            "place",
            lambda: w.model.place(order, now=w.now, sender=address(caller)),
            actor(caller),
            w.core.order_book.place,
            tuple(order),
            touches=(order.account,),
            orders=(key,),
        )
    if done is not None:
        w.open_orders[order] = key


def _new_order(w: World, c: Choices) -> Order:
    account = c.pick(w.accounts)
    isolated = account >> 64 & 0xFFFFFFFF
    market = isolated if isolated and c.chance(97) else c.pick(MARKETS)
    base, reduce_only = size_of(w, c, account, market)
    kind = c.pick(KINDS)
    has_trigger = kind in (OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT)
    price = w.prices[market]
    if c.chance(70):
        acceptable = MAX_PRICE if base > 0 else 0
    else:
        acceptable = price * (10_000 + c.integer(-100, 100)) // 10_000
    expiry = w.now + c.integer(-1, 300) if c.chance(50 if kind else 35) else 0
    return Order(
        account,
        market,
        kind,
        base,
        acceptable,
        price * (10_000 + c.integer(-150, 150)) // 10_000 if has_trigger != c.chance(1) else 0,
        reduce_only or (has_trigger and c.chance(50)),
        c.pick(list(TimeInForce)) if c.chance(2) else TimeInForce.GOOD_TILL_TIME,
        expiry,
        _parent(w, c) if kind and c.chance(15) else NO_PARENT,
        new_salt(w, c, account),
    )


def _parent(w: World, c: Choices) -> bytes:
    """Any order that was seen, or one that never will be."""
    known_orders = [*list(w.open_orders)[-20:], *w.ended[-20:], *w.signed[-20:]]
    return order_hash(c.pick(known_orders)) if known_orders and c.chance(95) else b"never" * 6 + b"!!"


def new_salt(w: World, c: Choices, account: int) -> int:
    """Under the account's counter, nearly always."""
    w.salt += 1
    counter = w.model.counter_of(account) + (1 if c.chance(1) else 0)
    return counter << COUNTER_SHIFT | w.salt


def who_acts(c: Choices, account: int) -> str | None:
    """Mostly the owner, else a bot, another trader, or nobody."""
    if c.chance(85):
        return owner_name(account)
    return c.pick((*BOTS, *BOTS, *BOTS, c.pick(TRADERS), None))


def size_of(w: World, c: Choices, account: int, market: int) -> tuple[int, bool]:
    """A signed size: around the position to reduce it, or around what the account's cash carries."""
    held = w.model.position(account, market, w.now)[0]
    price = w.prices[market]
    if held and c.chance(45):
        part = c.pick((4_000, 5_000, 10_000, 10_000, 10_000, 12_000))
        return -held * part // 10_000, c.chance(60)
    if c.chance(2):
        return 0, False
    cash = max(w.model.cash_of(account), 1_000 * WAD)
    dollars = cash * c.integer(1, 22) if c.chance(85) else c.integer(500, 9_000_000) * WAD
    sign_of = c.pick((1, 1, -1))
    return sign_of * dollars * WAD // price, c.chance(4)


# --- cancelling ---


def cancel(w: World, c: Choices) -> None:
    order = c.pick(w.signed[-30:]) if w.signed and c.chance(30) else some_order(w, c, WAITING)
    if order is None:
        return
    key, relayer, who = order_hash(order), c.pick(TRADERS), who_acts(c, order.account)
    if c.chance(40):
        fee = c.pick(RELAY_FEES)
        w.call(
            "cancelFor",
            lambda: w.model.cancel_for(order, fee, signer(who), now=w.now, sender=address(relayer)),
            actor(relayer),
            w.core.order_book.cancelFor,
            tuple(order),
            fee,
            sign(Cancel(key, fee), w.domain, who),
            touches=(order.account, main(relayer)),
            orders=(key,),
        )
        return
    caller = who or relayer
    w.call(
        "cancel",
        lambda: w.model.cancel(order, now=w.now, sender=address(caller)),
        actor(caller),
        w.core.order_book.cancel,
        tuple(order),
        touches=(order.account,),
        orders=(key,),
    )


def cancel_all(w: World, c: Choices) -> None:
    account, relayer = c.pick(w.accounts), c.pick(TRADERS)
    who = who_acts(c, account)
    if c.chance(50):
        caller = who or relayer
        w.call(
            "cancelAll",
            lambda: w.model.cancel_all(account, sender=address(caller)),
            actor(caller),
            w.core.order_book.cancelAll,
            account,
        )
        return
    counter = w.model.counter_of(account) + (1 if c.chance(90) else c.pick((0, 2)))
    fee = c.pick(RELAY_FEES)
    w.call(
        "cancelAllFor",
        lambda: w.model.cancel_all_for(account, counter, fee, signer(who), now=w.now, sender=address(relayer)),
        actor(relayer),
        w.core.order_book.cancelAllFor,
        account,
        counter,
        fee,
        sign(CancelAll(account, counter, fee), w.domain, who),
        touches=(account, main(relayer)),
    )


# --- delegates ---


def delegate(w: World, c: Choices) -> None:
    account, bot, relayer = c.pick(w.accounts), c.pick(BOTS), c.pick(TRADERS)
    who = owner_name(account) if c.chance(90) else who_acts(c, account)
    scope = Scope(
        c.pick((3, 3, 3, 1, 2)),
        w.now + c.pick((-1, 0, 30, 1_000, 100_000)),
        c.pick((999, 1_000, 50_000, 5_000_000, 2**64 - 1)),
        c.chance(75),
        c.chance(75),
    )
    number = 0 if c.chance(1) else address(bot)
    if c.chance(60):
        caller = who or relayer
        w.call(
            "setDelegate",
            lambda: w.model.set_delegate(account, number, scope, sender=address(caller)),
            actor(caller),
            w.core.order_book.setDelegate,
            account,
            f"0x{number:040x}",
            tuple(scope),
        )
        return
    fee, salt = c.pick(RELAY_FEES), new_salt(w, c, account)
    if c.chance(5):
        salt -= 1
    grant = Grant(account, number, scope, salt, fee)
    w.call(
        "setDelegateFor",
        lambda: w.model.set_delegate_for(grant, signer(who), now=w.now, sender=address(relayer)),
        actor(relayer),
        w.core.order_book.setDelegateFor,
        account,
        f"0x{number:040x}",
        tuple(scope),
        salt,
        fee,
        sign(Delegation(account, f"0x{number:040x}", scope, salt, fee), w.domain, who),
        touches=(account, main(relayer)),
        orders=(w.model.grant_hash(grant),),  # type: ignore[arg-type]
    )


# --- executing ---


def execute(w: World, c: Choices) -> None:
    order = some_order(w, c, QUEUED) if c.chance(60) else some_order(w, c, WAITING)
    if order is None:
        return
    keeper, kind = c.pick(TRADERS), OrderKind(order.kind)
    w.call(
        "execute" if kind == OrderKind.MARKET else f"execute {kind.name.lower().replace('_', ' ')}",
        lambda: w.model.execute(order, now=w.now, sender=address(keeper)),
        actor(keeper),
        w.core.order_book.execute,
        tuple(order),
        [],
        touches=(order.account, main(keeper), w.core.fund_main),
        orders=(order_hash(order),),
    )


def execute_batch(w: World, c: Choices) -> None:
    found = [some_order(w, c, QUEUED if c.chance(60) else WAITING) for _ in range(c.integer(1, 5))]
    orders = [order for order in found if order is not None]
    keeper = c.pick(TRADERS)

    def check(outcomes: list[Outcome], receipt: Receipt) -> None:
        want = [named(one.reason) for one in outcomes if one.status == "skipped" and one.reason is not None]
        w.hold(want, reasons(receipt, "OrderSkipped"), "what was skipped")

    w.call(
        "executeBatch",
        lambda: w.model.execute_batch(orders, now=w.now, sender=address(keeper)),
        actor(keeper),
        w.core.order_book.executeBatch,
        [tuple(order) for order in orders],
        [],
        touches=(*(order.account for order in orders), main(keeper), w.core.fund_main),
        orders=map(order_hash, orders),
        check=check,
    )


def reasons(receipt: Receipt, event: str) -> list[Any]:
    """Name and values of the errors that events carry."""
    found = [known().registry.decode_error(each["reason"]) for each in receipt.events(event)]
    return [one and (one[0], tuple(map(plain, one[1]))) for one in found]


def some_order(w: World, c: Choices, status: int) -> Order | None:
    """Mostly one in this status: the next in its queue, or one whose trigger is met; now and then any that ever was."""
    if w.ended and c.chance(4):
        return c.pick(w.ended[-50:])
    records, live = w.model.state.orders, []
    for order, key in list(w.open_orders.items()):
        found = records[key].status
        if found in (FILLED, SPENT) or (found == WAITING and not _is_alive(w, order)):
            del w.open_orders[order]
            w.ended.append(order)
        elif found == status:
            live.append(order)
    if not live:
        return None
    if status == QUEUED:
        return live[0] if c.chance(85) else c.pick(live)
    tried = [c.pick(live) for _ in range(6)]
    return next((order for order in tried if _is_due(w, order)), tried[0]) if c.chance(80) else tried[0]


def _is_alive(w: World, order: Order) -> bool:
    """Whether it is neither expired nor under an old counter."""
    if order.kind == OrderKind.MARKET:
        return True
    is_in_time = order.expiry == 0 or w.now <= order.expiry
    return is_in_time and order.salt >> COUNTER_SHIFT == w.model.counter_of(order.account)


def _is_due(w: World, order: Order) -> bool:
    """Whether its trigger is met, as far as a glance shows."""
    if not order.trigger_price:
        return True
    with_fall = (order.base < 0) == (order.kind == OrderKind.STOP_LOSS)
    price = w.prices[order.market_id]
    return price <= order.trigger_price if with_fall else price >= order.trigger_price
