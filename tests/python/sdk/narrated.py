"""Liquidations of the reference model told as the contracts tell theirs: events with what results."""

from __future__ import annotations

import copy
from typing import Any

from plimsoll.core import ids
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.state import State
from plimsoll.sdk.events import (
    Absorbed,
    Accrued,
    DebtCovered,
    Filled,
    Happened,
    Liquidated,
    PoolCharged,
    PositionAbsorbed,
    Posted,
    SideCharged,
    TakenOver,
)
from plimsoll.sdk.receipts.told import Told
from plimsoll.sdk.receipts.words import BALANCE, MARKET, POSITION, Key
from plimsoll.sdk.slots import MARKET_WORDS, balance_word
from tests.python.risk.setting import (
    ACCOUNT,
    ETH,
    KEEPER,
    KEEPER_ACCOUNT,
    NOW,
    OTHER,
    OTHER_ACCOUNT,
    UNIT,
    buy,
    deployed,
    set_price,
)

TX = "0x" + "ab" * 32
KEEPER_ADDRESS = f"0x{KEEPER:040x}"


class Narrator:
    """Does things in a model and keeps the events that the contracts would emit, all in one transaction.

    `told` has the state before them.
    """

    def __init__(self, protocol: Protocol, now: int) -> None:
        self.protocol, self.now = protocol, now
        self.state: State = protocol.state
        self.told = Told(copy.deepcopy(protocol.state), now)
        self.records: list[Happened] = []

    def say(self, kind: type[Happened], **values: Any) -> None:
        self.records.append(kind(block_number=7, log_index=len(self.records), tx_hash=TX, **values))

    def post(self, *accounts: int) -> None:
        for account in accounts:
            self.say(Posted, account=account, balance=balance_word(self.state.accounts.get(account)))

    def accrue(self) -> None:
        market = self.state.markets[ETH]
        if market.last != self.now:
            self.protocol.accrue(ETH, now=self.now)
            self.say(
                Accrued,
                market_id=ETH,
                rate=market.rate,
                long_g=market.g_long,
                short_g=market.g_short,
                pool_quote=market.pool_quote,
            )

    def fill(self, account: int, counter: int, base: int, quote: int) -> None:
        held = self.state.markets[ETH].positions[account]
        self.say(
            Filled,
            account=account,
            market_id=ETH,
            counter=counter,
            base=base,
            quote=quote,
            new_base=held.base,
            new_quote=held.quote,
        )

    def close_out(self, account: int = ACCOUNT) -> None:
        self.accrue()
        market, newest = self.state.markets[ETH], self.state.markets[ETH].newest
        assert newest is not None
        equity, required = self.state.health(account, self.now)
        held = self.protocol.position(account, ETH, self.now)[0]
        with self.protocol.simulated():
            done = self.protocol.liquidate(account, ETH, now=self.now, sender=KEEPER)
        base = -done.size if held > 0 else done.size
        quote = market.fill_quote(base, newest.price, newest.confidence).amount
        self.protocol.liquidate(account, ETH, now=self.now, sender=KEEPER)
        self.post(*[account, KEEPER_ACCOUNT, self.state.fund_account][: 3 if done.cost != done.reward else 2])
        self.fill(account, market.pool_account, base, quote)
        self.say(
            Liquidated,
            account=account,
            market_id=ETH,
            keeper=KEEPER_ADDRESS,
            base=base,
            quote=quote,
            health_price=newest.price,
            published_at=newest.published_at,
            equity=equity,
            maintenance=required,
            cost=done.cost,
            reward=done.reward,
            top_up=done.top_up,
        )

    def take_over(self, size: int, account: int = ACCOUNT, taker: int = OTHER_ACCOUNT) -> None:
        """Of a long position."""
        self.accrue()
        newest = self.state.markets[ETH].newest
        assert newest is not None
        equity, required = self.state.health(account, self.now)
        done = self.protocol.take_over(account, ETH, size, taker, now=self.now, sender=OTHER)
        self.fill(taker, account, size, -done.amount)
        self.fill(account, taker, -size, done.amount)
        self.post(taker, account)
        self.say(
            TakenOver,
            account=account,
            market_id=ETH,
            to_account=taker,
            base=size,
            quote=done.amount,
            health_price=newest.price,
            published_at=newest.published_at,
            equity=equity,
            maintenance=required,
            discount=done.discount,
            fee=done.fee,
        )

    def absorb(self, account: int = ACCOUNT) -> None:
        """A long position that leaves a debt to the fund, to the pool, and to the shorts."""
        self.accrue()
        market, newest = self.state.markets[ETH], self.state.markets[ETH].newest
        assert newest is not None
        equity, _ = self.state.health(account, self.now)
        base = -self.protocol.position(account, ETH, self.now)[0]
        quote = market.fill_quote(base, newest.price, newest.confidence).amount
        pool_quote = market.pool_quote - quote
        done = self.protocol.absorb(account, now=self.now, sender=KEEPER)
        by_pool = done.debt - done.from_fund
        entry = self.state.changed_account(account)
        entry.cash -= done.debt
        self.post(account)
        entry.cash += done.debt
        self.fill(account, market.pool_account, base, quote)
        self.say(
            PositionAbsorbed,
            account=account,
            market_id=ETH,
            base=base,
            quote=quote,
            published_at=newest.published_at,
        )
        self.say(Absorbed, account=account, keeper=KEEPER_ADDRESS, equity=equity, reward=done.reward)
        if by_pool:
            self.say(PoolCharged, market_id=ETH, amount=by_pool, pool_quote=pool_quote - by_pool)
        if done.by_sides:
            values = {"amount": done.by_sides, "g": market.g_short, "pool_quote": market.pool_quote}
            self.say(SideCharged, market_id=ETH, is_long=False, **values)
        self.post(account, self.state.fund_account)
        self.say(DebtCovered, account=account, debt=done.debt, by_fund=done.from_fund, by_pool=by_pool)

    @property
    def keys(self) -> list[Key]:
        """All words of everyone who takes part."""
        accounts = (ACCOUNT, OTHER_ACCOUNT, KEEPER_ACCOUNT, self.state.fund_account, ids.pack(self.state.pool, ETH))
        found = [Key(BALANCE, (account,)) for account in accounts]
        found += [Key(POSITION, (account, ETH), place) for account in accounts[:2] for place in range(2)]
        return [*found, *(Key(MARKET, (ETH,), place) for place in range(MARKET_WORDS))]


def crashed(price: int, *, cash: int, size: int, others: int = 0, now: int = NOW + 10) -> Narrator:
    """A long position of `size` that was opened with that much cash, WAD dollars, and another price later.

    `others`: what somebody else is short and the keeper long.
    """
    protocol = deployed()
    protocol.state.credit(ACCOUNT, cash - protocol.cash_of(ACCOUNT))
    if others:
        protocol.deposit(KEEPER_ACCOUNT, 100_000 * UNIT)
        buy(protocol, -others, account=OTHER_ACCOUNT)
        buy(protocol, others, account=KEEPER_ACCOUNT)
    buy(protocol, size)
    set_price(protocol, price, now)
    return Narrator(protocol, now)
