"""The contracts and the reference model side by side: each call is made on both, and both must answer the same.

The same means: the same custom error with the same values, or the same stored words in every slot that the call could
have touched. After every call the three sums hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from typing import Any

from eth_utils import keccak

from plimsoll.core.orders import Order
from plimsoll.risk.commitments import FILLED, QUEUED, WAITING
from plimsoll.risk.config import MarketParams, OrderParams, RequestParams
from plimsoll.risk.delegates import Grant
from plimsoll.risk.execution import Outcome
from plimsoll.risk.market import CAP_SECONDS
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.signing import Delegation, Domain, order_hash, struct_hash
from tests.stateful.people import BOTS, TRADERS, actor
from tests.support import core as support
from tests.support.core import BTC, ETH, Core, account_id, deploy_core
from tests.support.evm import Contract, Evm, Receipt, Revert

WAD = 10**18
MASK_128 = (1 << 128) - 1
MARKETS = (ETH, BTC)
START = 1_700_000_000

VAULT_BALANCES = 0
MARKET_STATES, MARKET_POSITIONS = 2, 4
LIQUIDATOR_COUNTERS = 0
BOOK_COMMITMENTS = 3


def model_params(params: dict[str, Any]) -> MarketParams:
    """The contracts' parameters as the model takes them: the same names in snake case."""
    return MarketParams(**{re.sub("([A-Z])", r"_\1", name).lower(): value for name, value in params.items()})


@lru_cache(maxsize=4096)
def slot_of(*path: int | bytes) -> int:
    """Storage slot of nested mappings: the variable's slot, then the keys from the outside in."""
    slot = int(path[0])
    for key in path[1:]:
        word = key if isinstance(key, bytes) else key.to_bytes(32, "big")
        slot = int.from_bytes(keccak(word + slot.to_bytes(32, "big")), "big")
    return slot


def plain(value: Any) -> Any:
    """Values of errors in one form: addresses as ints, names as the bytes32 that they are on chain."""
    if not isinstance(value, str):
        return value
    return int(value, 16) if value.startswith("0x") else value.encode().ljust(32, b"\0")


def named(refusal: Refusal) -> tuple[str, tuple[Any, ...]]:
    return refusal.name, tuple(map(plain, refusal.values))


def grant_hash(grant: Grant) -> bytes:
    """The EIP-712 struct hash of what an owner signs for a delegate."""
    return struct_hash(Delegation(grant.account, f"0x{grant.delegate:040x}", *grant[2:]))


class Mismatch(AssertionError):
    """The contracts and the model disagree."""


