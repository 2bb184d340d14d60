"""Traders: accounts of many owners that open, guard, close, come back after a liquidation, bring and take money.

They look at a mirror and send into the node's pool, one after the other and without waiting; what the contracts refuse
costs them gas and is counted. Everything is drawn from the seed, what they see is not: the keepers' timing is real.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from plimsoll.chain.transactions import Call, Signer
from plimsoll.core import ids
from plimsoll.core.orders import Order
from plimsoll.core.units import BPS, WAD
from plimsoll.index.mirror import Mirror
from plimsoll.risk.scenario.draws import Draws
from plimsoll.sdk.orders import limit_order, market_order, stop_loss_order, take_profit_order
from tests.soak.ground import Ground

AN_OWNER = 20
"""Accounts that one address has."""
DOLLARS = (150, 2_000)
BROKE = 120
"""Dollars with which nobody trades on."""
LEVERAGE = (30, 185)
"""Tenths."""
PLACE_GAS, VAULT_GAS = 260_000, 130_000
DEPOSITS_A_BLOCK = 300
EVERY = 400
"""Blocks between deeds of an account; half of that while all of them enter."""
ENTRY_PERMILLE = 100
MOST_WAITING = 4
ORDER_SECONDS = 1_800
MARKET_MINIMUM = 1_050 * WAD
LOT = WAD // 10_000

Deed = Callable[[int, int], Call | None]


class Crowd:
    """The traders of a soak."""

    def __init__(self, ground: Ground, mirror: Callable[[], Mirror], accounts: int, seed: int) -> None:
        self.ground = ground
        self.deeds = 0
        self.placed = 0
        self._mirror = mirror
        self._draws = Draws(seed, "soak/crowd")
        self._contracts = ground.contracts
        self._markets = sorted(ground.deployment.markets.values())
        self._names = {market_id: name for name, market_id in ground.deployment.markets.items()}
        self._waiting: dict[int, list[Order]] = {}
        self._due = 0
        self._salt = 0
        self.owners = [ground.signer(f"trader {place}") for place in range(-(-accounts // AN_OWNER))]
        self.accounts = [self._account(place) for place in range(accounts)]
        self._owner_of = {account: self.owners[place // AN_OWNER] for place, account in enumerate(self.accounts)}

    def _account(self, place: int) -> int:
        """Every fourth is isolated, in one market or the other."""
        isolated = self._markets[place // 4 % len(self._markets)] if place % 4 == 0 else ids.CROSS
        return ids.pack(self.owners[place // AN_OWNER].address, isolated, place % AN_OWNER)

    def deposit_all(self) -> None:
        """Everybody's first money, in as many blocks as it takes."""
        token, vault = self._contracts.token, self._contracts.vault
        self.ground.devnet.mint_many({owner.address: 10**7 for owner in self.owners})
        for owner in self.owners:
            self.ground.send(owner, [token.prepare("approve", vault, 2**255, gas=100_000)])
        self.ground.mine()
        for start in range(0, len(self.accounts), DEPOSITS_A_BLOCK):
            for account in self.accounts[start : start + DEPOSITS_A_BLOCK]:
                self.ground.send(self._owner_of[account], [self._deposit(account)])
            self.ground.mine()

    # --- a block ---------------------------------------------------------------------------------------------------

    def act(self, permille: int) -> None:
        """What some do now, at a place in the run."""
        self._due += len(self.accounts) * (2 if permille < ENTRY_PERMILLE else 1)
        by_owner: dict[str, tuple[Signer, list[Call]]] = {}
        while self._due >= EVERY:
            self._due -= EVERY
            account = self.accounts[self._draws.below(len(self.accounts))]
            if (call := self._deed(account)) is not None:
                owner = self._owner_of[account]
                by_owner.setdefault(owner.address, (owner, []))[1].append(call)
                self.deeds += 1
        for owner, calls in by_owner.values():
            self.ground.send(owner, calls)

    def forget_nonces(self) -> None:
        """After a reorganisation."""
        for owner in self.owners:
            owner.forget_nonce()

    def _deed(self, account: int) -> Call | None:
        monitor = self._mirror().monitor
        held = [(market_id, one.base) for market_id, one in monitor.positions(account)]
        cash = monitor.balance(account).cash // WAD
        if not held:
            if cash < BROKE:
                return self._deposit(account)
            choices: list[tuple[Deed, int]] = [
                (self._enter, 60), (self._enter_at_limit, 25), (self._bring, 5), (self._take, 10),
            ]  # fmt: skip
            return self._draws.weighted(choices)(account, 0)
        market_id, base = held[self._draws.below(len(held))]
        choices = [
            (self._stop, 25), (self._profit, 15), (self._close, 22), (self._enter, 10), (self._bring, 8),
            (self._take, 8), (self._cancel, 12),
        ]  # fmt: skip
        self._market = market_id
        return self._draws.weighted(choices)(account, base)

    # --- deeds -----------------------------------------------------------------------------------------------------

    def _deposit(self, account: int) -> Call:
        return self._bring(account, 0)

    def _bring(self, account: int, base: int) -> Call:
        dollars = self._draws.between(*DOLLARS)
        return self._contracts.vault.prepare("deposit", account, self._tokens(dollars), gas=VAULT_GAS)

    def _take(self, account: int, base: int) -> Call:
        dollars = self._draws.between(5, 100)
        owner = self._owner_of[account].address
        return self._contracts.vault.prepare("withdraw", account, self._tokens(dollars), owner, gas=400_000)

    def _enter(self, account: int, base: int) -> Call | None:
        """At the market; some want a price that they won't get."""
        market_id, size = self._size(account)
        tolerance = self._draws.weighted(((150, 9), (2, 1)))
        limit = self._away(market_id, tolerance if size > 0 else -tolerance)
        return self._place(market_order(account, market_id, size, acceptable_price=limit, salt=self._next_salt()))

    def _enter_at_limit(self, account: int, base: int) -> Call | None:
        market_id, size = self._size(account)
        better = self._draws.between(2, 60)
        price = self._away(market_id, -better if size > 0 else better)
        return self._wait(limit_order(account, market_id, size, price, expiry=self._expiry(), salt=self._next_salt()))

    def _close(self, account: int, base: int) -> Call | None:
        order = market_order(account, self._market, -base, reduce_only=True, salt=self._next_salt())
        return self._place(order)

    def _stop(self, account: int, base: int) -> Call | None:
        far = self._draws.between(20, 250)
        trigger = self._away(self._market, -far if base > 0 else far)
        return self._wait(
            stop_loss_order(account, self._market, -base, trigger, expiry=self._expiry(), salt=self._next_salt())
        )

    def _profit(self, account: int, base: int) -> Call | None:
        far = self._draws.between(20, 300)
        trigger = self._away(self._market, far if base > 0 else -far)
        limit = trigger * (BPS - 60) // BPS if base > 0 else trigger * (BPS + 60) // BPS
        order = take_profit_order(
            account, self._market, -base, trigger, acceptable_price=limit, expiry=self._expiry(), salt=self._next_salt()
        )
        return self._wait(order)

    def _cancel(self, account: int, base: int) -> Call | None:
        waiting = self._waiting.get(account)
        if not waiting:
            return None
        order = waiting.pop(self._draws.below(len(waiting)))
        return self._contracts.order_book.prepare("cancel", tuple(order), gas=PLACE_GAS)

    # --- parts -----------------------------------------------------------------------------------------------------

    def _size(self, account: int) -> tuple[int, int]:
        """A market and a size: the account's cash times a leverage."""
        market_id = ids.isolated_market_of(account) or self._markets[self._draws.below(len(self._markets))]
        cash = max(0, self._mirror().monitor.balance(account).cash)
        notional = max(MARKET_MINIMUM, cash * self._draws.between(*LEVERAGE) // 10)
        size = max(LOT, notional * WAD // self._price(market_id) // LOT * LOT)
        return market_id, self._draws.weighted(((size, 3), (-size, 2)))

    def _wait(self, order: Order) -> Call | None:
        waiting = self._waiting.setdefault(order.account, [])
        if len(waiting) == MOST_WAITING:
            waiting.pop(0)
        waiting.append(order)
        return self._place(order)

    def _place(self, order: Order) -> Call:
        self.placed += 1
        return self._contracts.order_book.prepare("place", tuple(order), gas=PLACE_GAS)

    def _price(self, market_id: int) -> int:
        return self._prices[self._names[market_id]]

    @property
    def _prices(self) -> Mapping[str, int]:
        return self.ground.devnet.prices

    def _away(self, market_id: int, bps: int) -> int:
        return self._price(market_id) * (BPS + bps) // BPS

    def _expiry(self) -> int:
        return self.ground.block.timestamp + self._draws.between(60, ORDER_SECONDS)

    def _next_salt(self) -> int:
        self._salt += 1
        return self._salt

    def _tokens(self, dollars: int) -> int:
        return dollars * 10**self._contracts.token_decimals
