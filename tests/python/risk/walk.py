"""A seeded random walk over every entry point of the model: mixed calls, prices that move, time that passes."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind, Scope, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.risk.config import Gas, LiquidationParams, MarketParams, RequestParams
from plimsoll.risk.matching import MakerFill
from plimsoll.risk.oracle import DOUBTFUL, DOWN, OPEN
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.refusals import Refusal

TRADERS = tuple(range(0x1001, 0x1015))
KEEPERS = (0x2001, 0x2002)
PROVIDER = 0x3001
BOT = 0x4001
START = 1_700_000_000
ETH, BTC, THIN = 1, 2, 3
FIRST_PRICES = {ETH: 2_000 * WAD, BTC: 60_000 * WAD, THIN: 3 * WAD}


def deployed(token_decimals: int = 6, liquidation: LiquidationParams | None = None) -> tuple[Protocol, int]:
    """A protocol with three markets, $20m in the pool and $1m in the fund; and the time."""
    now = START
    protocol = Protocol(
        token_decimals=token_decimals,
        liquidation_params=liquidation or LiquidationParams(gas_market=ETH),
        pool_params=RequestParams(60, 3_600, 600, {ETH: 5_000, BTC: 4_500, THIN: 500}),
        fund_params=RequestParams(60, 3_600, 600),
    )
    thin = MarketParams(im_base_bps=1_500, taker_bps=10, max_skew_bps=500, isolated_only=True)
    protocol.list_market(500_000 * WAD, MarketParams(), now=now)
    protocol.list_market(25_000 * WAD, MarketParams(max_skew_bps=250), now=now)
    protocol.list_market(10_000_000 * WAD, thin, now=now)
    unit = 10**token_decimals
    provider = ids.pack(PROVIDER)
    protocol.deposit(provider, 21_000_000 * unit)
    requests = [
        (vault, protocol.request_deposit(vault, assets * unit, PROVIDER, PROVIDER, now=now, sender=PROVIDER))
        for vault, assets in ((protocol.pool, 20_000_000), (protocol.fund, 1_000_000))
    ]
    now += 60
    for market, price in FIRST_PRICES.items():
        protocol.record_price(market, price, price // 2_000, now)
    for vault, request in requests:
        protocol.execute_request(vault, request, now=now)
    return protocol, now


class Walk:
    """Random calls. What is refused is counted by its name; `names` counts what was tried."""

    def __init__(self, seed: int, volatility: float = 0.005, deleveraging: bool = False) -> None:
        self.random = random.Random(seed)
        self.volatility = volatility
        self.protocol, self.now = deployed()
        self.unit = self.protocol.state.unit
        self.token = 10**18 // self.unit
        self.orders: list[Order] = []
        self.signed: list[Order] = []
        self.requests = {self.protocol.pool: 2, self.protocol.fund: 2}
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.salt = 0
        calls = {
            self.trade: 25, self.place: 12, self.execute: 14, self.cancel: 1, self.price: 12, self.deposit: 5,
            self.withdraw: 4, self.transfer: 1, self.liquidate: 10, self.take_over: 5, self.absorb: 5, self.sweep: 1,
            self.request: 1, self.execute_request: 2, self.govern: 1, self.match: 12, self.match_batch: 4,
            self.delegate: 1, self.cancel_all: 1,
        }  # fmt: skip
        if deleveraging:
            calls |= {self.inject: 1, self.deleverage: 3, self.shift_capital: 4, self.ruin: 4}
        self.calls, self.weights = list(calls), list(calls.values())

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def step(self) -> None:
        if self.random.random() < 0.3:
            self.now += self.random.choice((1, 1, 1, 2, 2, 2, 3, 5, 12, 60, 3_600))
        call = self.random.choices(self.calls, self.weights)[0]
        try:
            call()
            self.done[call.__name__] += 1
        except Refusal as refusal:
            self.refused[refusal.name] += 1

    def account(self) -> int:
        """Mostly cross accounts, some isolated."""
        return ids.pack(self.random.choice(TRADERS), self.random.choice((0, 0, 0, ETH, THIN)), 0)

    def holder(self) -> tuple[int, int]:
        """An account with a position, and the market, where a few tries find one; else any."""
        for _ in range(8):
            account = self.account()
            for market in self.protocol.state.markets_of(account):
                if self.random.random() < 0.7:
                    return account, market.id
        return self.account(), ETH

    def unhealthy(self) -> tuple[int, int]:
        """An account below maintenance at a fresh price, where one tour of the traders finds one; else any."""
        if self.random.random() < 0.8:
            if not self.protocol.state.markets[ETH].is_fresh(self.now):
                self.price()
            for owner in TRADERS:
                for isolated in (0, ETH, THIN):
                    account = ids.pack(owner, isolated)
                    if self.protocol.markets_bitmap(account) and self.protocol.is_liquidatable(account, self.now):
                        markets = [market.id for market in self.protocol.state.markets_of(account)]
                        return account, self.random.choice(markets)
        return self.holder()

    def market(self, account: int) -> int:
        return ids.isolated_market_of(account) or self.random.choice((ETH, BTC))

    def size(self, market: int) -> int:
        dollars = int(10 ** self.random.uniform(2.5, 6)) * WAD
        size = dollars * WAD // FIRST_PRICES[market] + self.random.randrange(10**9)
        return size if self.random.random() < 0.5 else -size

    # -------------------------------------------------------------------------------------------------------- calls

    def trade(self) -> None:
        account = self.account()
        market = self.market(account)
        size = self.size(market)
        if not self.protocol.state.markets[market].is_fresh(self.now):
            self.price()
        if self.random.random() < 0.6:
            free = self.protocol.cash_of(account) * self.random.randint(1, 20)
            size = (1 if size > 0 else -1) * max(0, free) * WAD // FIRST_PRICES[market] or size
        if self.random.random() < 0.3:
            account, market = self.holder()
            size = -self.protocol.position(account, market, self.now)[0] or size
        record = self.protocol.state.markets[market].newest
        self.protocol.trade(
            account, market, size, now=self.now, sender=self.random.choice(KEEPERS), record=record,
            execution_fee=WAD // 10, reduce_only=self.random.random() < 0.1,
        )  # fmt: skip

    def place(self) -> None:
        self.salt += 1
        account = self.account()
        market = self.market(account)
        if not self.protocol.state.markets[market].is_fresh(self.now):
            self.price()
        kind = self.random.choice((*[OrderKind.MARKET] * 4, *OrderKind))
        size = self.size(market)
        reduce_only = self.random.random() < 0.3
        trigger = self.near(market) if kind in (OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT) else 0
        salt = self.protocol.counter_of(account) << 128 | self.salt
        limit = 2**200 if size > 0 else 0
        order = Order(account, market, kind, size, limit, trigger, reduce_only, expiry=self.now + 100, salt=salt)
        if self.random.random() < 0.5:
            self.protocol.place(order, now=self.now, sender=self.who(account))
        else:
            self.protocol.place_for(order, self.who(account), now=self.now, sender=self.random.choice(KEEPERS))
        self.orders.append(order)

    def near(self, market: int) -> int:
        """A price around the newest."""
        newest = self.protocol.state.markets[market].newest
        assert newest is not None
        return newest.price * self.random.randint(9_970, 10_030) // 10_000

    def who(self, account: int) -> int:
        """The owner, or his bot."""
        return account >> 96 if self.random.random() < 0.7 else BOT

    def execute(self) -> None:
        """Mostly the head of a queue, once a price can be there; else any order."""
        if not self.orders:
            return
        order = self.random.choice(self.orders)
        if self.random.random() < 0.8:
            for each in self.orders:
                record = self.protocol.state.orders[each]
                if record.sequence == self.protocol.state.markets[each.market_id].queue_head:
                    order = each
                    if self.now < record.not_before:
                        self.now = record.not_before + (1 if self.random.random() < 0.9 else 10)
                        self.price()
                    break
        outcome = self.protocol.execute(order, now=self.now, sender=self.random.choice(KEEPERS))
        self.done[outcome.status] += 1
        if outcome.reason is not None:
            self.refused[outcome.reason.name] += 1
        if outcome.status != "waiting":
            self.orders.remove(order)

    def limit(self, market: int, size: int, account: int = 0) -> Order:
        """A signed order that lives in no book."""
        self.salt += 1
        account = account or self.account()
        in_force = self.random.choice((*[TimeInForce.GOOD_TILL_TIME] * 5, *TimeInForce))
        salt = self.protocol.counter_of(account) << 128 | self.salt
        reduces = self.random.random() < 0.2
        return Order(account, market, OrderKind.LIMIT, size, self.near(market), 0, reduces, in_force, salt=salt)

    def match(self) -> None:
        """A holder who leaves, or any two; now and then again with an order that was matched in part."""
        account, market = self.holder() if self.random.random() < 0.5 else (0, self.random.choice((ETH, BTC)))
        if not self.protocol.state.markets[market].is_fresh(self.now):
            self.price()
        held = self.protocol.position(account, market, self.now)[0] if account else 0
        taker = self.limit(market, -held or self.size(market), account)
        maker = self.limit(market, -taker.base)
        if self.signed and self.random.random() < 0.4:
            taker = self.random.choice(self.signed[-30:])
            maker = self.limit(taker.market_id, -taker.base)
        taker = taker._replace(acceptable_price=2**200 if taker.base > 0 else 0)
        base = abs(taker.base) // self.random.choice((1, 1, 2, 3))
        self.protocol.match_orders(
            maker, self.who(maker.account), taker, self.who(taker.account), base,
            now=self.now, sender=self.random.choice(KEEPERS),
        )  # fmt: skip
        self.signed.append(taker)

    def match_batch(self) -> None:
        market = self.random.choice((ETH, BTC))
        taker = self.limit(market, self.size(market))
        taker = taker._replace(acceptable_price=2**200 if taker.base > 0 else 0)
        makers = [self.limit(market, -taker.base // 2) for _ in range(4)]
        fills = [MakerFill(maker, self.who(maker.account), abs(maker.base)) for maker in makers]
        self.protocol.match_batch(
            taker, self.who(taker.account), fills, now=self.now, sender=self.random.choice(KEEPERS)
        )

    def delegate(self) -> None:
        account = self.account()
        scope = Scope(7, self.now + self.random.randint(-1, 10**6), 10**6, True, self.random.random() < 0.5)
        self.protocol.set_delegate(account, BOT, scope, sender=account >> 96)

    def cancel_all(self) -> None:
        account = self.account()
        if self.random.random() < 0.5:
            self.protocol.cancel_all(account, sender=account >> 96)
            return
        counter = self.protocol.counter_of(account) + 1
        self.protocol.cancel_all_for(account, counter, WAD, account >> 96, now=self.now, sender=KEEPERS[0])

    def cancel(self) -> None:
        if self.orders:
            order = self.random.choice(self.orders)
            self.protocol.cancel(order, now=self.now, sender=order.account >> 96)
            self.orders.remove(order)

    def price(self) -> None:
        """Mostly all markets at once, as publishers do."""
        for market, first in FIRST_PRICES.items():
            newest = self.protocol.state.markets[market].newest
            price = newest.price if newest else first
            volatility = self.volatility * (20 if self.random.random() < 0.01 else 1)
            price = int(price * (1 + self.random.gauss(0, volatility))) + self.random.randrange(10**6)
            price = max(first // 5, min(5 * first, price))
            state = self.random.choices((OPEN, DOUBTFUL, DOWN), (95, 4, 1))[0]
            self.protocol.record_price(market, price, price * self.random.randrange(30) // 10_000, self.now, state)

    def deposit(self) -> None:
        self.protocol.deposit(self.account(), int(10 ** self.random.uniform(2, 5)) * self.token)

    def withdraw(self) -> None:
        account = self.account()
        amount = self.protocol.withdrawable(account, self.now) if self.random.random() < 0.9 else 10**9 * self.token
        if amount and self.random.random() < 0.7:
            amount = self.random.randint(1, amount)
        self.protocol.withdraw(account, amount, account >> 96, now=self.now, sender=account >> 96)

    def transfer(self) -> None:
        account = self.account()
        to = ids.pack(account >> 96, self.random.choice((0, ETH, THIN)), 0)
        self.protocol.transfer(
            account, to, self.random.randint(1, 1_000 * self.token), now=self.now, sender=account >> 96
        )

    def liquidate(self) -> None:
        account, market = self.unhealthy()
        self.protocol.liquidate(account, market, now=self.now, sender=self.random.choice(KEEPERS))

    def take_over(self) -> None:
        account, market = self.unhealthy()
        base = self.protocol.position(account, market, self.now)[0]
        taker = ids.pack(self.random.choice(TRADERS))
        if self.random.random() < 0.5:
            base //= 2
        self.protocol.take_over(account, market, base, taker, now=self.now, sender=taker >> 96)

    def absorb(self) -> None:
        account, _ = self.unhealthy()
        done = self.protocol.absorb(account, now=self.now, sender=self.random.choice(KEEPERS), gas=Gas(50 * 10**9))
        self.done["against a side"] += len(done.against_sides)

    def sweep(self) -> None:
        self.protocol.sweep(self.random.choice(tuple(FIRST_PRICES)))

    def request(self) -> None:
        vault = self.random.choice((self.protocol.pool, self.protocol.fund))
        if self.random.random() < 0.5:
            owner = self.random.choice((*TRADERS, PROVIDER))
            self.protocol.request_deposit(vault, 500 * self.token, owner, owner, now=self.now, sender=owner)
        else:
            owner = self.random.choice(tuple(vault.balances))
            shares = vault.balances[owner] // self.random.randint(1, 50)
            self.protocol.request_redeem(vault, shares, owner, owner, now=self.now, sender=owner)
        self.requests[vault] += 1

    def execute_request(self) -> None:
        vault = self.random.choice((self.protocol.pool, self.protocol.fund))
        self.protocol.execute_request(vault, self.random.randint(1, self.requests[vault]), now=self.now)

    def govern(self) -> None:
        market = self.random.choice((ETH, BTC))
        params = MarketParams(
            im_base_bps=self.random.randint(400, 500), mm_fraction_bps=self.random.randint(5_000, 6_500),
            max_funding_rate=self.random.randint(4, 8) * 10**16, max_skew_bps=self.random.randint(200, 300),
        )  # fmt: skip
        self.protocol.set_params(market, params, now=self.now)
        self.protocol.halt_opening(market, self.now + self.random.randint(-5, 5))

    def deleverage(self) -> None:
        self.protocol.deleverage(self.random.choice(tuple(FIRST_PRICES)), now=self.now)

    def shift_capital(self) -> None:
        """No call that anyone could make: the pool has less in a market than its exposure, or is filled up again."""
        protocol, market = self.protocol, self.protocol.state.markets[self.random.choice((ETH, BTC))]
        if market.newest is None:
            return
        exposure = abs(market.skew) * market.newest.price // WAD
        wanted = exposure * self.random.randint(-20, 60) // 100 if self.random.random() < 0.4 else 9_000_000 * WAD
        amount = protocol.pool_capital(market.id, self.now) - wanted
        protocol.state.credit(market.pool_account, -amount)
        protocol.state.credit(protocol.state.fund_account, amount)

    def ruin(self) -> None:
        """No call either: who holds something loses all that he has and more, where the caps are used up."""
        account, market_id = self.holder()
        market = self.protocol.state.markets[market_id]
        if not self.protocol.markets_bitmap(account) or market.newest is None:
            return
        self.price()
        market.count_moved(market.newest.published_at, market.scale // 1_000)
        amount = self.protocol.equity(account, self.now) * self.random.randint(100, 110) // 100 + WAD
        self.protocol.state.credit(account, -amount)
        self.protocol.state.credit(self.protocol.state.fund_account, amount)
        with suppress(Refusal):
            done = self.protocol.absorb(account, now=self.now, sender=KEEPERS[0])
            self.done["against a side"] += len(done.against_sides)

    def inject(self) -> None:
        market = self.random.choice(tuple(FIRST_PRICES))
        newest = self.protocol.state.markets[market].newest
        assert newest is not None
        fractions = (9 * WAD // 10, WAD // 3, 1, self.random.randrange(WAD))
        fraction = self.random.choice(fractions) if self.random.random() < 0.95 else WAD
        self.protocol.deleverage_event(market, self.random.choice((1, -1)), fraction, newest.price, now=self.now)
