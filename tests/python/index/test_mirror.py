"""What the mirror does with events that don't follow from those before: it stops, as it was before the block."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.index import mirror as mirrors
from plimsoll.index.mirror import Mirror, MirrorBroken
from plimsoll.risk.config import MarketParams
from plimsoll.risk.position import effective
from plimsoll.sdk.events import (
    Accrued,
    Deleveraged,
    Deposited,
    FeesSwept,
    Happened,
    MarketListed,
    OpeningHalted,
    ParamsChanged,
    PoolCharged,
    Posted,
    PriceRecorded,
    SideCharged,
    Traded,
    Transferred,
)

POOL, FUND, ALICE = 0xF001, 0xF002, ids.pack(0x1001)
ETH = 1
PRICE = 2_500 * WAD


def at(kind: type[Happened], block: int, index: int = 0, **fields: Any) -> Happened:
    return kind(block_number=block, log_index=index, tx_hash=f"0x{block}", **fields)


def posted(block: int, account: int, cash: int, markets: int = 0) -> Happened:
    return at(Posted, block, account=account, balance=cash % 2**128 | markets << 224)


TRADED = Traded(
    block_number=3, log_index=9, tx_hash="0x3", account=ALICE, market_id=ETH, base=WAD, quote=-PRICE, fill_price=PRICE,
    fee=WAD, new_base=WAD, new_quote=-PRICE,
)  # fmt: skip

CHARGED = SideCharged(
    block_number=3, log_index=10, tx_hash="0x3", market_id=ETH, is_long=True, amount=WAD, g=10**27,
    pool_quote=PRICE + WAD * 17 // 10,
)  # fmt: skip


@pytest.fixture
def mirror() -> Mirror:
    """A market with a price, and an account with 1,000 dollars."""
    found = Mirror(pool=POOL, fund=FUND, token_unit=10**12)
    listing = [at(MarketListed, 1, market_id=ETH, scale=10**6 * WAD)]
    listing.append(at(ParamsChanged, 1, market_id=ETH, params=MarketParams()))
    found.apply(1, 100, listing)
    price = at(
        PriceRecorded, 2, market_id=ETH, price=PRICE, confidence=0, published_at=100, state=0, sequence=1, sources=1
    )
    cash = at(Deposited, 2, account=ALICE, from_="0x", amount=10**9, cash=1_000 * WAD)
    found.apply(2, 100, [price, cash])
    return found


def image(mirror: Mirror) -> object:
    market = mirror.markets.get(ETH)
    return mirror.monitor.balance(ALICE), market and type(market).image(market), mirror.monitor.position(ALICE, ETH)


def test_apply__trade__has_position_open_interest_and_fees(mirror: Mirror) -> None:
    found = mirror.apply(3, 100, [posted(3, ALICE, 999 * WAD, 1), TRADED])
    assert found == []
    market, held = mirror.markets[ETH], mirror.monitor.position(ALICE, ETH)
    assert held is not None
    assert (held.base, held.quote, held.k) == (WAD, -PRICE, 10**27)
    assert (market.long, market.short) == (WAD, 0)
    assert (market.unswept_insurance, market.unswept_treasury) == (WAD // 5, WAD // 10)
    assert market.pool_quote == PRICE + WAD * 7 // 10
    mirror.rollback(2)
    assert mirror.monitor.position(ALICE, ETH) is None
    assert mirror.monitor.balance(ALICE) == (1_000 * WAD, 0, 0)
    assert (market.long, market.pool_quote) == (0, 0)


def test_apply__charge_of_a_side__is_owed_by_its_positions(mirror: Mirror) -> None:
    mirror.apply(3, 100, [posted(3, ALICE, 999 * WAD, 1), TRADED])
    mirror.apply(4, 101, [replace(CHARGED, block_number=4)])
    market, held = mirror.markets[ETH], mirror.monitor.position(ALICE, ETH)
    assert held is not None
    assert effective(held, market.side(1)) == (WAD, -PRICE, WAD)
    assert (market.g_long, market.g_short, market.pool_quote) == (10**27, 0, CHARGED.pool_quote)
    mirror.rollback(3)
    assert (market.g_long, market.pool_quote) == (0, CHARGED.pool_quote - WAD)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([posted(3, ALICE, 999 * WAD, 1), replace(TRADED, new_base=2 * WAD)], "the position is"),
        ([posted(3, ALICE, 1_000 * WAD, 1), TRADED], "postings are 996000000000000000000 wei more than was paid"),
        ([at(Accrued, 3, market_id=ETH, rate=1, long_g=0, short_g=0, pool_quote=0)], "the accrual is"),
        ([at(FeesSwept, 3, market_id=ETH, insurance=1, treasury=0)], "the fees is"),
        ([at(PoolCharged, 3, market_id=ETH, amount=5, pool_quote=5)], "the pool's quote is"),
        ([posted(3, ALICE, 4 * WAD, 1), TRADED, replace(CHARGED, g=1)], "the charge is"),
        ([posted(3, ALICE, 4 * WAD, 1), TRADED, replace(CHARGED, pool_quote=1)], "the charge is"),
        ([CHARGED], "nobody is on the side that is charged"),
        ([at(OpeningHalted, 3, market_id=2, until=5)], "market 2, which was never listed"),
        ([at(ParamsChanged, 3, market_id=2, params=MarketParams())], "market 2, which was never listed"),
        (
            [at(Deleveraged, 3, market_id=ETH, is_long=True, fraction=1, price=PRICE, cut=0, flow=0)],
            "was not due and followed no trade",
        ),
    ],
)
def test_apply__event_that_does_not_follow__stops_as_before_the_block(
    mirror: Mirror, events: list[Happened], said: str
) -> None:
    before = image(mirror)
    with pytest.raises(MirrorBroken, match=said):
        mirror.apply(3, 100, [posted(3, ALICE, 5 * WAD), at(OpeningHalted, 3, market_id=ETH, until=7), *events])
    assert image(mirror) == before


def test_rollback__listing_and_transfer__are_taken_back(mirror: Mirror) -> None:
    bob = ids.pack(0x1001, 0, 1)
    mirror.apply(3, 101, [at(Transferred, 3, from_=ALICE, to=bob, amount=10**6)])
    assert [mirror.monitor.balance(one).cash for one in (ALICE, bob)] == [999 * WAD, WAD]
    assert mirror.rollback(0)
    assert [mirror.monitor.balance(one).cash for one in (ALICE, bob)] == [0, 0]
    assert mirror.markets == {}


def test_rollback__market_with_a_position__nothing_of_it_is_screened(mirror: Mirror) -> None:
    mirror.apply(3, 100, [posted(3, ALICE, 999 * WAD, 1), TRADED])
    assert mirror.monitor.liquidatable(101) == []
    mirror.rollback(0)
    assert mirror.monitor.liquidatable(101) == []
    assert mirror.monitor.health(ALICE, 101) == (0, 0)


def test_rollback__longer_ago_than_is_kept__changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "UNDO_BLOCKS", 2)
    mirror = Mirror(pool=POOL, fund=FUND, token_unit=1)
    for block in range(1, 5):
        mirror.apply(block, 100, [posted(block, ALICE, block)])
    assert not mirror.rollback(1)
    assert mirror.monitor.balance(ALICE).cash == 4
    assert mirror.rollback(2)
    assert mirror.monitor.balance(ALICE).cash == 2
