"""What passes the caps of an absorption is closed against the other side, at the price that leaves no debt of its own.

No debt: of a long, whose part is given rounded up; of a short that pays what it gives in full wei, up to DUST of it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.core import ids
from plimsoll.core.units import RAY, WAD
from plimsoll.risk.liquidation import Absorption, AgainstSide
from plimsoll.risk.protocol import Protocol
from tests.python.risk.setting import (
    ACCOUNT,
    BTC,
    ETH,
    KEEPER,
    NO_FEES,
    NOW,
    OTHER_ACCOUNT,
    SCALE,
    UNIT,
    buy,
    deployed,
    set_price,
)  # fmt: skip

FUND = ids.pack(0xA002)
THIRD, FOURTH = ids.pack(0x1003), ids.pack(0x1004)
LATER = NOW + 1
DUST = 10**6
"""WAD wei, a millionth of a millionth of a dollar."""
FALL = {1: 940 * WAD, -1: 1_060 * WAD}
"""By the sign of the position: a price at which a position of 100 that is worth 5,200 has nothing left."""


def crowded(
    sign: int = 1, *, others: tuple[int, int] = (100, 50), cash: int | None = None, price: int = 0, size: int = 100
) -> Protocol:
    """A position of ±100 opened last, after two of the other side; its account's cash; then a price.

    No fees: the cap of the window is 0, so that all that grows the skew passes it.
    """
    protocol = deployed(NO_FEES, NO_FEES)
    for account in (THIRD, FOURTH):
        protocol.deposit(account, 10**6 * UNIT)
    for account, other in zip((THIRD, FOURTH), others, strict=True):
        if other:
            buy(protocol, -sign * other * WAD, account=account)
    buy(protocol, sign * size * WAD)
    if cash is None:
        cash = 5_200 * WAD
    give(protocol, cash - protocol.cash_of(ACCOUNT))
    set_price(protocol, price or FALL[sign], LATER)
    return protocol


def give(protocol: Protocol, dollars: int) -> None:
    """WAD dollars of the fund's to the account, or back."""
    protocol.state.credit(ACCOUNT, dollars)
    protocol.state.credit(FUND, -dollars)


def absorb(protocol: Protocol) -> Absorption:
    done = protocol.absorb(ACCOUNT, now=LATER, sender=KEEPER)
    assert protocol.markets_bitmap(ACCOUNT) == 0
    assert protocol.cash_of(ACCOUNT) >= 0
    protocol.check_sums(LATER)
    assert protocol.check_sums_quickly(LATER).dust == protocol.check_sums(LATER).dust
    return done


def unrealised(protocol: Protocol, market: int = ETH) -> int:
    """u at the newest price, of the account that nobody settled yet (nothing is owed without funding)."""
    base, quote, owed = protocol.position(ACCOUNT, market, LATER)
    assert owed == 0
    newest = protocol.state.markets[market].newest
    assert newest is not None
    return base * newest.price // WAD + quote


# ----------------------------------------------------------------------------------------------------- the zero price


