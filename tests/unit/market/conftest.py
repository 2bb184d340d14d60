"""The market's restricted functions, called as the other rooms call them, all in one block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st

from tests.support.core import ETH, ETH_PRICE, KEEPER, MAX_PRICE, Core, account_id, deploy_core
from tests.support.evm import Evm, Receipt
from tests.unit.market.reference import Slot, packed_record


def signed(least: int, most: int) -> st.SearchStrategy[int]:
    """Sizes of either sign, |size| between the two."""
    return st.builds(int.__mul__, st.sampled_from([1, -1]), st.integers(least, most))


@dataclass
class Desk:
    """A core whose markets were accrued in this block, and short ways to call its market."""

    core: Core

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """What happens inside is undone at the end, the prices that the helpers remember too."""
        prices = dict(self.core.prices)
        with self.core.evm.isolated():
            yield
        self.core.prices.clear()
        self.core.prices.update(prices)

    def record(
        self, price: int = ETH_PRICE, confidence: int = 0, state: int = 0, published_at: int | None = None
    ) -> int:
        """A record of an order's own, as a word; the oracle never saw it."""
        return packed_record(
            price, confidence, self.core.evm.timestamp if published_at is None else published_at, state
        )

    def trade(
        self,
        account: int,
        base: int,
        *,
        market: int = ETH,
        acceptable: int | None = None,
        reduce_only: bool = False,
        execution_fee: int = 0,
        reserved: int = 0,
        executor: str = KEEPER,
        record: int | None = None,
        sender: Any = None,
    ) -> Receipt:
        """PerpMarket.trade by the order book; at the newest record unless one is given."""
        newest = self.core.oracle.newest(market)
        trade = {
            "account": self.core.track(account),
            "marketId": market,
            "base": base,
            "acceptablePrice": (MAX_PRICE if base > 0 else 0) if acceptable is None else acceptable,
            "reduceOnly": reduce_only,
            "executionFee": execution_fee,
            "reserved": reserved,
            "executor": executor,
            "record": newest if record is None else record,
            "newest": newest,
        }
        self.core.track(account_id(executor))
        receipt: Receipt = self.core.market.trade(trade, sender=sender or self.core.order_book)
        return receipt

    def fill(
        self,
        account: int,
        base: int,
        quote: int,
        *,
        market: int = ETH,
        charge: int = 0,
        keeper: str = KEEPER,
        reward: int = 0,
        to_fund: int = 0,
        sender: Any = None,
    ) -> Receipt:
        """PerpMarket.fill by the liquidator."""
        fill = {
            "marketId": market,
            "account": account,
            "base": base,
            "quote": quote,
            "charge": charge,
            "keeper": keeper,
            "reward": reward,
            "toFund": to_fund,
        }
        self.core.track(account_id(keeper))
        receipt: Receipt = self.core.market.fill(fill, sender=sender or self.core.liquidator)
        return receipt

    def exchange(
        self,
        giver: int,
        taker: int,
        base: int,
        quote: int,
        *,
        is_match: bool,
        market: int = ETH,
        giver_fee: int = 0,
        taker_fee: int = 0,
        payee: str = KEEPER,
        payment: int = 0,
        giver_reduces: bool = False,
        taker_reduces: bool = False,
        sender: Any = None,
    ) -> Receipt:
        """PerpMarket.exchange, `base` and `quote` to the taker; unless it is a match, by the liquidator."""
        exchange = {
            "marketId": market,
            "from": giver,
            "to": taker,
            "base": base,
            "quote": quote,
            "fromFee": giver_fee,
            "toFee": taker_fee,
            "payee": payee,
            "payment": payment,
            "fromReduceOnly": giver_reduces,
            "toReduceOnly": taker_reduces,
            "newest": self.core.oracle.newest(market),
            "isFlash": False,
        }
        self.core.track(account_id(payee))
        module = self.core.order_book if is_match else self.core.liquidator
        receipt: Receipt = self.core.market.exchange(exchange, sender=sender or module)
        return receipt

    def slot(self, account: int) -> Slot:
        word = self.core.vault.balanceOf(account)
        return Slot((word % 2**128 + 2**127) % 2**128 - 2**127, (word >> 128) % 2**96, word >> 224)

    def rich(self, name: str = "trader", dollars: int = 10_000_000, isolated_market: int = 0, index: int = 0) -> int:
        return self.core.trader(name, dollars, isolated_market, index)

    def set_cash(self, account: int, cash: int) -> None:
        """Whatever it was before; tokens come or stay, so no sums after this where it falls."""
        self.core.post(account, cash - self.core.cash(account))

    def set_skew(self, skew: int, market: int = ETH) -> None:
        """Another trader's position, opened now: the market's skew where it was zero."""
        if skew:
            self.trade(self.rich("crowd", 10**9), skew, market=market)

    def position(self, account: int, market: int = ETH) -> tuple[int, int, int]:
        base, quote, owed = self.core.market.position(account, market)
        return base, quote, owed

    def pool_quote(self, market: int = ETH) -> int:
        quote: int = self.core.market.marketState(market).poolQuote
        return quote

    def next_block(self, price: int | None = None, market: int = ETH, seconds: int = 1, **options: Any) -> None:
        """Time passes, every market is recorded and accrued."""
        self.core.tick(seconds, {} if price is None else {market: price}, **options)
        for each in self.core.prices:
            self.core.market.accrue(each, sender=self.core.pool)


def open_desk(evm: Evm, **options: Any) -> Desk:
    desk = Desk(deploy_core(evm, **options))
    desk.next_block()
    return desk


@pytest.fixture
def desk(evm: Evm) -> Desk:
    """Markets of ETH at 3,000 and BTC at 40,000 with 10 million dollars of the pool each."""
    return open_desk(evm)


@pytest.fixture(scope="module")
def shared_desk(built: None) -> Desk:
    """One for all examples of a random test; each runs in `desk.isolated()`."""
    return open_desk(Evm())


@pytest.fixture
def trader(desk: Desk) -> int:
    """A cross account with 100,000 dollars."""
    return desk.core.trader("trader", 100_000)
