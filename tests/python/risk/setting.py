"""A small protocol to test with: one market at $1,000, funded roles, and a check of refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.risk.config import LiquidationParams, MarketParams, OrderParams, RequestParams
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.refusals import Refusal

NOW = 1_700_000_000
ETH, BTC = 1, 2
PRICE = 1_000 * WAD
SCALE = 10**6 * WAD
UNIT = 10**6
TRADER, OTHER, KEEPER, PROVIDER = 0x1001, 0x1002, 0x2001, 0x3001
ACCOUNT, OTHER_ACCOUNT, KEEPER_ACCOUNT = ids.pack(TRADER), ids.pack(OTHER), ids.pack(KEEPER)
PARAMS = MarketParams()
NO_FEES = replace(
    PARAMS,
    maker_bps=0,
    taker_bps=0,
    rate_at_kink_bps=0,
    rate_at_full_bps=0,
    max_funding_velocity=0,
    max_price_age=10**6,
)


def deployed(
    *params: MarketParams,
    orders: OrderParams | None = None,
    gas_market: int = 0,
    pool_dollars: int = 20_000_000,
    fund_dollars: int = 1_000_000,
    account_dollars: int = 100_000,
) -> Protocol:
    """Markets at $1,000 without confidence at NOW; pool and fund filled; $100,000 with each of two traders."""
    protocol = Protocol(
        liquidation_params=LiquidationParams(gas_market=gas_market),
        pool_params=RequestParams(60, 600, 300, {ETH: 10_000} if len(params) < 2 else {ETH: 6_000, BTC: 4_000}),
        fund_params=RequestParams(60, 600, 300),
    )
    for each in params or (PARAMS,):
        market = protocol.list_market(SCALE, each, now=NOW - 100, orders=orders)
    provider = ids.pack(PROVIDER)
    protocol.deposit(provider, (pool_dollars + fund_dollars + 1) * UNIT)
    requests = []
    for vault, dollars in ((protocol.pool, pool_dollars), (protocol.fund, fund_dollars)):
        if dollars:
            request = protocol.request_deposit(
                vault, dollars * UNIT, PROVIDER, PROVIDER, now=NOW - 100, sender=PROVIDER
            )
            requests.append((vault, request))
    for market in protocol.state.markets:
        protocol.record_price(market, PRICE, 0, NOW)
    for vault, request in requests:
        protocol.execute_request(vault, request, now=NOW)
    for account in (ACCOUNT, OTHER_ACCOUNT):
        protocol.deposit(account, account_dollars * UNIT)
    return protocol


def buy(
    protocol: Protocol, size: int, *, account: int = ACCOUNT, market: int = ETH, now: int = NOW, **rest: Any
) -> Any:
    """A trade against the pool at the newest record; negative to sell."""
    return protocol.trade(account, market, size, now=now, sender=KEEPER, **rest)


def set_price(
    protocol: Protocol, price: int, at: int, *, market: int = ETH, confidence: int = 0, state: int = 0
) -> None:
    assert protocol.record_price(market, price, confidence, at, state)


def image(protocol: Protocol) -> tuple[Any, ...]:
    """All of the state that a refused call must leave alone."""
    state = protocol.state
    return (
        {key: type(a).image(a) for key, a in state.accounts.items()},
        {key: type(m).image(m) for key, m in state.markets.items()},
        {m.id: {key: type(p).image(p) for key, p in m.positions.items()} for m in state.markets.values()},
        {m.id: dict(m.records) for m in state.markets.values()},
        dict(state.orders),
        dict(state.counters),
        dict(state.delegations),
        type(state.totals).image(state.totals),
        [(dict(v.balances), dict(v.requests), v.supply, v.next_id) for v in (protocol.pool, protocol.fund)],
    )


@contextmanager
def refused(protocol: Protocol, name: str, *values: object) -> Iterator[None]:
    """The call inside is refused with exactly this error, and changes nothing."""
    before = image(protocol)
    with pytest.raises(Refusal) as caught:
        yield
    assert (caught.value.name, *caught.value.values) == (name, *values)
    assert image(protocol) == before
