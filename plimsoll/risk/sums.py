"""The three sums that hold after every call, and how much dust the roundings can have left.

The ledger's dust is tokens (in WAD) − (Σ cash + Σ quote − Σ owed + fees not swept). Where nothing was ever
deleveraged it is ≥ 0 and at most the sum of

- for an accrual: 4 + 2(L + Sh)/RAY + 2L/K_long + 2Sh/K_short wei. F↑ and F↓ differ by 1 RAY wei a unit (L, Sh and
  |k| ≤ L + Sh over RAY), each G is rounded at most twice by 1 (L/K, Sh/K), the pool's flow once by 1;
- for a settle, and for a position in view: one ceiling an epoch walked and one more, at most 3 wei;
- nothing else: fills, fees and transfers move one integer between two accounts, and tokens convert exactly.

Closing a part of a side leaves base without an owner: open interest that counts and that no position has. With `own`
the most that it can be on a side, in wei:

- an event with fraction f makes it own × (1 − f) + 1 (cut is rounded down) + OI/K (K is), neither where it is exact;
- a settle across an event adds 1 (base is rounded down), and so does the end of an epoch for every position;
- the end of an epoch adds what it leaves to positions that slept through it and the two before: they walk no further.

What nobody owns pays nothing and gets nothing, but the counterpart gives or gets the flow of all open interest. So of
dollars, in wei:

- an event on longs adds at most 1 + own × dG/K to the dust: the flow, rounded up, is given for what nobody has;
- an event on shorts adds at most 1 and may take own × dG/K: the flow is had of what nobody owns. That is why dust can
  be negative, by the `credit_bound`, although every rounding is for the ledger: nothing in the ledger knows how much
  of its open interest is ownerless;
- an accrual likewise, own × ΔG/K: added where that side receives, taken where it owes;
- the end of an epoch, either way: what it brought to who slept through it and the two before, who has a billionth of
  his base in it at most (K of the second fell that far), and walks no further.
"""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.core.units import RAY
from plimsoll.risk.market import Market
from plimsoll.risk.position import effective
from plimsoll.risk.state import State


class Sums(NamedTuple):
    """What was found, WAD wei: dust ∈ [lowest, highest]."""

    dust: int
    lowest: int
    highest: int


def check_sums(state: State, now: int) -> Sums:
    """Every position of every account valued as of `now`. Raises AssertionError with the figures."""
    cash = sum(account.cash for account in state.accounts.values())
    assert cash == state.totals.cash, f"Σ cash is {cash}, the running sum {state.totals.cash}"
    return _ledger(state, cash, sum_of_markets(state, now, full=True))


def check_sums_quickly(state: State, now: int) -> Sums:
    """The same from running sums, in time that grows with the number of markets only.

    Markets with deleveraging events are summed position by position.
    """
    return _ledger(state, state.totals.cash, sum_of_markets(state, now, full=False))


def sum_of_markets(state: State, now: int, *, full: bool) -> tuple[int, int, int]:
    """(Σ quote − Σ owed + fees not swept, credit bound, debit bound) over all markets, with the pool's accounts."""
    value = lowest = highest = 0
    for market in state.markets.values():
        due = market.pending(state.cash_of(market.pool_account), now)
        debit, credit = market.accrual_dust(due) if due else (0, 0)
        highest += market.debit_bound + debit + 3 * market.count
        lowest -= market.credit_bound + credit
        value += market.pool_quote + (due.pool_quote if due else 0)
        value += market.unswept_insurance + market.unswept_treasury
        if full or market.events:
            value += _sum_positions(state, market, now)
        else:
            value += _sum_running(market, due.long if due else 0, due.short if due else 0)
    return value, lowest, highest


def _ledger(state: State, cash: int, markets: tuple[int, int, int]) -> Sums:
    value, lowest, highest = markets
    dust = state.totals.tokens * state.unit - cash - value
    assert lowest <= dust <= highest, f"the ledger's dust is {dust}, outside [{lowest}, {highest}]"
    return Sums(dust, lowest, highest)


def _sum_running(market: Market, due_long: int, due_short: int) -> int:
    """Σ quote − Σ owed with owed rounded up once a side: what the positions add is in the bound."""
    assert market.stored_long == market.long, f"market {market.id}: Σ long {market.stored_long}, OI {market.long}"
    assert market.stored_short == market.short, f"market {market.id}: Σ short {market.stored_short}, OI {market.short}"
    owed_long = market.stored_long * (market.g_long + due_long) - market.stored_long_g
    owed_short = -market.stored_short * (market.g_short + due_short) - market.stored_short_g
    return market.stored_quote + -owed_long // RAY + -owed_short // RAY


def _sum_positions(state: State, market: Market, now: int) -> int:
    long = short = value = count = stored_quote = 0
    due = market.pending(state.cash_of(market.pool_account), now)
    for account, position in market.positions.items():
        if not position.base:
            stored = (position.quote, position.g, position.k, position.epoch)
            assert stored == (0, 0, 0, 0), f"account {account}: no base, but {stored} stored"
            continue
        count += 1
        stored_quote += position.quote
        base, quote, owed = effective(position, market.side(position.base, due))
        long += max(base, 0)
        short += max(-base, 0)
        value += quote - owed
    assert count == market.count, f"market {market.id}: {count} positions, {market.count} counted"
    assert stored_quote == market.stored_quote, f"market {market.id}: Σ stored quote is not the running sum"
    for name, owned, interest, ownerless in (
        ("long", long, market.long, market.ownerless_long),
        ("short", short, market.short, market.ownerless_short),
    ):
        bound = ownerless + count if market.events else 0
        assert 0 <= interest - owned <= bound, (
            f"market {market.id}: {name} OI {interest}, owned {owned}, ownerless at most {bound}"
        )
    return value
