"""The accumulators of a side: positions after events of deleveraging, through epochs. The events are injected."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import ETH, ETH_PRICE, WAD
from tests.support.evm import Evm
from tests.unit.market.conftest import Desk, open_desk, signed
from tests.unit.market.reference import K_MIN, RAY, ceil_div, ownerless, trunc_div


@dataclass
class SideModel:
    """One side's accumulators and the pool's quote, from the specification, section 3, without time."""

    sign: int
    open_interest: int
    g: int = 0
    k: int = RAY
    epoch: int = 0
    ends: list[tuple[int, int]] = field(default_factory=list)
    pool_quote: int = 0

    def deleverage(self, fraction: int, price: int) -> None:
        cut = self.open_interest * fraction // WAD
        if self.sign > 0:
            moved = self.k * (fraction * price // WAD) // WAD
            self.pool_quote -= ceil_div(self.open_interest * moved, self.k)
        else:
            moved = ceil_div(self.k * ceil_div(fraction * price, WAD), WAD)
            self.pool_quote += self.open_interest * moved // self.k
        self.g -= moved
        self.open_interest -= cut
        self.k = self.k * (WAD - fraction) // WAD
        if self.k < K_MIN:
            self.ends.append((self.g, self.k))
            self.k, self.epoch = RAY, self.epoch + 1

    def settled(self, base: int, quote: int) -> tuple[int, int, int]:
        """A position entered before any event: (base, quote, owed) now."""
        g, k, epoch, owed, steps = 0, RAY, 0, 0, 0

        def to(new_g: int, new_k: int) -> None:
            nonlocal base, quote, owed
            owed += ceil_div(base * (new_g - g), k)
            base, scaled = trunc_div(base * new_k, k), trunc_div(quote * new_k, k)
            owed -= quote - scaled
            quote = scaled

        while epoch < self.epoch and base and steps < 2:
            to(*self.ends[epoch])
            g, k, epoch, steps = self.ends[epoch][0], RAY, epoch + 1, steps + 1
        if epoch < self.epoch:
            return 0, 0, owed - quote
        to(self.g, self.k)
        return (base, quote, owed) if base else (0, 0, owed - quote)


@pytest.fixture
def harness(evm: Evm) -> Desk:
    return open_desk(evm, market_contract="PerpMarketHarness")


@pytest.fixture(scope="module")
def shared_harness(built: None) -> Desk:
    return open_desk(Evm(), market_contract="PerpMarketHarness")


def inject(desk: Desk, held: int, fraction: int, price: int) -> None:
    desk.core.market.injectDeleveraging(ETH, held > 0, fraction, price)


@pytest.mark.parametrize("held", [100 * WAD, -100 * WAD])
@pytest.mark.parametrize("price", [2_700 * WAD, ETH_PRICE, 3_400 * WAD])
def test_position__after_a_quarter_is_deleveraged__is_smaller_and_realised(
    harness: Desk, held: int, price: int
) -> None:
    """The base and the quote shrink by a quarter, and the result of the quarter at that price is owed or due."""
    desk, trader = harness, harness.rich()
    desk.trade(trader, held)
    _, quote, _ = desk.position(trader)
    pool_quote = desk.pool_quote()
    inject(desk, held, WAD // 4, price)
    base, left, owed = desk.position(trader)
    assert (base, left) == (held * 3 // 4, trunc_div(quote * 3, 4))
    assert owed == -(held // 4 * price // WAD + quote - left)
    assert desk.core.market.skew(ETH) == held * 3 // 4
    assert desk.pool_quote() == pool_quote - held // 4 * price // WAD
    desk.core.check_sums()


@pytest.mark.parametrize("held", [100 * WAD, -100 * WAD])
def test_trade__after_an_event__settles_what_it_realised(harness: Desk, held: int) -> None:
    desk, trader = harness, harness.rich()
    desk.trade(trader, held)
    inject(desk, held, WAD // 2, 2_900 * WAD)
    cash, (base, quote, owed) = desk.core.cash(trader), desk.position(trader)
    receipt = desk.trade(trader, held // 10)
    fee = receipt.value[2]
    assert desk.core.cash(trader) == cash - owed - fee
    assert desk.position(trader) == (base + held // 10, quote + receipt.event("Traded")["quote"], 0)
    desk.core.check_sums()


@pytest.mark.parametrize("held", [100 * WAD, -100 * WAD])
def test_position__wholly_deleveraged__is_gone_and_its_bit_clears_when_it_settles(harness: Desk, held: int) -> None:
    desk, trader = harness, harness.rich()
    desk.trade(trader, held)
    _, quote, _ = desk.position(trader)
    inject(desk, held, WAD, 3_100 * WAD)
    owed = -(held * 3_100 * WAD // WAD + quote)
    assert desk.position(trader) == (0, 0, owed)
    assert (desk.slot(trader).markets, desk.core.market.skew(ETH)) == (1, 0)
    cash = desk.core.cash(trader)
    desk.fill(trader, 0, 0)
    assert (desk.slot(trader).markets, desk.core.cash(trader)) == (0, cash - owed)
    assert desk.position(trader) == (0, 0, 0)
    desk.trade(trader, held)
    assert desk.position(trader)[0] == held
    desk.core.check_sums()


def test_deleveraging__of_one_side__leaves_the_other(harness: Desk) -> None:
    desk, long, short = harness, harness.rich("long"), harness.rich("short")
    desk.trade(long, 100 * WAD)
    desk.trade(short, -60 * WAD)
    before = desk.position(short)
    inject(desk, 1, WAD // 2, ETH_PRICE)
    assert desk.position(short) == before
    assert desk.core.market.openInterest(ETH) == (50 * WAD, 60 * WAD)
    desk.core.check_sums()


@settings(max_examples=60)
@given(
    held=signed(WAD, 2_000 * WAD),
    events=st.lists(
        st.tuples(
            st.one_of(st.integers(1, WAD), st.sampled_from([WAD, WAD - 1, WAD - 10**9, WAD - 10**8])),
            st.integers(100 * WAD, 9_000 * WAD),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_position__random_events__walks_as_the_specification_says(
    shared_harness: Desk, held: int, events: list[tuple[int, int]]
) -> None:
    """Epochs end where K falls below 1e-9; a position walks at most two of them, and is gone after that."""
    desk = shared_harness
    with desk.isolated():
        trader = desk.rich()
        desk.trade(trader, held)
        _, quote, _ = desk.position(trader)
        stored = desk.core.market.marketState(ETH)
        model = SideModel(1 if held > 0 else -1, abs(held), pool_quote=stored.poolQuote)
        base_g = stored.longG if held > 0 else stored.shortG
        model.g = 0
        for fraction, price in events:
            inject(desk, held, fraction, price)
            model.deleverage(fraction, price)
        state = desk.core.market.marketState(ETH)
        g, k, epoch, open_interest = (
            (state.longG, state.longK, state.longEpoch, state.openLong)
            if held > 0
            else (state.shortG, state.shortK, state.shortEpoch, state.openShort)
        )
        assert (g - base_g, k, epoch, open_interest) == (model.g, model.k, model.epoch, model.open_interest)
        assert state.poolQuote == model.pool_quote
        assert desk.position(trader) == model.settled(held, quote)
        base = ownerless(len(events), 1, abs(held))
        allowed = (base + 1) * 9_000 * len(events) + 100
        desk.core.token.mint(desk.core.vault, 1)  # shorts without an owner pay nothing: dust may be negative, in wei
        assert -allowed <= desk.core.check_sums(desk.core.unit + allowed, base) - desk.core.unit
