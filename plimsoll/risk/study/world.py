"""One market of the reference model with its pool and its fund, a price, and accounts that are easy to make."""

from __future__ import annotations

from dataclasses import replace

from plimsoll.core import ids
from plimsoll.core.units import BPS, WAD
from plimsoll.risk.config import MarketParams, RequestParams
from plimsoll.risk.market import Market
from plimsoll.risk.pool import RequestVault
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.study.setting import CONFIDENCE_BPS, Setting
from plimsoll.risk.trade import Trade

MARKET = 1
KEEPER = 0x2001
_PROVIDER = 0x3001
_FIRST_OWNER = 0x10_0000
_CENT = WAD // 100


class World:
    """`now` and `price` are those of the newest record."""

    def __init__(self, setting: Setting, price: int, now: int) -> None:
        self.setting = setting
        self.now = now
        self.price = price
        self.protocol = Protocol(
            liquidation_params=setting.liquidation,
            pool_params=RequestParams(0, 0, 1, {MARKET: BPS}),
            fund_params=RequestParams(0, 0, 1),
        )
        self.protocol.list_market(setting.scale_usd * WAD // price, self._without_limits(), now=now)
        self.market.cap_seconds = setting.window_seconds
        self._owners = 0
        self._fill(self.protocol.pool, setting.pool_usd)
        self._fill(self.protocol.fund, setting.fund_usd)
        self.publish(now, price)

    @property
    def market(self) -> Market:
        return self.protocol.state.markets[MARKET]

    @property
    def skew_bps(self) -> int:
        """k / S in hundredths of a basis point: what the mark is above the index by."""
        return self.market.skew * BPS * 100 // self.market.scale

    @property
    def pool_equity(self) -> int:
        """The pool's at the index."""
        return self.protocol.pool_capital(MARKET, self.now)

    @property
    def pool_unwound(self) -> int:
        """The pool's with what unwinding its position would cost: what its shares are priced at."""
        return self.protocol.pool.market_equity(self.market, self.now)

    @property
    def fund_cash(self) -> int:
        """The fund's, with the fees that wait to be swept to it."""
        return self.protocol.cash_of(self.protocol.state.fund_account) + self.market.unswept_insurance

    def publish(self, now: int, price: int) -> None:
        self.now, self.price = now, price
        self.protocol.record_price(MARKET, price, price * CONFIDENCE_BPS // BPS, now)

    def enforce_limits(self) -> None:
        """From now on the limits of the setting hold; what is there may be beyond them."""
        self.protocol.set_params(MARKET, self.setting.params, now=self.now)

    def account(self, dollars: int) -> int:
        """A new one with so much (WAD, rounded up to cents)."""
        self._owners += 1
        account = ids.pack(_FIRST_OWNER + self._owners)
        self.deposit(account, dollars)
        return account

    def deposit(self, account: int, dollars: int) -> None:
        unit = self.protocol.state.unit
        self.protocol.deposit(account, -(-dollars // _CENT) * (_CENT // unit))

    def open(self, account: int, size: int) -> Trade:
        """Trade with the pool; whoever lacks margin, for the impact of his fill, brings what is missing."""
        try:
            return self.trade(account, size)
        except Refusal as refusal:
            if refusal.name != "PerpMarket_InsufficientMargin":
                raise
            _, available, required = refusal.values
            assert isinstance(available, int)
            assert isinstance(required, int)
        self.deposit(account, required - available)
        return self.trade(account, size)

    def trade(self, account: int, size: int, *, reduce_only: bool = False) -> Trade:
        return self.protocol.trade(account, MARKET, size, now=self.now, sender=KEEPER, reduce_only=reduce_only)

    def base_of(self, account: int) -> int:
        """The size of its position, now."""
        return self.protocol.position(account, MARKET, self.now)[0]

    def value(self, size: int) -> int:
        """Of so much base at the index, unsigned."""
        return abs(size) * self.price // WAD

    def _fill(self, vault: RequestVault, dollars: int) -> None:
        protocol, provider, now = self.protocol, ids.pack(_PROVIDER), self.now
        units = dollars // protocol.state.unit
        if units:
            protocol.deposit(provider, units)
            request = protocol.request_deposit(vault, units, _PROVIDER, _PROVIDER, now=now, sender=_PROVIDER)
            protocol.execute_request(vault, request, now=now)

    def _without_limits(self) -> MarketParams:
        return replace(self.setting.params, max_skew_bps=BPS, open_interest_bps=100 * BPS, exposure_bps=100 * BPS)