@pytest.mark.parametrize("sign", [1, -1])
def test_absorb__all_beyond_the_caps__leaves_no_debt_and_no_skew(sign):
    protocol = crowded(sign)
    skew, fund = protocol.skew(ETH), protocol.cash_of(FUND)
    assert skew == -sign * 50 * WAD
    deficit = -(5_200 * WAD + unrealised(protocol))
    assert 0 < deficit < 1_000 * WAD
    holders = {account: protocol.position(account, ETH, LATER) for account in (THIRD, FOURTH)}
    equities = {account: protocol.equity(account, LATER) for account in holders}

    done = absorb(protocol)

    zero_price = FALL[sign] + sign * -(-deficit // 100)
    fraction = -(-100 * WAD * WAD // (150 * WAD))
    (closed,) = done.against_sides
    assert closed[:2] == (ETH, -sign * 100 * WAD)
    assert closed[3:] == (zero_price, fraction)
    assert 0 <= closed.flow - 100 * zero_price <= 300 * zero_price // WAD
    assert 0 <= protocol.cash_of(ACCOUNT) <= (DUST if sign > 0 else 0)
    assert 0 <= done.debt <= (0 if sign > 0 else DUST)
    assert protocol.cash_of(FUND) == fund - done.debt
    assert abs(protocol.skew(ETH) - skew) <= 150
    for account, (base, _, _) in holders.items():
        assert protocol.position(account, ETH, LATER)[0] == -sign * (abs(base) * (WAD - fraction) // WAD)
        given = abs(base) * fraction * (deficit // 100) // WAD // WAD
        assert abs(equities[account] - protocol.equity(account, LATER) - given) <= DUST
    assert (protocol.state.markets[ETH].moved, protocol.state.markets[ETH].absorbed) == (0, 0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("cash", [0, 1, -1, 4_000 * WAD, -4_000 * WAD])
def test_absorb__any_cash__the_other_side_gives_at_most_what_it_gained_from_the_position(sign, cash):
    """What an account owed before counts for nothing here: it is the fund's."""
    protocol = crowded(sign, cash=cash)
    loss = -unrealised(protocol)
    fund = protocol.cash_of(FUND)
    deficit = min(loss, loss - cash)
    done = absorb(protocol)
    assert done.against_sides[0].zero_price == FALL[sign] + sign * -(-deficit // 100)
    assert abs(done.debt - max(0, -cash)) <= DUST
    assert protocol.cash_of(FUND) == fund - done.debt


def test_absorb__gain_here_and_ruin_elsewhere__is_closed_at_the_price():
    """A long of ETH that gained; the account is bankrupt by a long of BTC."""
    protocol = crowded(price=1_010 * WAD, cash=50_000 * WAD)
    buy(protocol, 100 * WAD, market=BTC)
    give(protocol, -49_500 * WAD)
    set_price(protocol, 980 * WAD, LATER, market=BTC)
    assert unrealised(protocol) > 0
    loss = -unrealised(protocol, BTC)
    done = absorb(protocol)
    (closed,) = done.against_sides
    assert (closed.market_id, closed.zero_price) == (ETH, 1_010 * WAD)
    assert 0 < done.debt < loss
    assert done.debt == done.from_fund


@pytest.mark.parametrize("cash", [0, 4_000 * WAD, -2_000 * WAD])
def test_absorb__two_markets_beyond_the_caps__the_first_gives_what_is_short_and_the_second_the_rest(cash):
    """V of the second is what is left after the first was closed. Losses are about 6,000 and 1,000."""
    protocol = crowded(cash=50_000 * WAD)
    for account in (THIRD, FOURTH):
        buy(protocol, -75 * WAD, account=account, market=BTC)
    buy(protocol, 50 * WAD, market=BTC)
    give(protocol, cash - 50_000 * WAD)
    set_price(protocol, 980 * WAD, LATER, market=BTC)
    losses = [-unrealised(protocol, market) for market in (ETH, BTC)]
    short = sum(losses) - cash
    first = min(short, losses[0])
    done = absorb(protocol)
    assert [closed.market_id for closed in done.against_sides] == [ETH, BTC]
    assert done.against_sides[0].zero_price == 940 * WAD + -(-first // 100)
    left = short - first
    second = min(left, losses[1])
    assert abs(done.against_sides[1].zero_price - (980 * WAD + second // 50)) <= 10**5
    assert abs(done.debt - (left - second)) <= DUST


def test_absorb__two_markets_one_with_room__the_pool_has_the_second():
    protocol = crowded(cash=50_000 * WAD)
    buy(protocol, 50 * WAD, market=BTC)
    give(protocol, -50_000 * WAD)
    set_price(protocol, 980 * WAD, LATER, market=BTC)
    fill = protocol.state.markets[BTC].fill_quote(-50 * WAD, 980 * WAD, 0)
    debt = -protocol.position(ACCOUNT, BTC, LATER)[1] - fill.amount
    done = absorb(protocol)
    (closed,) = done.against_sides
    assert closed.market_id == ETH
    assert protocol.skew(BTC) == 0
    assert 0 <= debt - done.debt <= DUST


# ------------------------------------------------------------------------------------------------------------ the caps


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("others", [(100, 0), (60, 40), (50, 50)])
def test_absorb__as_much_as_the_other_side_has__ends_its_epoch(sign, others):
    protocol = crowded(sign, others=others)
    assert protocol.skew(ETH) == 0
    done = absorb(protocol)
    assert done.against_sides[0].fraction == WAD
    assert protocol.open_interest(ETH) == (0, 0)
    market = protocol.state.markets[ETH]
    assert (market.k_long, market.k_short) == (RAY, RAY)
    assert (market.epoch_long, market.epoch_short) == (0, 1)[::sign]
    for account in (THIRD, FOURTH):
        market = protocol.state.markets[ETH]
        protocol.state.settle(market, account)
        assert protocol.markets_bitmap(account) == 0
    protocol.check_sums(LATER)


@pytest.mark.parametrize(("size", "other"), [(100, 99), (100, 50), (100, 3), (100, 0)])
def test_absorb__more_than_the_other_side_has__only_what_grows_the_skew_is_closed_against_it(size, other):
    """To the pool first goes what brings the skew to nothing: what grows it is never more than the other side has."""
    protocol = crowded(others=(other, 0), size=size)
    skew = (size - other) * WAD
    assert protocol.skew(ETH) == skew
    done = absorb(protocol)
    grown = max(0, other * WAD - skew)
    assert sum(abs(closed.base) for closed in done.against_sides) == grown
    assert abs(abs(protocol.skew(ETH)) - (skew if grown else other * WAD)) <= 100


CAP_OF_WINDOW = SCALE * 8 // 10_000
CAP_OF_HOUR = SCALE * 50 // 10_000
FEES = replace(NO_FEES, maker_bps=2, taker_bps=6)


@pytest.mark.parametrize("left", [0, 1, 40 * WAD, 100 * WAD - 1, 100 * WAD, 101 * WAD])
@pytest.mark.parametrize("by_hour", [False, True])
def test_absorb__room_left_of_window_or_hour__the_pool_takes_that_much(left, by_hour):
    protocol = crowded()
    protocol.set_params(ETH, FEES, now=LATER)
    market = protocol.state.markets[ETH]
    if by_hour:
        market.count_absorbed(LATER, CAP_OF_HOUR - left)
    else:
        market.count_moved(LATER, CAP_OF_WINDOW - left)
    moved, absorbed = market.moved_in(LATER), market.absorbed_in(LATER)
    skew = abs(protocol.skew(ETH))
    done = absorb(protocol)
    taken = min(left, 100 * WAD)
    assert sum(closed.base for closed in done.against_sides) == taken - 100 * WAD
    assert market.moved_in(LATER) - moved == market.absorbed_in(LATER) - absorbed == taken
    assert abs(abs(protocol.skew(ETH)) - skew - taken) <= 151


def test_absorb__caps_passed_already__room_is_nothing():
    protocol = crowded()
    protocol.set_params(ETH, FEES, now=LATER)
    market = protocol.state.markets[ETH]
    market.count_moved(LATER, 2 * CAP_OF_WINDOW)
    done = absorb(protocol)
    assert [closed.base for closed in done.against_sides] == [-100 * WAD]
    assert (market.moved_in(LATER), market.absorbed_in(LATER)) == (2 * CAP_OF_WINDOW, 0)


@pytest.mark.parametrize("later", [0, 1])
def test_absorb__next_window_and_next_hour__have_room_again(later):
    """A record more than 4 seconds after the window's first; a call in the next hour by the clock."""
    protocol = crowded()
    protocol.set_params(ETH, FEES, now=LATER)
    market = protocol.state.markets[ETH]
    market.count_moved(LATER - 4 - later, CAP_OF_WINDOW)
    done = absorb(protocol)
    assert len(done.against_sides) == 1 - later

    protocol = crowded()
    hour = NOW - NOW % 3_600 + 3_600
    protocol.set_params(ETH, FEES, now=LATER)
    protocol.state.markets[ETH].count_absorbed(hour - 1, CAP_OF_HOUR)
    at = hour - 1 + later
    set_price(protocol, FALL[1], at)
    done = protocol.absorb(ACCOUNT, now=at, sender=KEEPER)
    assert len(done.against_sides) == 1 - later
    protocol.check_sums(at)


def test_absorb__part_to_the_pool__its_impact_is_the_debt():
    """The fill moves the price by the half of 40/S: what it costs is no part of the zero price."""
    protocol = crowded()
    protocol.set_params(ETH, FEES, now=LATER)
    market = protocol.state.markets[ETH]
    market.count_absorbed(LATER, CAP_OF_HOUR - 40 * WAD)
    deficit = -(5_200 * WAD + unrealised(protocol))
    fill = market.fill_quote(-40 * WAD, FALL[1], 0)
    done = absorb(protocol)
    (closed,) = done.against_sides
    assert closed.zero_price == FALL[1] + -(-deficit // 100)
    lost = 40 * closed.zero_price - fill.amount
    assert lost > 0
    assert 0 <= lost - done.debt <= DUST
    assert done.from_fund == done.debt


def test_absorb__two_after_each_other__everyone_gives_the_same_part_each_time():
    """The shorts are closed by 100/150, then by 30 of the 50 that are left: who comes second finds a smaller side."""
    protocol = crowded(others=(100, 50))
    protocol.deposit(OTHER_ACCOUNT, 10**5 * UNIT)
    buy(protocol, 30 * WAD, account=OTHER_ACCOUNT, now=LATER)
    loss = protocol.equity(OTHER_ACCOUNT, LATER) + WAD
    protocol.state.credit(OTHER_ACCOUNT, -loss)
    protocol.state.credit(FUND, loss)
    first = absorb(protocol)
    second = protocol.absorb(OTHER_ACCOUNT, now=LATER, sender=KEEPER)
    assert [closed.base for closed in (*first.against_sides, *second.against_sides)] == [-100 * WAD, -30 * WAD]
    left = [abs(protocol.position(account, ETH, LATER)[0]) for account in (THIRD, FOURTH)]
    assert abs(left[0] - 40 * WAD // 3) <= 200
    assert abs(left[1] - 20 * WAD // 3) <= 200
    assert 0 <= protocol.open_interest(ETH)[1] - sum(left) <= 3
    protocol.check_sums(LATER)


# ---------------------------------------------------------------------------------------------------------------- any


@given(
    sign=st.sampled_from((1, -1)),
    others=st.tuples(st.integers(2, 160), st.integers(0, 90)),
    cash=st.integers(-8_000 * WAD, 8_000 * WAD),
    price=st.integers(1, 2 * 10**3 * WAD),
    moved=st.integers(0, CAP_OF_WINDOW),
)
@settings(max_examples=80)
def test_absorb__any_account__is_left_with_nothing_and_every_dollar_is_somewhere(sign, others, cash, price, moved):
    protocol = crowded(sign, others=others, cash=cash, price=price)
    protocol.set_params(ETH, FEES, now=LATER)
    market = protocol.state.markets[ETH]
    market.count_moved(LATER, CAP_OF_WINDOW - min(moved, 200 * WAD))
    if market.events or not protocol.is_bankrupt(ACCOUNT, LATER):
        return
    opposite = market.short if sign > 0 else market.long
    skew = abs(market.skew)
    done = absorb(protocol)
    for closed in done.against_sides:
        assert isinstance(closed, AgainstSide)
        assert 0 <= closed.zero_price <= 2 * price
        assert abs(closed.base) <= opposite
        assert closed.fraction <= WAD
    assert abs(market.skew) <= max(skew, 150 * WAD) + min(moved, 200 * WAD) + 300
