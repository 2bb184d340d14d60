"""Share vaults: delayed requests, lapses, the share price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.risk.protocol import Protocol
from tests.python.risk.setting import (
    ACCOUNT,
    BTC,
    ETH,
    NOW,
    OTHER,
    PARAMS,
    PRICE,
    PROVIDER,
    TRADER,
    UNIT,
    buy,
    deployed,
    refused,
    set_price,
)  # fmt: skip

POOL, BTC_POOL = ids.pack(0xA001, ETH), ids.pack(0xA001, BTC)
ESCROW = ids.pack(0xA001, index=1)
MATURE = NOW + 60


def deposit(protocol: Protocol, dollars: int = 1_000, vault: str = "pool") -> int:
    return protocol.request_deposit(getattr(protocol, vault), dollars * UNIT, TRADER, TRADER, now=NOW, sender=TRADER)


def test_requestDeposit__cash__waits_in_escrow():
    protocol = deployed()
    assert protocol.pool.supply == 20_000_000 * UNIT * 10**6
    deposit(protocol)
    assert protocol.cash_of(ESCROW) == 1_000 * WAD
    assert protocol.cash_of(ACCOUNT) == 99_000 * WAD
    assert protocol.pool.total_assets(NOW) == 20_000_000 * UNIT
    with refused(protocol, "RequestVault_InsufficientMargin", 99_000 * UNIT, 99_000 * UNIT + 1):
        protocol.request_deposit(protocol.pool, 99_000 * UNIT + 1, TRADER, TRADER, now=NOW, sender=TRADER)
    with refused(protocol, "RequestVault_NotOwner", TRADER, OTHER):
        protocol.request_deposit(protocol.pool, 1, TRADER, TRADER, now=NOW, sender=OTHER)
    with refused(protocol, "RequestVault_ZeroAmount"):
        protocol.request_deposit(protocol.pool, 0, TRADER, TRADER, now=NOW, sender=TRADER)
    with refused(protocol, "RequestVault_ZeroAmount"):
        protocol.request_redeem(protocol.pool, 0, TRADER, TRADER, now=NOW, sender=TRADER)
    with refused(protocol, "ERC20InsufficientBalance", TRADER, 0, 5):
        protocol.request_redeem(protocol.pool, 5, TRADER, TRADER, now=NOW, sender=TRADER)
    protocol.check_sums(NOW)


def test_executeRequest__needs_newer_fresh_open_prices_where_the_pool_has_a_position():
    protocol = deployed(*[replace(PARAMS, maker_bps=0, taker_bps=0)] * 2)
    request = deposit(protocol)
    buy(protocol, 2 * WAD, market=BTC)
    set_price(protocol, PRICE, MATURE - 1, market=BTC)
    with refused(protocol, "RequestVault_NotMature", MATURE):
        protocol.execute_request(protocol.pool, request, now=MATURE - 1)
    with refused(protocol, "RequestVault_PriceUnusable", BTC, MATURE - 1, 0):
        protocol.execute_request(protocol.pool, request, now=MATURE)
    set_price(protocol, PRICE, MATURE, market=BTC, state=1)
    with refused(protocol, "RequestVault_PriceUnusable", BTC, MATURE, 1):
        protocol.execute_request(protocol.pool, request, now=MATURE)
    set_price(protocol, PRICE, MATURE + 1, market=BTC)
    with refused(protocol, "RequestVault_PriceUnusable", BTC, MATURE + 1, 0):
        protocol.execute_request(protocol.pool, request, now=MATURE + 17)
    done = protocol.execute_request(protocol.pool, request, now=MATURE + 16)
    assert done.given == protocol.pool.balances[TRADER]
    assert protocol.cash_of(POOL) == (12_000_000 + 600) * WAD
    assert protocol.cash_of(BTC_POOL) == (8_000_000 + 400) * WAD
    assert protocol.cash_of(ESCROW) == 0
    with refused(protocol, "RequestVault_Unknown", request):
        protocol.execute_request(protocol.pool, request, now=MATURE + 16)
    protocol.check_sums(MATURE + 16)


def test_executeRequest__entry_into_an_insolvent_market__refused():
    """The entry would fill a hole that the share price counts as nothing."""
    protocol = deployed()
    request = deposit(protocol)
    debt = 20_000_001 * WAD + 1
    protocol.state.credit(POOL, -debt)
    protocol.state.credit(ACCOUNT, debt)
    with refused(protocol, "LiquidityPool_Insolvent", ETH, -WAD - 1):
        protocol.execute_request(protocol.pool, request, now=MATURE)
    protocol.state.credit(POOL, 1)
    protocol.execute_request(protocol.pool, request, now=MATURE)


def test_requests__for_nobody_or_the_protocol__refused():
    protocol = deployed()
    for controller in (0, 0xA001, 0xA002, 0xA003):
        with refused(protocol, "RequestVault_InvalidController", controller):
            protocol.request_deposit(protocol.pool, 1, controller, TRADER, now=NOW, sender=TRADER)


@pytest.mark.parametrize(("late", "lapsed"), [(300, False), (301, True)])
def test_executeRequest__after_its_window__gives_everything_back(late, lapsed):
    protocol = deployed()
    request = deposit(protocol)
    set_price(protocol, PRICE, MATURE + late)
    done = protocol.execute_request(protocol.pool, request, now=MATURE + late)
    assert done.lapsed is lapsed
    assert protocol.cash_of(ACCOUNT) == (100_000 if lapsed else 99_000) * WAD
    assert (protocol.pool.balances.get(TRADER, 0) == 0) is lapsed


def test_requestRedeem__pending_shares__bear_losses_and_come_back_when_lapsed():
    protocol = deployed()
    shares = protocol.pool.balances[PROVIDER]
    request = protocol.request_redeem(protocol.pool, shares, PROVIDER, PROVIDER, now=NOW, sender=PROVIDER)
    assert protocol.pool.supply == shares
    assert protocol.pool.balances == {PROVIDER: 0, 0xA001: shares}
    assert protocol.execute_request(protocol.pool, request, now=NOW + 901).lapsed
    assert protocol.pool.balances == {PROVIDER: shares, 0xA001: 0}


def test_executeRequest__redeem__takes_from_each_market_by_its_equity():
    protocol = deployed(replace(PARAMS, max_price_age=1_000), replace(PARAMS, max_price_age=1_000))
    buy(protocol, 100 * WAD)
    shares = protocol.pool.balances[PROVIDER] // 4
    request = protocol.request_redeem(protocol.pool, shares, PROVIDER, PROVIDER, now=NOW, sender=PROVIDER)
    now = NOW + 600
    for market in (ETH, BTC):
        set_price(protocol, 1_200 * WAD, now, market=market)
    before = protocol.cash_of(ids.pack(PROVIDER))
    pools = [protocol.cash_of(POOL), protocol.cash_of(BTC_POOL)]
    with protocol.simulated():
        listed = list(protocol.state.markets.values())
        for each in listed:
            protocol.state.accrue(each, now)
        equities = [protocol.pool.market_equity(each, now) for each in listed]
        expected = shares * (sum(equities) // 10**12 + 1) // (protocol.pool.supply + 10**6)
    done = protocol.execute_request(protocol.pool, request, now=now)
    assert done.given == expected
    assert protocol.cash_of(ids.pack(PROVIDER)) - before == expected * 10**12
    first = expected * 10**12 * equities[0] // sum(equities)
    assert pools[0] - protocol.cash_of(POOL) == first
    assert pools[1] - protocol.cash_of(BTC_POOL) == expected * 10**12 - first
    protocol.check_sums(now)


def test_executeRequest__redeem_that_leaves_too_little__refused():
    protocol = deployed(replace(PARAMS, max_price_age=1_000, max_skew_bps=10_000), account_dollars=10**6)
    buy(protocol, 1_000 * WAD)
    shares = protocol.pool.balances[PROVIDER] * 99 // 100
    request = protocol.request_redeem(protocol.pool, shares, PROVIDER, PROVIDER, now=NOW, sender=PROVIDER)
    now = NOW + 600
    set_price(protocol, PRICE, now)
    with protocol.simulated():
        protocol.state.accrue(protocol.state.markets[ETH], now)
        given = protocol.pool.to_assets(shares, now)
        limit = protocol.pool_capital(ETH, now) - given * 10**12
    with refused(protocol, "RequestVault_OpeningLimit", ETH, 1_000 * PRICE, limit):
        protocol.execute_request(protocol.pool, request, now=now)


@pytest.mark.parametrize("sign", [1, -1])
def test_totalAssets__own_impact__does_not_move_the_share_price(sign):
    """Unwinding is priced at P (1 + k/2S), so a trade without fees leaves the share price where it was."""
    protocol = deployed(replace(PARAMS, maker_bps=0, taker_bps=0), account_dollars=10**7)
    before = protocol.pool.total_assets(NOW)
    buy(protocol, sign * 10_000 * WAD)
    assert 0 <= protocol.pool.total_assets(NOW) - before <= 1


def test_fund__request__matures_by_time():
    protocol = deployed()
    request = deposit(protocol, vault="fund")
    with refused(protocol, "RequestVault_NotMature", MATURE):
        protocol.execute_request(protocol.fund, request, now=MATURE - 1)
    protocol.execute_request(protocol.fund, request, now=MATURE)
    assert protocol.cash_of(ids.pack(0xA002)) == 1_001_000 * WAD
    assert protocol.fund.balances[TRADER] == 1_000 * UNIT * 10**6
    back = protocol.request_redeem(protocol.fund, 10**12, OTHER, TRADER, now=MATURE, sender=TRADER)
    protocol.execute_request(protocol.fund, back, now=MATURE + 600)
    assert protocol.cash_of(ids.pack(OTHER)) == 100_001 * WAD
    protocol.check_sums(MATURE + 600)
