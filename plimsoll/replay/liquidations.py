"""What liquidations do in the model, step by step, with the receipts that the chain must give."""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll.core.units import WAD
from plimsoll.replay.actions import Absorb, Applied, CloseOut, Expected, TakeOver
from plimsoll.replay.modelled import Modelled
from plimsoll.risk import margin


@dataclass(frozen=True, slots=True)
class Step:
    """One position closed, taken over or absorbed; `health` is the account's before, `debt` what it left unpaid."""

    account: int
    market_id: int
    base: int
    price: int
    notional: int
    health: int
    penalty: int = 0
    keeper: int = 0
    insurance: int = 0
    debt: int = 0


def close_out(at: Modelled, action: CloseOut) -> Applied:
    account, market_id = action.account, action.market_id
    health, held = at.health(account), at.base_of(account, market_id)
    liquidator = at.roles.liquidator.number
    done = at.model.liquidate(account, market_id, now=at.now, sender=liquidator, gas=at.gas)
    base = -done.size if held > 0 else done.size
    values = {
        "account": account,
        "market_id": market_id,
        "base": base,
        "equity": health.equity,
        "maintenance": health.maintenance,
        "cost": done.cost,
        "reward": done.reward,
        "top_up": done.top_up,
    }
    expected = [Expected("Liquidated", values)]
    if done.debt:
        expected.append(Expected("DebtCovered", {"account": account, "debt": done.debt}))
    step = Step(
        account,
        market_id,
        base,
        done.price,
        margin.notional(done.size, done.price),
        health.ratio,
        done.cost,
        done.reward,
        done.cost - done.reward - done.debt,
        done.debt,
    )
    return Applied(action, tuple(expected), (step,))


def take_over(at: Modelled, action: TakeOver) -> Applied:
    health = at.health(action.account)
    done = at.model.take_over(
        action.account,
        action.market_id,
        action.base,
        action.to_account,
        now=at.now,
        sender=at.roles.liquidator.number,
    )
    values = {
        "account": action.account,
        "market_id": action.market_id,
        "to_account": action.to_account,
        "base": action.base,
        "equity": health.equity,
        "maintenance": health.maintenance,
        "discount": done.discount,
        "fee": done.fee,
    }
    step = Step(
        action.account,
        action.market_id,
        -action.base,
        done.amount * WAD // done.size,
        done.amount,
        health.ratio,
        penalty=done.discount,
        keeper=done.discount - done.fee,
    )
    return Applied(action, (Expected("TakenOver", values),), (step,))


def absorb(at: Modelled, action: Absorb) -> Applied:
    account = action.account
    health = at.health(account)
    liquidator = at.roles.liquidator.number
    with at.model.simulated():
        done = at.model.absorb(account, now=at.now, sender=liquidator, gas=at.gas)
    aside = {one.market_id: one.base for one in done.against_sides}
    quotes = []
    with at.model.simulated():  # one after the other: each moves its own market only
        for market in at.model.state.markets_of(account):
            at.model.state.bring_up(market, at.now)
        held = [
            (market, at.base_of(account, market.id) + aside.get(market.id, 0))
            for market in at.model.state.markets_of(account)
        ]
        for market, base in held:
            assert market.newest is not None, "a position in a market without a price"
            newest = market.newest
            quotes.append(market.fill_quote(-base, newest.price, newest.confidence))
    at.model.absorb(account, now=at.now, sender=liquidator, gas=at.gas)
    expected = [
        Expected("PositionAbsorbed", {"account": account, "market_id": market.id, "base": -base, "quote": q.amount})
        for (market, base), q in zip(held, quotes, strict=True)
    ]
    values = {"account": account, "equity": done.equity, "reward": done.reward}
    expected.append(Expected("Absorbed", values))
    if done.debt:
        values = {"account": account, "debt": done.debt, "by_fund": done.from_fund}
        expected.append(Expected("DebtCovered", values))
    steps = [
        Step(
            account,
            market.id,
            -base,
            quote.price,
            abs(quote.amount),
            health.ratio,
            keeper=0 if place else done.reward,
            insurance=0 if place else -done.from_fund - done.reward,
            debt=0 if place else done.debt,
        )
        for place, ((market, base), quote) in enumerate(zip(held, quotes, strict=True))
    ]
    return Applied(action, tuple(expected), tuple(steps))
