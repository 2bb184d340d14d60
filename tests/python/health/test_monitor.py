"""Nobody is missed and nobody is accused: the monitor against the model, on boundaries and along random walks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.core import ids
from plimsoll.core.units import RAY, WAD
from plimsoll.health import monitor as monitors
from plimsoll.health.accounts import Balance
from plimsoll.health.monitor import Monitor
from plimsoll.risk.position import Position
from tests.python.health.books import NOW, POOL, TRADER, Book, books
from tests.python.health.mirrored import Mirrored
from tests.python.risk.walk import ETH, Walk

ACCOUNT = ids.pack(TRADER)
NEAR = st.one_of(st.integers(-3, 3), st.integers(-(10**9), 10**9))


def check_boundary(book: Book, distance: int) -> None:
    """Whether the account is found, with the model's sums, by the lower bound and by both."""
    cash = distance - book.gap(0)
    if abs(cash) >= 2**127:
        return
    found = book.monitor(cash, ACCOUNT).unhealthy(NOW)
    expected = [(ACCOUNT, distance)] if distance < 0 else []
    assert [(one.account, one.equity - one.maintenance) for one in found] == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitors, "MANY", 0)
        assert book.monitor(cash, ACCOUNT).liquidatable(NOW) == ([ACCOUNT] if distance < 0 else [])


@given(books(), NEAR)
def test_unhealthy__account_at_the_boundary__is_found_iff_the_model_says_so(book: Book, distance: int) -> None:
    check_boundary(book, distance)


@pytest.mark.deep
@given(books(), NEAR)
def test_unhealthy__very_many_accounts_at_the_boundary__are_found_iff_the_model_says_so(
    book: Book, distance: int
) -> None:
    check_boundary(book, distance)


def test_bounds__accounts_a_millionth_of_a_dollar_from_the_boundary__are_told_apart_without_the_model() -> None:
    """The bounds are not only true but tight: the model is asked about very few."""
    walk = Walk(4)
    walk.run(1_500)
    mirrored = Mirrored(walk.protocol.state)
    mirrored.update()
    monitor, now = mirrored.monitor, walk.now
    held = [account for account, slot in walk.protocol.state.accounts.items() if slot.markets]
    assert len(held) > 10
    for distance in (10**12, -(10**12)):
        for account in held:
            equity, required = monitor.health(account, now)
            cash = monitor.balance(account).cash + distance - (equity - required)
            monitor.set_balance(account, monitor.balance(account)._replace(cash=cash))
        candidates, of_sides = monitor._candidates(now, monitor._pending(now))
        assert len(candidates) == (0 if distance > 0 else len(held))
    assert sum(monitor._upper(of_sides) < -monitors._wei(of_sides)) == len(held)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_unhealthy__along_a_walk_with_deleveraging_and_epochs__is_what_the_model_says(seed: int) -> None:
    walk = Walk(seed, volatility=0.02, deleveraging=True)
    mirrored = Mirrored(walk.protocol.state)
    seen = 0
    for step in range(6_000):
        walk.step()
        if step % 10 == 0:
            mirrored.update()
            seen += mirrored.check(walk.now)
    assert seen > 20
    assert any(market.epoch_long + market.epoch_short for market in walk.protocol.state.markets.values())


def test_unhealthy__protocol_accounts__are_never_among_them() -> None:
    walk = Walk(1)
    monitor = Monitor(walk.protocol.state.markets, protocol=(POOL,))
    monitor.set_balance(ids.pack(POOL, ETH), Balance(-WAD, 0, 0))
    monitor.set_balance(ACCOUNT, Balance(-1, 0, 0))
    assert monitor.unhealthy(walk.now) == [(ACCOUNT, -1, 0)]


def test_set_position__side_changed_and_closed__leaves_the_others_where_they_are() -> None:
    walk = Walk(1)
    monitor = Monitor(walk.protocol.state.markets)
    held = {ids.pack(TRADER, 0, index): position(WAD * (index + 1)) for index in range(5)}
    for account, one in held.items():
        monitor.set_position(account, ETH, one)
    first, second, *_ = held
    held[second] = position(-7 * WAD)
    monitor.set_position(second, ETH, held[second])
    monitor.set_position(first, ETH, Position())
    assert monitor.position(first, ETH) is None
    del held[first]
    for account, one in held.items():
        kept = monitor.position(account, ETH)
        assert kept is not None
        assert Position.image(kept) == Position.image(one)
    assert monitor.position(second, 2) is None
    assert [market for market, _ in monitor.positions(second)] == [ETH]


def test_set_balance__number_that_the_vault_cannot_store__is_refused() -> None:
    with pytest.raises(OverflowError):
        Monitor().set_balance(ACCOUNT, Balance(2**127, 0, 0))


def test_balance__account_never_seen__is_nothing() -> None:
    monitor = Monitor()
    assert monitor.balance(ACCOUNT) == (0, 0, 0)
    assert monitor.health(ACCOUNT, NOW) == (0, 0)
    assert list(monitor.positions(ACCOUNT)) == []


def position(base: int) -> Position:
    held = Position()
    held.base, held.quote, held.k = base, -2_000 * base, RAY
    return held
