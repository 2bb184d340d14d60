"""One handler for each function that changes state: it chooses arguments, and makes the call on both sides.

A handler takes a `World` and a `Choices`, so that the same handlers serve the seeded walk and Hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from plimsoll.risk.market import Deleveraging
from plimsoll.risk.refusals import Refusal
from tests.stateful import deaths, debts, matches, orders
from tests.stateful.choices import Choices
from tests.stateful.orders import reasons
from tests.stateful.people import BOTS, TRADERS, actor, address, main
from tests.stateful.world import LIQUIDATOR_COUNTERS, MARKETS, WAD, World, model_params, named, slot_of
from tests.support import core as support
from tests.support.core import account_id, owner_of
from tests.support.evm import Receipt

Handler = Callable[[World, Choices], None]


# --- vault ---


def deposit(w: World, c: Choices) -> None:
    account, payer = c.pick(w.everyone), c.pick(TRADERS)
    amount = 0 if c.chance(3) else c.integer(1, 60_000) * WAD // w.core.unit + c.integer(0, 999)
    w.call(
        "deposit",
        lambda: w.model.deposit(account, amount),
        actor(payer),
        w.core.vault.deposit,
        account,
        amount,
        touches=(account,),
    )


def withdraw(w: World, c: Choices) -> None:
    account = c.pick(w.accounts)
    owner = owner_of(account) if c.chance(95) else actor(c.pick(TRADERS))
    to = c.pick((*map(actor, TRADERS), w.core.vault.address)) if c.chance(10) else owner
    amount = _amount_to_take(w, c, account)
    w.call(
        "withdraw",
        lambda: w.model.withdraw(account, amount, int(to, 16), now=w.now, sender=int(owner, 16)),
        owner,
        w.core.vault.withdraw,
        account,
        amount,
        to,
        touches=(account,),
    )


def transfer(w: World, c: Choices) -> None:
    source = c.pick(w.accounts)
    owner = owner_of(source)
    own = [account for account in w.accounts if owner_of(account) == owner]
    target = c.pick(own) if c.chance(93) else c.pick(w.everyone)
    amount = _amount_to_take(w, c, source)
    w.call(
        "transfer",
        lambda: w.model.transfer(source, target, amount, now=w.now, sender=int(owner, 16)),
        owner,
        w.core.vault.transfer,
        source,
        target,
        amount,
        touches=(source, target),
    )


def _amount_to_take(w: World, c: Choices, account: int) -> int:
    """Mostly around what can be taken: on both sides of the boundary."""
    cash = max(0, w.model.cash_of(account)) // w.core.unit
    if c.chance(50):
        return c.integer(0, cash // 4 + 1)
    try:
        return max(0, w.model.withdrawable(account, w.now) + c.integer(-1, 1))
    except Exception:
        return c.integer(0, cash + 1)


# --- prices ---


def record(w: World, c: Choices) -> None:
    market = c.pick(MARKETS)
    move = c.integer(-120, 120) if c.chance(86) else c.integer(-1200, 1200)
    price = max(WAD, w.prices[market] * (100_000 + move * 10 + c.integer(-9, 9)) // 100_000)
    base = support.PRICES[market]
    if not base // 4 < price < base * 4:
        price = base
    confidence = 0 if c.chance(60) else price * c.integer(0, 60) // 10_000
    state = support.OPEN if c.chance(94) else c.pick((support.DOUBTFUL, support.GRACE, support.DOWN))
    published_at = w.now - (0 if c.chance(80) else c.integer(0, 3))
    newest = w.model.state.markets[market].newest
    if newest is not None and published_at <= newest.published_at:
        return
    w.prices[market] = price
    w.calls += 1
    w.core.oracle.record(market, price, confidence, published_at, state)
    w.model.record_price(market, price, confidence, published_at, state)


def wait(w: World, c: Choices) -> None:
    seconds = c.integer(1, 2) if c.chance(95) else c.pick((5, 16, 61, 700, 4_000, 90_000))
    w.evm.advance(seconds)


# --- liquidation ---


def _unhealthy(w: World, c: Choices) -> int:
    """Mostly an account that can be liquidated; 0 where there is none and it is not worth a call."""
    holders = [account for account in w.accounts if w.model.markets_bitmap(account)]
    if not holders or c.chance(3):
        return c.pick(w.accounts)
    if c.chance(90):
        sick = [account for account in holders if w.model.is_liquidatable(account, w.now)]
        if sick or c.chance(60):
            return c.pick(sick) if sick else 0
    return c.pick(holders)


def _held_market(w: World, c: Choices, account: int) -> int:
    bits = w.model.markets_bitmap(account)
    held = [market for market in MARKETS if bits >> market - 1 & 1]
    return c.pick(held) if held and c.chance(95) else c.pick(MARKETS)


def liquidate(w: World, c: Choices) -> None:
    account, keeper = _unhealthy(w, c), c.pick(TRADERS)
    if not account:
        return
    market = _held_market(w, c, account)
    w.call(
        "liquidate",
        lambda: w.model.liquidate(account, market, now=w.now, sender=address(keeper)),
        actor(keeper),
        w.core.liquidator.liquidate,
        account,
        market,
        [],
        touches=(account, main(keeper), w.core.fund_main),
    )


def take_over(w: World, c: Choices) -> None:
    account = _unhealthy(w, c)
    if not account:
        return
    market = _held_market(w, c, account)
    held = w.model.position(account, market, w.now)[0]
    base = held * c.pick((2_500, 5_000, 10_000, 10_000, 10_001)) // 10_000
    to_account = c.pick(w.accounts)
    taker = owner_of(to_account) if c.chance(80) else actor(c.pick((*BOTS, *TRADERS)))
    w.call(
        "takeOver",
        lambda: w.model.take_over(account, market, base, to_account, now=w.now, sender=int(taker, 16)),
        taker,
        w.core.liquidator.takeOver,
        account,
        market,
        base,
        to_account,
        b"",
        [],
        touches=(account, to_account),
    )


def absorb(w: World, c: Choices) -> None:
    keeper = c.pick(TRADERS)
    bankrupt = [account for account in w.accounts if w.model.is_bankrupt(account, w.now)]
    if not bankrupt and c.chance(80):
        return
    account = c.pick(bankrupt) if bankrupt and c.chance(95) else c.pick(w.accounts)
    debts.absorb(w, account, keeper)


def ruin(w: World, c: Choices) -> None:
    """No call that anyone could make: who holds something loses all of it and more, to the fund, in a market whose
    window has no room left. So the backstop closes it against the other side."""
    account = c.pick(w.accounts)
    market = _held_market(w, c, account)
    if not w.model.markets_bitmap(account) >> market - 1 & 1:
        return
    record(w, c)
    held = w.model.state.markets[market]
    assert held.newest is not None
    if c.chance(80):
        held.count_moved(held.newest.published_at, support.SCALES[market] // c.pick((900, 1_250, 1_300)))
        word = held.moved_since | held.moved << 40 | held.absorbed_hour << 136 | held.absorbed << 160
        w.evm.set_storage(w.core.liquidator, slot_of(LIQUIDATOR_COUNTERS, market), word)
    amount = w.model.equity(account, w.now) * c.integer(100, 110) // 100 + c.integer(0, 1) * WAD
    w.calls += 1
    w.core.vault.post([(account, -amount, 0, 0), (w.core.fund_main, amount, 0, 0)], sender=w.core.pool)
    w.model.state.credit(account, -amount)
    w.model.state.credit(w.core.fund_main, amount)
    debts.absorb(w, account, c.pick(TRADERS))


def deleverage(w: World, c: Choices) -> None:
    """What is due, if anything is."""
    market = c.pick(MARKETS)

    def check(done: Deleveraging, receipt: Receipt) -> None:
        event = receipt.event("Deleveraged")
        got = (event["isLong"], event["fraction"], event["price"], event["cut"], event["flow"])
        w.hold((done.sign > 0, *done[1:]), got, "what was deleveraged")

    w.call(
        "deleverage",
        lambda: w.model.deleverage(market, now=w.now),
        actor(c.pick(TRADERS)),
        w.core.liquidator.deleverage,
        market,
        [],
        check=check,
    )


def attempt(w: World, c: Choices) -> None:
    """Some of the above at once: what one refuses stops none of the others."""
    keeper, liquidator = c.pick(TRADERS), w.core.liquidator
    sender = address(keeper)
    wanted: list[tuple[Callable[[], Any], bytes]] = []
    touched = [main(keeper), w.core.fund_main]
    for _ in range(c.integer(2, 4)):
        account = _unhealthy(w, c) or c.pick(w.accounts)
        market = _held_market(w, c, account)
        touched.append(account)
        kind = c.pick(("liquidate", "liquidate", "absorb", "deleverage"))
        if kind == "liquidate":
            predict = partial(w.model.liquidate, account, market, now=w.now, sender=sender)
            wanted.append((predict, liquidator.liquidate.encode(account, market, [])))
        elif kind == "absorb":
            wanted.append(
                (partial(w.model.absorb, account, now=w.now, sender=sender), liquidator.absorb.encode(account, []))
            )
        else:
            wanted.append((partial(w.model.deleverage, market, now=w.now), liquidator.deleverage.encode(market, [])))

    def predict_all() -> list[Refusal]:
        refused = []
        for predict, _ in wanted:
            try:
                predict()
            except Refusal as refusal:
                refused.append(refusal)
            else:
                w.count("attempted: done")
        return refused

    def check(refused: list[Refusal], receipt: Receipt) -> None:
        w.hold([named(one) for one in refused], reasons(receipt, "AttemptFailed"), "what was refused")
        for one in refused:
            w.count(f"attempted: {one.name}")

    calls = [data for _, data in wanted]
    w.call("attempt", predict_all, actor(keeper), liquidator.attempt, calls, touches=touched, check=check)


def accrue(w: World, c: Choices) -> None:
    """Anyone may; it deleverages too."""
    market = c.pick(MARKETS)
    w.call(
        "accrue",
        lambda: w.model.accrue(market, now=w.now),
        actor(c.pick(TRADERS)),
        w.core.market.accrue,
        market,
        check=lambda done, receipt: w.hold(done is not None, receipt.value, "whether something was due"),
    )


def shift_capital(w: World, c: Choices) -> None:
    """No call that anyone could make: the pool's capital of a market is taken to, or from, the fund, around what its
    exposure needs, so that deleveraging becomes due."""
    market = c.pick(MARKETS)
    pool, price = account_id(w.core.pool, market), w.prices[market]
    exposure = abs(w.model.skew(market)) * price // WAD
    wanted = exposure * c.integer(-20, 45) // 100 if c.chance(60) else support.POOL_DOLLARS * WAD // 2
    amount = w.model.pool_capital(market, w.now) - wanted
    w.calls += 1
    w.core.vault.post([(pool, -amount, 0, 0), (w.core.fund_main, amount, 0, 0)], sender=w.core.pool)
    w.model.state.credit(pool, -amount)
    w.model.state.credit(w.core.fund_main, amount)
    w.compare((w.core.fund_main,))


def inject(w: World, c: Choices) -> None:
    """An event out of nothing, of either side, at any fraction."""
    market, is_long = c.pick(MARKETS), c.chance(50)
    fraction = c.pick((WAD // 100, WAD // 3, WAD * 9 // 10)) if c.chance(98) else WAD
    price = w.prices[market]
    w.call(
        "inject",
        lambda: w.model.deleverage_event(market, 1 if is_long else -1, fraction, price, now=w.now),
        actor("anyone"),
        w.core.market.injectDeleveraging,
        market,
        is_long,
        fraction,
        price,
    )


# --- fees, shares, governance ---


def sweep(w: World, c: Choices) -> None:
    market = c.pick(MARKETS)
    w.call(
        "sweep",
        lambda: w.model.sweep(market),
        actor(c.pick(TRADERS)),
        w.core.market.sweep,
        market,
        touches=(w.core.fund_main, account_id(support.TREASURY)),
    )


def request_deposit(w: World, c: Choices) -> None:
    name, owner, controller = c.pick(("pool", "fund")), c.pick(TRADERS), c.pick(TRADERS)
    sender = owner if c.chance(95) else c.pick(TRADERS)
    amount = _amount_to_take(w, c, main(owner))
    vault, twin = getattr(w.core, name), getattr(w.model, name)
    request = w.call(
        f"{name} requestDeposit",
        lambda: w.model.request_deposit(
            twin, amount, address(controller), address(owner), now=w.now, sender=address(sender)
        ),
        actor(sender),
        vault.requestDeposit,
        amount,
        actor(controller),
        actor(owner),
        touches=(main(owner), account_id(vault, 0, 1)),
    )
    if request is not None:
        w.requests[name].append(request)


def request_redeem(w: World, c: Choices) -> None:
    name, owner = c.pick(("pool", "fund")), c.pick(TRADERS)
    vault, twin = getattr(w.core, name), getattr(w.model, name)
    held = twin.balances.get(address(owner), 0)
    shares = held * c.pick((1_000, 5_000, 10_000)) // 10_000 + (1 if c.chance(5) else 0)
    request = w.call(
        f"{name} requestRedeem",
        lambda: w.model.request_redeem(twin, shares, address(owner), address(owner), now=w.now, sender=address(owner)),
        actor(owner),
        vault.requestRedeem,
        shares,
        actor(owner),
        actor(owner),
    )
    if request is not None:
        w.requests[name].append(request)


def execute_request(w: World, c: Choices) -> None:
    name = c.pick(("pool", "fund"))
    vault, twin = getattr(w.core, name), getattr(w.model, name)
    pending = w.requests[name]
    number = c.pick(pending[-6:]) if pending and c.chance(95) else c.integer(1, 50)
    w.call(
        f"{name} executeRequest",
        lambda: w.model.execute_request(twin, number, now=w.now),
        actor(c.pick(TRADERS)),
        vault.executeRequest,
        number,
        touches=w.everyone,
    )


def set_params(w: World, c: Choices) -> None:
    market = c.pick(MARKETS)
    changes: dict[str, Any] = {
        "imBaseBps": c.pick((425, 450, 500)),
        "mmFractionBps": c.pick((5_900, 6_000, 6_200)),
        "takerBps": c.pick((5, 6, 8)),
        "maxFundingRate": c.pick((4, 8)) * WAD // 100,
        "rateAtFullBps": c.pick((20, 40)),
        "insuranceShareBps": c.pick((1_000, 2_000)),
    }
    params = {**support.PARAMS[market], **changes}
    before, w.params[market] = w.params[market], params

    def predict() -> bool:
        w.model.set_params(market, model_params(params), now=w.now)
        return True

    done = w.call(
        "setParams",
        predict,
        support.RISK,
        w.core.configurator.setParams,
        market,
        tuple(params.values()),
    )
    if done is None:
        w.params[market] = before


def halt(w: World, c: Choices) -> None:
    market = c.pick(MARKETS)
    until = w.now + c.integer(1, 40)
    if until <= w.model.state.markets[market].halt_until:
        return
    w.call(
        "haltOpening",
        lambda: w.model.halt_opening(market, until),
        support.GUARDIAN,
        w.core.configurator.haltOpening,
        market,
        until,
    )


HANDLERS: dict[str, tuple[Handler, int]] = {
    "wait": (wait, 130),
    "record": (record, 260),
    "place": (orders.place, 190),
    "execute": (orders.execute, 210),
    "execute_batch": (orders.execute_batch, 50),
    "cancel": (orders.cancel, 20),
    "cancel_all": (orders.cancel_all, 4),
    "delegate": (orders.delegate, 24),
    "match": (matches.match, 90),
    "match_batch": (matches.match_batch, 40),
    "deposit": (deposit, 30),
    "withdraw": (withdraw, 30),
    "transfer": (transfer, 20),
    "liquidate": (liquidate, 50),
    "take_over": (take_over, 40),
    "absorb": (absorb, 25),
    "sweep": (sweep, 6),
    "request_deposit": (request_deposit, 12),
    "request_redeem": (request_redeem, 8),
    "execute_request": (execute_request, 20),
    "set_params": (set_params, 3),
    "halt": (halt, 2),
    "deleverage": (deleverage, 4),
    "attempt": (attempt, 12),
    "accrue": (accrue, 4),
    "inject": (inject, 2),
}
"""Each handler with its weight in the walk."""

POOR = {
    **HANDLERS,
    "shift_capital": (shift_capital, 12),
    "ruin": (ruin, 8),
    "drown": (debts.drown, 3),
    "deleverage": (deleverage, 12),
}
"""The same where the pool is often too poor for what it holds."""

DYING = {
    **HANDLERS,
    "execute_forced": (deaths.execute_forced, 60),
    "declare_dead": (deaths.declare_dead, 8),
    "shut_down": (deaths.shut_down, 6),
    "resume": (deaths.resume, 30),
    "settle": (deaths.settle, 20),
    "drown": (debts.drown, 4),
}
"""The same where prices fail."""
