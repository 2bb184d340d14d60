"""All sources of all markets die, and keepers with them: markets are declared dead, waited out, closed; all leave."""

from __future__ import annotations

from plimsoll.core import ids
from plimsoll.core.units import SECONDS_PER_HOUR, WAD
from plimsoll.drills.notes import Notes, usd
from plimsoll.drills.stage import BTC, ETH, PRICES, Stage, staged
from plimsoll.replay.actions import (
    Absorb,
    ExecuteRequest,
    Place,
    RequestExit,
    Settle,
    ShutDown,
    ShutDownStep,
    VaultName,
    Withdraw,
)
from plimsoll.risk.fallback import FALLBACK_DELAY, FORCED_WINDOW
from plimsoll.risk.shutdown import CLOSING_SECONDS, DEAD_ORACLE_SECONDS, DECLARE_SECONDS

LAST = {ETH: PRICES[ETH] * 106 // 100, BTC: PRICES[BTC]}
LONG = 10 * WAD
DOLLARS = {"winner": 5_000, "loser": 5_000, "both": 5_000, "leaver": 5_000, "bankrupt": 1_020}
POSITIONS = (
    ("winner", ETH, LONG),
    ("loser", ETH, -LONG),
    ("both", ETH, LONG // 2),
    ("both", BTC, LONG // 50),
    ("leaver", ETH, LONG),
    ("bankrupt", ETH, -LONG),
)
WHILE_SECONDS = SECONDS_PER_HOUR
"""Of the first declaration of ETH, until a single price ends it."""


def play(notes: Notes) -> None:
    notes.parameters |= {
        "last prices": f"{usd(LAST[ETH])}, {usd(LAST[BTC])}",
        "silence before a declaration": f"{DECLARE_SECONDS} s",
        "from declaration to confirmation": f"{DEAD_ORACLE_SECONDS} s",
        "from confirmation to closing": f"{CLOSING_SECONDS} s",
    }
    with staged(notes, *DOLLARS) as stage:
        stage.deposit(DOLLARS)
        stage.open(PRICES, *POSITIONS)
        stage.publish(LAST)
        died_at = stage.now
        _leave_by_the_push_source(stage)
        _declare(stage, died_at)
        _wait_out(stage)
        for market in (BTC, ETH):
            _close(stage, market)
        notes.figure("seconds from the last price until every market was closed", stage.now - died_at)
        _everyone_out(stage)


def _step(stage: Stage, market: str, step: ShutDownStep) -> str:
    """What refused it; empty where it was done."""
    return stage.attempt(ShutDown(stage.market_ids[market], step))


def _leave_by_the_push_source(stage: Stage) -> None:
    """The signed sources are dead, the push feed lives two minutes longer: who wants out needs no keeper."""
    notes = stage.notes
    order = stage.order("leaver", ETH, -LONG, reduce_only=True)
    stage.do(Place(order))
    stage.wait(3 * stage.devnet.market(ETH).orders.settlement_window)
    (left,) = stage.execute(order)
    notes.promise("a reduction without a price leaves the queue and waits", left.status == "waiting", left.status)
    stage.wait(FALLBACK_DELAY)
    stage.say({}, bounds={ETH: {"chainlink": LAST[ETH]}})
    refusal = stage.attempt(stage.forced(order))
    notes.promise("the push source does not do at once", refusal == "OrderBook_NotSilent", refusal)
    stage.wait(FORCED_WINDOW)
    stage.say({}, bounds={ETH: {"chainlink": LAST[ETH]}})
    refusal = stage.attempt(stage.forced(order))
    gone = not stage.base("leaver", ETH)
    notes.promise("after two minutes it does, against the order", not refusal and gone, refusal)
    notes.figure("left by the push source with", usd(stage.cash("leaver")))


def _declare(stage: Stage, died_at: int) -> None:
    notes = stage.notes
    refusal = _step(stage, ETH, "declareDead")
    notes.promise("not before ten minutes of silence", refusal == "Shutdown_NotSilent", refusal)
    stage.wait(died_at + DECLARE_SECONDS - stage.now)
    found = [_step(stage, market, "declareDead") for market in (ETH, BTC)]
    notes.promise("then anyone declares a market dead", not any(found), found)
    refusal = _step(stage, BTC, "declareDead")
    notes.promise("its clock can't be set back", refusal == "Shutdown_AlreadyDeclared", refusal)
    refusal = _step(stage, BTC, "confirmDead")
    notes.promise("nor confirmed early", refusal == "Shutdown_TooEarly", refusal)


def _wait_out(stage: Stage) -> None:
    """One price ends the declaration of ETH, which is declared again."""
    notes = stage.notes
    stage.wait(WHILE_SECONDS)
    stage.publish({ETH: LAST[ETH]})
    refusal = _step(stage, ETH, "confirmDead")
    notes.promise("any price ends a declaration", refusal == "Shutdown_NotDeclared", refusal)
    stage.wait(DECLARE_SECONDS + 1)
    _step(stage, ETH, "declareDead")


def _close(stage: Stage, market: str) -> None:
    notes, market_id = stage.notes, stage.market_ids[market]
    declared = stage.mirror.markets[market_id].declaration
    assert declared is not None, "it was declared"
    stage.wait(max(1, declared.declared_at + DEAD_ORACLE_SECONDS - stage.now))
    account = stage.account("bankrupt")
    if market == ETH:
        refusal = stage.attempt(Absorb(account))
        notes.promise("nobody is absorbed at an old price before the confirmation", bool(refusal), refusal)
    refusal = _step(stage, market, "confirmDead")
    notes.promise(f"{market}: confirmed after six hours", not refusal, refusal)
    if market == ETH:
        (step,) = stage.do(Absorb(account))[0].result
        notes.figure("debt of who was bankrupt, paid by the fund", usd(step.debt))
        notes.promise("in the last hour the bankrupt one is absorbed", not stage.cash("bankrupt"), usd(step.debt))
    refusal = _step(stage, market, "closeDead")
    notes.promise(f"{market}: not closed at once", refusal == "Shutdown_TooEarly", refusal)
    stage.wait(CLOSING_SECONDS)
    refusal = _step(stage, market, "closeDead")
    notes.promise(f"{market}: closed an hour later", not refusal, refusal)


def _everyone_out(stage: Stage) -> None:
    """Traders, those who were paid, provider and treasury, each with all that is theirs; no price is needed."""
    notes, model, mirror = stage.notes, stage.mirror.model, stage.mirror
    for name in DOLLARS:
        account = stage.account(name)
        stage.do(*(Settle(account, market.id) for market in list(model.state.markets_of(account))))
    open_interest = [model.open_interest(market_id) for market_id in mirror.markets]
    held = [name for name in DOLLARS if model.markets_bitmap(stage.account(name))]
    notes.promise("no position is left", not held and not any(map(any, open_interest)), f"{held} {open_interest}")
    provider = mirror.roles.provider.number
    vaults: tuple[VaultName, ...] = ("pool", "fund")
    exits = [RequestExit(name, provider, mirror.vault(name).balances[provider]) for name in vaults]
    numbers = [done.result for done in stage.do(*exits)]
    stage.wait(max(model.pool.params.redeem_cooldown, model.fund.params.redeem_cooldown))
    stage.do(*(ExecuteRequest(name, number) for name, number in zip(vaults, numbers, strict=True)))
    owners = [*(key.number for key in stage.keys.values()), *stage.earners]
    paid = {}
    for owner in owners:
        account = ids.pack(owner)
        amount = model.withdrawable(account, stage.now)
        if amount:
            stage.do(Withdraw(account, amount))
        paid[owner] = amount
    notes.figure("paid out", {name: usd(paid[key.number] * 10**12) for name, key in stage.keys.items()})
    others = sum(paid[owner] for owner in stage.earners)
    notes.figure("paid out to provider, keepers and treasury", usd(others * 10**12))
    kept = max(model.cash_of(ids.pack(owner)) for owner in owners)
    notes.promise("nobody keeps as much as a token unit in an account", kept < 10**12, f"{kept} wei of dollars")
    left = stage.devnet.token.call("balanceOf", stage.devnet.contract("MarginVault").address)
    notes.figure("token units left in the vault", left)
    notes.promise("the vault is empty, to the dust of roundings and virtual shares", left < LEFT_UNITS, left)


LEFT_UNITS = 30
"""Millionths of a dollar: one for each account, and what the virtual shares of two vaults hold."""
