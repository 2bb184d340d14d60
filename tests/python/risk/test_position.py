"""Positions: fills, and settling through epochs."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.core.units import RAY, WAD
from plimsoll.risk.position import Position, SideState, effective, fill

sizes = st.integers(-(10**27), 10**27).filter(bool)
sums = st.integers(-(10**30), 10**30)


def stored(base: int, quote: int, g: int = 0, k: int = RAY, epoch: int = 0) -> Position:
    position = Position()
    position.base, position.quote, position.g, position.k, position.epoch = base, quote, g, k, epoch
    return position


@given(base=st.integers(-(10**27), 10**27), quote=sums, size=sizes, amount=sums)
def test_fill__any__moves_base_and_conserves_quote_and_cash(base, quote, size, amount):
    if not base:
        quote = 0
    after, after_quote, cash = fill(base, quote, size, amount)
    assert after == base + size
    assert after_quote + cash == quote + amount
    assert after or not after_quote


def test_fill__part__releases_quote_toward_zero():
    assert fill(3, -10, -1, 5) == (2, -7, 2)
    assert fill(-3, 10, 1, -5) == (-2, 7, -2)
    assert fill(3, -10, -3, 15) == (0, 0, 5)


def test_fill__crossing_zero__closes_in_full_and_opens_the_rest():
    """A long of 3 entered at 10, sold 4 at 12: 6 gained, short 1 entered at 12."""
    assert fill(3, -30, -4, 48) == (-1, 12, 6)
    assert fill(-3, 30, 4, -48) == (1, -12, -6)
    assert fill(3, -30, -7, 50) == (-4, 29, -9)


def test_effective__same_epoch_and_scale__owes_rounded_up():
    side = SideState(g=7, k=RAY, epoch=0, ends=())
    assert effective(stored(1, -5), side) == (1, -5, 1)
    assert effective(stored(-1, 5), side) == (-1, 5, 0)
    assert effective(stored(3 * RAY, -5, g=2), side) == (3 * RAY, -5, 15)
    assert effective(stored(0, 0), side) == (0, 0, 0)


def test_effective__scaled__realises_the_part_of_the_quote():
    side = SideState(g=-600 * RAY, k=7 * RAY // 10, epoch=0, ends=())
    base, quote, owed = effective(stored(10 * WAD, -15_000 * WAD), side)
    assert (base, quote) == (7 * WAD, -10_500 * WAD)
    assert owed == -6_000 * WAD + 4_500 * WAD


@pytest.mark.parametrize("epochs", [0, 1, 2, 3, 4])
def test_effective__epochs_walked__two_at_most_then_nothing_is_left(epochs):
    """A tenth over a billion left at the end of every epoch, G 100 further each; nothing owed is lost on the way."""
    end_k = 10**17
    ends = tuple(((n + 1) * 100 * RAY, end_k) for n in range(epochs))
    side = SideState(g=(epochs * 100 + 50) * RAY, k=RAY, epoch=epochs, ends=ends)
    size, cost = 10**30, -(10**33)
    base, quote, owed = effective(stored(size, cost), side)
    left = (1, Fraction(end_k, RAY), Fraction(end_k, RAY) ** 2, 0, 0)[epochs]
    assert base == size * left
    assert quote == cost * left if epochs < 3 else quote == 0
    expected, held = Fraction(0), Fraction(size)
    for _ in range(min(epochs, 2)):
        expected += 100 * held
        held *= Fraction(end_k, RAY)
    if epochs < 3:
        expected += 50 * held
    expected -= cost - quote
    assert 0 <= owed - expected <= 3


@pytest.mark.parametrize("epochs", [1, 2, 3, 5])
@pytest.mark.parametrize("sign", [1, -1])
def test_effective__closed_in_full__leaves_zeros_and_the_result_in_owed(epochs, sign):
    ends = tuple((-1_000 * RAY, 0) for _ in range(epochs))
    side = SideState(g=5 * RAY, k=RAY, epoch=epochs, ends=ends)
    assert effective(stored(sign * 2 * WAD, -sign * 1_500 * WAD), side) == (0, 0, -sign * 500 * WAD)


@given(
    base=sizes, quote=sums, g=st.integers(-(10**32), 10**32), k=st.integers(10**18, RAY), at=st.integers(10**18, RAY)
)
def test_effective__scaled__never_grows_and_never_owes_too_little(base, quote, g, k, at):
    k = min(k, at)
    after, after_quote, owed = effective(stored(base, quote, k=at), SideState(g, k, 0, ()))
    assert abs(after) <= abs(base)
    assert abs(after_quote) <= abs(quote)
    exact = Fraction(base * g, at) - (quote - after_quote)
    assert 0 <= owed - exact < 1