class World:
    """One core, one model, the same accounts and parameters in both."""

    def __init__(self, decimals: int = 6) -> None:
        self.evm = Evm(timestamp=START)
        self.core: Core = deploy_core(self.evm, decimals=decimals, market_contract="PerpMarketHarness", pool_dollars=0)
        core = self.core
        config = support.ORDER_CONFIG
        order_params = OrderParams(
            config["settlementDelay"],
            config["settlementWindow"],
            config["executionFee"],
            config["feeReserveBps"],
            config["relayFee"],
        )
        self.domain = Domain(self.evm.chain_id, core.order_book.address)
        self.model = Protocol(
            token_decimals=decimals,
            pool=int(core.pool.address, 16),
            fund=int(core.fund.address, 16),
            treasury=int(support.TREASURY, 16),
            vault=int(core.vault.address, 16),
            pool_params=self._request_params(core.pool),
            fund_params=self._request_params(core.fund),
            order_hash=order_hash,
            grant_hash=grant_hash,
        )
        self.params: dict[int, dict[str, Any]] = {}
        self.prices: dict[int, int] = {}
        for market in MARKETS:
            self.params[market] = dict(support.PARAMS[market])
            params = model_params(self.params[market])
            self.model.list_market(support.SCALES[market], params, now=START, orders=order_params)
            self.prices[market] = support.PRICES[market]
            self.model.record_price(market, self.prices[market], 0, START)
        self._seed_capital()
        self.accounts: list[int] = []
        for name in TRADERS:
            for isolated in (0, *MARKETS):
                self.accounts.append(account_id(actor(name), isolated))
        for name in TRADERS:
            core.token.mint(actor(name), 10**15 * 10**decimals // 10**6)
            core.token.approve(core.vault, 2**256 - 1, sender=actor(name))
        self.everyone = [
            *self.accounts,
            core.fund_main,
            account_id(support.TREASURY),
            *(account_id(core.pool, market) for market in MARKETS),
            account_id(core.pool, 0, 1),
            account_id(core.fund, 0, 1),
        ]
        self.open_orders: dict[Order, Hashable] = {}
        self.ended: list[Order] = []
        self.signed: list[Order] = []
        self.requests: dict[str, list[int]] = {"pool": [], "fund": []}
        self.salt = 0
        self.calls = 0
        self.outcomes: dict[str, int] = {}
        self.compare(self.everyone)

    def _request_params(self, vault: Contract) -> RequestParams:
        deposit_delay, redeem_cooldown, execution_window = vault.delays()
        weights = dict(zip(MARKETS, support.WEIGHTS[2], strict=True))
        return RequestParams(deposit_delay, redeem_cooldown, execution_window, weights)

    def _seed_capital(self) -> None:
        """Capital of pool and fund from nowhere, the same in both."""
        self.core.give_pool(support.POOL_DOLLARS)
        self.core.give_fund(20_000)
        state = self.model.state
        for market in MARKETS:
            state.credit(account_id(self.core.pool, market), support.POOL_DOLLARS * WAD // 2)
        state.credit(self.core.fund_main, 20_000 * WAD)
        state.totals.tokens = self.core.token.balanceOf(self.core.vault)

    # --- identities ---

    @property
    def now(self) -> int:
        return self.evm.timestamp

    # --- calls ---

    def call(
        self,
        name: str,
        predict: Callable[[], Any],
        sender: str,
        method: Any,
        *args: Any,
        touches: Iterable[int] = (),
        orders: Iterable[bytes] = (),
        check: Callable[[Any, Receipt], None] | None = None,
    ) -> Any:
        """Make a call on both and compare. Returns what the model returned, or None where both refused.

        `touches` are accounts, `orders` hashes whose words are compared; `check` compares result and receipt.
        """
        self.calls += 1
        refusal: Refusal | None = None
        events = self._closings()
        result: Any = None
        try:
            result = predict()
        except Refusal as error:
            refusal = error
        try:
            receipt = method.transact(*args, sender=sender)
        except Revert as revert:
            got = (revert.name, tuple(map(plain, revert.values)))
            if refusal is None:
                raise Mismatch(f"{name}{args}: the contracts refuse with {revert}, the model gives {result}") from None
            want = named(refusal)
            if got != want:
                raise Mismatch(f"{name}{args}: the contracts refuse with {got}, the model with {want}") from None
            self.count(f"{name}: {refusal.name}")
            return None
        if refusal is not None:
            raise Mismatch(f"{name}{args}: the contracts accept, the model refuses with {refusal}")
        status = result.status if isinstance(result, Outcome) else "done"
        if isinstance(result, Outcome) and result.reason is not None:
            status = f"failed {result.reason.name}"
        self.count(f"{name}: {status}")
        if name != "inject":
            self._compare_closings(receipt, self._closings() - events, name)
        if check is not None:
            check(result, receipt)
        self.compare(touches)
        self.compare_orders(orders)
        return result

    def _closings(self) -> int:
        """How often a part of a side was closed in the model."""
        return sum(market.events for market in self.model.state.markets.values())

    def _compare_closings(self, receipt: Receipt, want: int, name: str) -> None:
        """As many events on chain; the sums are those of the stored words, and of the handlers that know the result."""
        by_pool, by_account = receipt.events("Deleveraged"), receipt.events("ClosedAgainstSide")
        self.hold(want, len(by_pool) + len(by_account), "sides closed in part")
        for event in by_pool:
            self.count(f"deleveraged: {'long' if event['isLong'] else 'short'}")
            self.count(f"deleveraged by {name}")
        for event in by_account:
            self.count(f"against a side: {'long' if event['base'] > 0 else 'short'}")
        for event in receipt.events("SideCharged"):
            self.count(f"charged by {name}: {'long' if event['isLong'] else 'short'}")

    def hold(self, want: Any, got: Any, what: str) -> None:
        """Raises Mismatch unless both are equal."""
        if want != got:
            raise Mismatch(f"{what}: {got} on chain, {want} in the model")

    def count(self, outcome: str) -> None:
        """What happened, for whoever asks whether the walk came everywhere."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    # --- comparison ---

    def compare(self, accounts: Iterable[int]) -> None:
        """Stored words of these accounts and of every market, tokens, and the three sums."""
        state = self.model.state
        storage = self.evm._revm.storage
        vault, market_address = self.core.vault.address, self.core.market.address
        for account in accounts:
            found = state.accounts.get(account)
            want = 0
            if found is not None:
                want = found.cash & MASK_128 | found.reserved << 128 | found.markets << 224
            got = storage(vault, slot_of(VAULT_BALANCES, account))
            if got != want:
                chain, model = _account_text(got), _account_text(want)
                raise Mismatch(f"account {account:#x}: {chain} on chain, {model} in the model")
            for market in MARKETS:
                self._compare_position(storage, market_address, account, market)
        for market in MARKETS:
            self._compare_market(storage, market_address, market)
        self.model.check_sums_quickly(self.now)

    def _compare_position(self, storage: Any, address: str, account: int, market: int) -> None:
        """Without a base the second slot means nothing, and may hold what it had."""
        held = self.model.state.markets[market].positions.get(account)
        slot = slot_of(MARKET_POSITIONS, account, market)
        got, want = [storage(address, slot)], [0]
        if held is not None and held.base:
            got.append(storage(address, slot + 1))
            want = [
                held.base & MASK_128 | (held.quote & MASK_128) << 128,
                held.g & MASK_128 | held.k << 128 | held.epoch << 224,
            ]
        if got != want:
            raise Mismatch(
                f"position of {account:#x} in {market}: {[*map(hex, got)]} on chain, {[*map(hex, want)]} in the model"
            )

    def _compare_market(self, storage: Any, address: str, market: int) -> None:
        m = self.model.state.markets[market]
        slot = slot_of(MARKET_STATES, market)
        params = self.params[market]
        want = (
            m.g_long & MASK_128 | m.k_long << 128 | m.epoch_long << 224,
            m.g_short & MASK_128 | m.k_short << 128 | m.epoch_short << 224,
            m.long | m.short << 128,
            m.pool_quote & MASK_128 | (m.rate & (2**64 - 1)) << 128 | m.last << 192,
            m.unswept_insurance
            | m.unswept_treasury << 112
            | params["insuranceShareBps"] << 224
            | params["treasuryShareBps"] << 240,
        )
        got = tuple(storage(address, slot + number) for number in range(5))
        if got != want:
            names = ("long side", "short side", "open interest", "pool quote, rate, time", "fees")
            wrong = [
                f"{name}: {hex(g)} on chain, {hex(w)} in the model"
                for name, g, w in zip(names, got, want, strict=True)
                if g != w
            ]
            raise Mismatch(f"market {market}: " + "; ".join(wrong))

    def compare_orders(self, keys: Iterable[Hashable]) -> None:
        """The stored word of each order."""
        storage, book = self.evm._revm.storage, self.core.order_book.address
        for key in keys:
            assert isinstance(key, bytes)
            found = self.model.state.orders.get(key)
            got = storage(book, slot_of(BOOK_COMMITMENTS, key))
            if found is None:
                self.hold(0, got, f"order {key.hex()}")
                continue
            status, not_before, sequence, reserved, fee, matched = found
            if status in (QUEUED, WAITING) and reserved:
                matched = reserved - fee
            elif status == FILLED and not matched:
                got &= (1 << 152) - 1  # the contracts leave the fee reserve where it was
            want = status | not_before << 8 | sequence << 48 | fee << 88 | matched << 152
            self.hold(hex(want), hex(got), f"order {key.hex()}")

    def compare_all(self) -> None:
        """Everything that is stored, every view of every account, the tokens, and the sums the slow way."""
        self.compare(self.everyone)
        self.compare_orders(self.model.state.orders)
        self._compare_delegates()
        core, model, now = self.core, self.model, self.now
        tokens = core.token.balanceOf(core.vault)
        assert tokens == model.state.totals.tokens, f"{tokens} tokens, {model.state.totals.tokens} in the model"
        for account in self.accounts:
            assert core.market.equity(account) == model.equity(account, now)
            assert tuple(core.market.requirements(account)) == model.requirements(account, now)
            assert core.liquidator.health(account) == model.health(account, now)
            assert core.liquidator.isLiquidatable(account) == model.is_liquidatable(account, now)
            self._compare_withdrawable(account)
        for market in MARKETS:
            pool = account_id(core.pool, market)
            assert tuple(core.market.position(pool, market)) == model.position(pool, market, now)
            for account in self.accounts:
                assert tuple(core.market.position(account, market)) == model.position(account, market, now)
            assert core.market.fundingRate(market) == model.funding_rate(market, now)
            assert core.market.markPrice(market) == model.mark_price(market)
            assert core.market.skew(market) == model.skew(market)
            assert tuple(core.market.openInterest(market)) == model.open_interest(market)
            _, next_, head = core.order_book.queue(market)
            held = model.state.markets[market]
            assert (next_, head) == (held.queue_next, held.queue_head)
            self._compare_counters(market)
        for name in ("pool", "fund"):
            vault, twin = getattr(core, name), getattr(model, name)
            assert vault.totalSupply() == twin.supply
            assert vault.totalAssets() == twin.total_assets(now)
            for trader in TRADERS:
                assert vault.balanceOf(actor(trader)) == twin.balances.get(int(actor(trader), 16), 0)
        model.check_sums(now)

    def _compare_delegates(self) -> None:
        book, model = self.core.order_book, self.model
        for account in self.accounts:
            assert book.counterOf(account) == model.counter_of(account)
            for bot in BOTS:
                scope, used = book.delegation(account, actor(bot))
                want = model.delegation(account, int(actor(bot), 16), self.now)
                assert (tuple(scope), used) == (tuple(want[0]), want[1])

    def _compare_counters(self, market: int) -> None:
        held = self.model.state.markets[market]
        window, moved, hour, absorbed = self.core.liquidator.counters(market)
        published_at = held.newest.published_at if held.newest else 0
        moved = moved if published_at <= window + CAP_SECONDS else 0
        absorbed = absorbed if hour == self.now // 3_600 else 0
        assert (moved, absorbed) == (held.moved_in(published_at), held.absorbed_in(self.now)), market

    def _compare_withdrawable(self, account: int) -> None:
        try:
            want: Any = self.model.withdrawable(account, self.now)
        except Refusal as refusal:
            want = (refusal.name, refusal.values)
        try:
            got: Any = self.core.vault.withdrawable(account)
        except Revert as revert:
            got = (revert.name, revert.values)
        assert got == want, (hex(account), got, want)


def _account_text(word: int) -> str:
    cash = word & MASK_128
    cash -= 1 << 128 if cash >> 127 else 0
    return f"(cash {cash}, reserved {word >> 128 & (1 << 96) - 1}, markets {word >> 224:#x})"
