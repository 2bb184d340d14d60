"""Absorption beyond the caps: what the pool may not take is closed against the other side at the zero price."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import BTC, BTC_PRICE, ETH, ETH_PRICE, KEEPER, SCALES, WAD, Core, deploy_core
from tests.support.evm import Evm, Receipt
from tests.unit.liquidation.conftest import SetEquity
from tests.unit.liquidation.reference import holding
from tests.unit.market.reference import Side, ceil_div, close_side, ownerless, trunc_div

SIGNS = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
WINDOW_CAP = SCALES[ETH] * 8 // 10_000
HOUR_CAP = SCALES[ETH] * 50 // 10_000
ROUNDING = 10**7
"""Wei of dollars: the fraction is rounded up by 1e-18 of an open interest of a thousand, at 3,300."""


class Absorption(NamedTuple):
    """What closing one position of a bankrupt account does: with the pool, then against the other side."""

    pool_base: int
    pool_quote: int
    grown: int
    base: int
    flow: int
    zero_price: int
    fraction: int
    side: Side
    """The other side afterwards."""
    left: int
    """The account's cash and what it has in other markets, at the index, afterwards."""


def absorption(core: Core, account: int, market: int = ETH) -> Absorption:
    """As the specification says, section 6, of the state as it is now."""
    h = holding(core, account, market)
    price, k, b = h.terms.price, h.skew, h.base
    sign = 1 if b > 0 else -1
    equity = core.market.equity(account)
    unrealised = b * price // WAD + h.quote
    start, moved, hour, absorbed = core.liquidator.counters(market)
    moved = moved if h.terms.published_at <= start + 15 else 0
    absorbed = absorbed if hour == core.evm.timestamp // 3_600 else 0
    by_fees = h.terms.scale * (h.terms.params["makerBps"] + h.terms.params["takerBps"]) // 10_000
    room = max(0, min(by_fees - moved, h.terms.scale * 50 // 10_000 - absorbed))
    grown = max(0, abs(k - b) - abs(k))
    s = core.market.marketState(market)
    other = (
        Side(s.shortG, s.shortK, s.openShort, s.shortEpoch)
        if b > 0
        else Side(s.longG, s.longK, s.openLong, s.longEpoch)
    )
    excess = min(max(0, grown - room), other.open_interest)
    pool_base = sign * excess - b
    pool_quote = h.terms.fill_quote(k, pool_base) if pool_base else 0
    if not excess:
        return Absorption(pool_base, pool_quote, grown, 0, 0, 0, 0, other, equity - unrealised + h.quote + pool_quote)
    deficit = min(max(0, -equity), max(0, -unrealised))
    zero = price + sign * min(price, ceil_div(deficit * WAD, abs(b)))
    fraction = min(WAD, ceil_div(excess * WAD, other.open_interest))
    other, closing = close_side(other, b < 0, fraction, zero)
    left = equity - unrealised + h.quote + pool_quote + sign * closing.flow
    return Absorption(pool_base, pool_quote, grown - excess, -sign * excess, closing.flow, zero, fraction, other, left)


def bankrupt(core: Core, sign: int, size: int, others: int, price: int | None = None) -> int:
    """A position of `size` and others of `others` against it; afterwards perhaps another price."""
    account = core.trader("trader", 10_000_000)
    core.open(core.trader("others", 20_000_000), ETH, -sign * others)
    core.open(account, ETH, sign * size)
    core.tick(20, {} if price is None else {ETH: price})
    core.market.accrue(ETH)
    return account


def absorb(core: Core, account: int) -> Receipt:
    receipt: Receipt = core.liquidator.absorb(account, [], sender=KEEPER)
    return receipt


def assert_absorbed(core: Core, account: int, receipt: Receipt, wanted: Absorption, market: int = ETH) -> None:
    closed = next(event for event in receipt.events("PositionAbsorbed") if event["marketId"] == market)
    assert (closed["base"], closed["quote"]) == (wanted.pool_base, wanted.pool_quote)
    against = [event.args for event in receipt.events("ClosedAgainstSide") if event["marketId"] == market]
    expected = {
        "account": account,
        "marketId": market,
        "base": wanted.base,
        "flow": wanted.flow,
        "zeroPrice": wanted.zero_price,
        "fraction": wanted.fraction,
    }
    assert against == ([expected] if wanted.base else [])
    s = core.market.marketState(market)
    found = (s.shortG, s.shortK, s.openShort, s.shortEpoch), (s.longG, s.longK, s.openLong, s.longEpoch)
    assert tuple(wanted.side) in found
    assert core.market.position(account, market) == (0, 0, 0)


def check_sums(core: Core, events: int = 1) -> None:
    """Dust may be negative, by what shorts without an owner would have paid: it is less than 1e-9 dollars."""
    core.token.mint(core.vault, 1)
    base = ownerless(events, len(core.accounts), 4_000 * WAD)
    allowed = min(10**9, 10**6 + (base + 1) * 10_000)
    assert core.check_sums(core.unit + allowed, base) >= core.unit - allowed


# --- the caps ---


@SIGNS
@pytest.mark.parametrize("beyond", [-1, 0, 1, 100 * WAD])
def test_absorb__at_the_cap_of_the_window_and_beyond__the_rest_goes_against_the_other_side(
    core: Core, set_equity: SetEquity, sign: int, beyond: int
) -> None:
    """LQ-03: makerBps + takerBps of the scale, to the wei."""
    size = WINDOW_CAP + beyond
    account = bankrupt(core, sign, size, size)
    set_equity(account, -10_000 * WAD)
    wanted = absorption(core, account)
    assert abs(wanted.base) == max(0, beyond)
    receipt = absorb(core, account)
    assert_absorbed(core, account, receipt, wanted)
    now = core.evm.timestamp
    moved = min(size, WINDOW_CAP)
    assert core.liquidator.counters(ETH) == (now, moved, now // 3_600, moved)
    assert core.vault.balanceOf(account) == core.cash(account) == max(0, wanted.left)
    check_sums(core)


@SIGNS
def test_absorb__a_second_one_in_the_window__finds_no_room(core: Core, set_equity: SetEquity, sign: int) -> None:
    """All of it is closed against the other side: the pool has no part, and the caps count nothing more."""
    core.open(core.trader("others", 20_000_000), ETH, -sign * 700 * WAD)
    first, second = core.trader("first", 5_000_000), core.trader("second", 5_000_000)
    core.open(first, ETH, sign * 300 * WAD)
    core.open(second, ETH, sign * 400 * WAD)
    core.tick(20)
    core.market.accrue(ETH)
    set_equity(first, -WAD)
    absorb(core, first)
    set_equity(second, -10_000 * WAD)
    counters = core.liquidator.counters(ETH)
    wanted = absorption(core, second)
    assert (wanted.pool_base, wanted.pool_quote, wanted.base) == (0, 0, -sign * 400 * WAD)
    receipt = absorb(core, second)
    assert_absorbed(core, second, receipt, wanted)
    assert [event["counter"] for event in receipt.events("Filled")] == [0]
    assert core.liquidator.counters(ETH) == counters
    check_sums(core, 2)


@SIGNS
def test_absorb__cap_of_the_hour__binds_in_the_next_window_and_ends_with_the_hour(
    core: Core, set_equity: SetEquity, sign: int
) -> None:
    """ABSORB_CAP_BPS of the scale, whatever the windows allow."""
    core.open(core.trader("others", 20_000_000), ETH, -sign * 2_500 * WAD)
    accounts = [core.trader("broke", 5_000_000, index=index) for index in range(9)]
    for account in accounts:
        core.open(account, ETH, sign * 270 * WAD)
    core.tick(3_600 - core.evm.timestamp % 3_600)
    hour = core.evm.timestamp // 3_600
    left = HOUR_CAP
    for number, account in enumerate(accounts[:8]):
        core.tick(20)
        core.market.accrue(ETH)
        set_equity(account, -WAD)
        wanted = absorption(core, account)
        assert wanted.grown == min(left, WINDOW_CAP)
        assert_absorbed(core, account, absorb(core, account), wanted)
        left -= wanted.grown
        assert core.liquidator.counters(ETH)[2:] == (hour, HOUR_CAP - left)
        assert (left == 0) == (number >= 6)
    core.tick(3_600)
    core.market.accrue(ETH)
    set_equity(accounts[8], -WAD)
    wanted = absorption(core, accounts[8])
    assert wanted.grown == WINDOW_CAP
    assert_absorbed(core, accounts[8], absorb(core, accounts[8]), wanted)
    check_sums(core, 9)


@SIGNS
def test_absorb__what_lowers_the_skew__has_no_cap(core: Core, set_equity: SetEquity, sign: int) -> None:
    account = bankrupt(core, sign, 2_000 * WAD, 500 * WAD)
    set_equity(account, -10_000 * WAD)
    wanted = absorption(core, account)
    assert wanted.base == 0
    receipt = absorb(core, account)
    assert_absorbed(core, account, receipt, wanted)
    assert core.liquidator.counters(ETH) == (0, 0, 0, 0)


# --- the zero price ---


@SIGNS
@pytest.mark.parametrize("equity", [0, -1, -10_000 * WAD, -150_000 * WAD])
def test_absorb__without_room__leaves_no_debt_and_costs_fund_and_pool_nothing(
    core: Core, set_equity: SetEquity, sign: int, equity: int
) -> None:
    """LQ-03: the other side gives up as much of its gain as is missing, in proportion; nobody else anything."""
    core.give_fund(1_000_000)
    account = bankrupt(core, sign, 700 * WAD, 700 * WAD, ETH_PRICE * (10_000 - sign * 1_000) // 10_000)
    exhaust_window(core, set_equity, sign)
    set_equity(account, equity)
    others = [core.trader("others"), core.trader("giver")]
    before = [core.market.equity(other) for other in others]
    pool, fund = core.market.poolCapital(ETH)[0], core.cash(core.fund_main)
    wanted = absorption(core, account)
    assert wanted.pool_base == 0
    receipt = absorb(core, account)
    assert_absorbed(core, account, receipt, wanted)
    assert abs(wanted.left) <= ROUNDING
    assert all(event["debt"] <= ROUNDING for event in receipt.events("DebtCovered"))
    lost = [was - core.market.equity(other) for other, was in zip(others, before, strict=True)]
    assert abs(sum(lost) + equity) <= ROUNDING
    assert abs(lost[0] * (WINDOW_CAP + WAD) - lost[1] * 700 * WAD) <= ROUNDING * 700 * WAD
    assert abs(core.market.poolCapital(ETH)[0] - pool) <= ROUNDING
    assert fund - core.cash(core.fund_main) <= ROUNDING
    check_sums(core, 2)


def exhaust_window(core: Core, set_equity: SetEquity, sign: int) -> None:
    """Absorb somebody as large as the window's cap and one more, whose position came from a match."""
    broke, giver = core.trader("broke", 5_000_000), core.trader("giver", 5_000_000)
    price = core.oracle.price(ETH)[0]
    newest = core.oracle.newest(ETH)
    half = WINDOW_CAP + WAD
    exchange = {
        "marketId": ETH,
        "from": giver,
        "to": broke,
        "base": sign * half,
        "quote": -(sign * half * price // WAD),
        "fromFee": 0,
        "toFee": 0,
        "payee": KEEPER,
        "payment": 0,
        "fromReduceOnly": False,
        "toReduceOnly": False,
        "newest": newest,
        "isFlash": False,
    }
    core.market.exchange(exchange, sender=core.order_book)
    set_equity(broke, 0)
    absorb(core, broke)
    assert core.liquidator.counters(ETH)[1] == WINDOW_CAP


@SIGNS
def test_absorb__debt_of_another_market__is_not_the_other_sides(core: Core, set_equity: SetEquity, sign: int) -> None:
    """They give up what the position itself has lost at most; the rest is debt as ever."""
    account = bankrupt(core, sign, 700 * WAD, 700 * WAD, ETH_PRICE * (1_000 - sign * 5) // 1_000)
    set_equity(account, -200_000 * WAD)
    price = core.oracle.price(ETH)[0]
    h = holding(core, account, ETH)
    unrealised = h.base * price // WAD + h.quote
    assert -20_000 * WAD < unrealised < 0
    wanted = absorption(core, account)
    assert wanted.zero_price == price + sign * ceil_div(-unrealised * WAD, 700 * WAD)
    receipt = absorb(core, account)
    assert_absorbed(core, account, receipt, wanted)
    assert receipt.event("DebtCovered")["debt"] == -wanted.left > 180_000 * WAD
    check_sums(core)


@SIGNS
def test_absorb__position_with_a_gain__is_closed_at_the_index(core: Core, set_equity: SetEquity, sign: int) -> None:
    """There is nothing of its own to make up for, however much is owed elsewhere."""
    account = bankrupt(core, sign, 700 * WAD, 700 * WAD, ETH_PRICE * (100 + sign) // 100)
    set_equity(account, -50_000 * WAD)
    wanted = absorption(core, account)
    assert wanted.zero_price == core.oracle.price(ETH)[0]
    assert_absorbed(core, account, absorb(core, account), wanted)
    check_sums(core)


@SIGNS
def test_absorb__all_of_the_other_side__is_closed_and_its_epoch_ends(
    core: Core, set_equity: SetEquity, sign: int
) -> None:
    """The excess is never more than the other side has: who grows the skew by closing has as much against him. Here
    no room is left and there is nobody else."""
    core.open(core.trader("others", 20_000_000), ETH, -sign * (WINDOW_CAP + 500 * WAD))
    first, account = core.trader("first", 5_000_000), core.trader("second", 5_000_000)
    core.open(first, ETH, sign * (WINDOW_CAP))
    core.open(account, ETH, sign * 500 * WAD)
    core.tick(20)
    core.market.accrue(ETH)
    set_equity(first, -WAD)
    absorb(core, first)
    giver = core.trader("others")
    core.market.fill(
        (ETH, giver, sign * WINDOW_CAP, -sign * WINDOW_CAP * 3_000, 0, KEEPER, 0, 0), sender=core.liquidator
    )
    set_equity(account, -10_000 * WAD)
    wanted = absorption(core, account)
    assert (wanted.fraction, wanted.side.open_interest, wanted.side.epoch) == (WAD, 0, 1)
    receipt = absorb(core, account)
    assert_absorbed(core, account, receipt, wanted)
    assert core.market.openInterest(ETH) == (0, 0)
    assert core.market.position(giver, ETH)[:2] == (0, 0)
    check_sums(core)


def test_absorb__those_who_are_closed__share_by_their_sizes(core: Core, set_equity: SetEquity) -> None:
    """Each short loses the same fraction at the same price; one who is settled later too."""
    shorts = [core.trader("others", 5_000_000, index=index) for index in range(3)]
    for short, size in zip(shorts, (400 * WAD, 200 * WAD + 1, 100 * WAD), strict=True):
        core.open(short, ETH, -size)
    account = core.trader("trader", 5_000_000)
    core.open(account, ETH, 700 * WAD + 1)
    core.tick(20, {ETH: 2_700 * WAD})
    core.market.accrue(ETH)
    set_equity(account, -20_000 * WAD)
    held = {short: core.market.position(short, ETH) for short in shorts}
    s = core.market.marketState(ETH)
    wanted = absorption(core, account)
    absorb(core, account)
    for short in reversed(shorts):
        base, quote, owed = held[short]
        kept = trunc_div(quote * wanted.side.k, s.shortK)
        stored = trunc_div(base * wanted.side.k, s.shortK), kept
        # Rounded up on its own since it was stored: one wei more or less than from the middle
        realised = ceil_div(base * (wanted.side.g - s.shortG), s.shortK) - (quote - kept)
        assert core.market.position(short, ETH)[:2] == stored
        assert abs(core.market.position(short, ETH)[2] - owed - realised) <= 1
    check_sums(core)


# --- several markets ---


def test_absorb__two_markets_beyond_their_caps__each_at_its_own_zero_price(core: Core, set_equity: SetEquity) -> None:
    """The second's deficit is what the first one's closing left."""
    others = core.trader("others", 20_000_000)
    account = core.trader("trader", 10_000_000)
    core.open(others, ETH, -500 * WAD)
    core.open(others, BTC, 60 * WAD)
    core.open(account, ETH, 500 * WAD)
    core.open(account, BTC, -60 * WAD)
    core.tick(20, {ETH: 2_700 * WAD, BTC: BTC_PRICE * 11 // 10})
    for market in (ETH, BTC):
        core.market.accrue(market)
    set_equity(account, -30_000 * WAD)
    first = absorption(core, account, ETH)
    assert first.base == -(500 * WAD - WINDOW_CAP)
    receipt = absorb(core, account)
    assert_absorbed(core, account, receipt, first, ETH)
    second = receipt.events("ClosedAgainstSide")[1]
    assert (second["marketId"], second["base"]) == (BTC, 60 * WAD - SCALES[BTC] * 8 // 10_000)
    # In the middle, the account's equity is first.left, with BTC at the index
    deficit = ceil_div(-first.left * WAD, 60 * WAD)
    assert second["zeroPrice"] == max(0, BTC_PRICE * 11 // 10 - deficit)
    assert core.vault.balanceOf(account) == 0
    check_sums(core, 2)


# --- anything ---


@settings(max_examples=40)
@given(
    sign=st.sampled_from([1, -1]),
    size=st.integers(WAD, 2_000 * WAD),
    others=st.integers(WAD, 2_500 * WAD),
    own_side=st.just(0) | st.integers(WAD, 500 * WAD),
    move=st.integers(-1_500, 1_500),
    equity=st.just(0) | st.integers(-(10**24), 0),
)
def test_absorb__any_position__as_the_specification_says(
    sign: int, size: int, others: int, own_side: int, move: int, equity: int
) -> None:
    core = deploy_core(Evm())
    if own_side:
        core.open(core.trader("own side", 5_000_000), ETH, sign * own_side)
    account = bankrupt(core, sign, size, others, ETH_PRICE * (10_000 + move) // 10_000)
    bystander = core.trader("bystander", 50_000_000)
    change = equity - core.market.healthOf(account)[0]
    core.vault.post([(account, change, 0, 0), (bystander, -change, 0, 0)], sender=core.pool)
    wanted = absorption(core, account)
    receipt = absorb(core, account)
    assert_absorbed(core, account, receipt, wanted)
    assert core.cash(account) == max(0, wanted.left)
    debts = receipt.events("DebtCovered")
    assert sum(event["debt"] for event in debts) == max(0, -wanted.left)
    core.token.mint(core.vault, 1)  # dust may be negative, by what is ownerless
    base = ownerless(1, 4, 5_000 * WAD)
    core.check_sums(core.unit + (base + 1) * 10**5, base)
