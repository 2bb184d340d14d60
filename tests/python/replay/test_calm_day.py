"""A market maker's calm day: profitable at the default flow, reproducible, and every dollar accounted for."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import SECONDS_PER_DAY, WAD
from plimsoll.keepers.quoting import Quoting
from plimsoll.replay import calm_day, calm_prices
from plimsoll.replay.calm_day import MARKET, CalmDay, main, simulate
from plimsoll.replay.calm_prices import CALM_PERCENT, MADE_UP_PRICE, STEP, Day, made_up_day
from plimsoll.risk.scenario import prices

DAY = made_up_day(1)
HOURS = Day(DAY.name, DAY.start, DAY.prices[: 3 * 3_600 // STEP])


@pytest.fixture(scope="module")
def short() -> CalmDay:
    """Three hours, run."""
    day = CalmDay(HOURS)
    day.run()
    return day


def test_simulate__calm_day_at_the_default_flow__is_profitable() -> None:
    result = simulate(DAY)
    assert result.pnl > 1_000 * WAD
    assert result.counts["fills"] > 500
    assert result.spread > result.adverse + result.fees > 0
    assert result.max_inventory < 100_000 * WAD


def test_simulate__informed_flow_alone__loses() -> None:
    result = simulate(HOURS, 100)
    assert result.pnl < 0 < result.adverse
    assert result.counts["informed_fills"] == result.counts["fills"] > 0


def test_run__parts__add_up_to_the_profit_to_the_wei(short: CalmDay) -> None:
    # each part is rounded down on its own: three of them, and the value of the position
    assert abs(short.result.pnl - short.result.parts) <= 4


def test_run__cash_and_base__are_conserved(short: CalmDay) -> None:
    state, protocol, now = short.protocol.state, short.protocol, HOURS.start + (len(HOURS.prices) - 1) * STEP
    market = state.markets[MARKET]
    held = {account: protocol.position(account, MARKET, now) for account in market.positions}
    assert sum(base for base, _, _ in held.values()) == market.skew
    sums = protocol.check_sums(now)
    assert sums.lowest == 0 <= sums.dust <= sums.highest < 10**6
    pool = protocol.position(market.pool_account, MARKET, now)[1]
    quotes = sum(quote - owed for _, quote, owed in held.values())
    cash = sum(account.cash for account in state.accounts.values())
    fees = market.unswept_insurance + market.unswept_treasury
    assert state.totals.tokens * state.unit == cash + quotes + pool + fees + sums.dust


def test_run__each_match__moves_what_one_loses_to_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What time adds is booked before, so that nothing is rounded: equal to the wei, fees included."""
    day = CalmDay(Day(HOURS.name, HOURS.start, HOURS.prices[:360]))
    protocol, market = day.protocol, day.protocol.state.markets[MARKET]
    match_batch, sums = protocol.match_batch, []

    def ledger(now: int) -> tuple[int, int]:
        held = [protocol.position(account, MARKET, now) for account in market.positions]
        claims = sum(quote - owed for _, quote, owed in held) + market.pool_quote
        cash = protocol.state.totals.cash + market.unswept_insurance + market.unswept_treasury
        return sum(base for base, _, _ in held), cash + claims

    def watched(*args: Any, now: int, **options: Any) -> Any:
        protocol.state.accrue(market, now)
        before = ledger(now)
        done = match_batch(*args, now=now, **options)
        sums.append((before, ledger(now)))
        return done

    monkeypatch.setattr(protocol, "match_batch", watched)
    assert day.run().counts["fills"] >= len(sums) > 10
    assert all(before == after for before, after in sums)


def test_simulate__same_seed__is_the_same_day() -> None:
    day = Day(HOURS.name, HOURS.start, HOURS.prices[:360])
    first, second, other = (simulate(day, seed=seed) for seed in (1, 1, 2))
    assert first == second
    assert first.pnl != other.pnl


def test_simulate__inventory_beyond_the_limit__is_laid_off_and_paid_for() -> None:
    result = simulate(HOURS, terms=Quoting(lay_off_beyond=10_000 * WAD))
    assert result.counts["lay_offs"] > 0
    assert result.laid_off > 0
    assert abs(result.pnl - result.parts) <= 5


@pytest.mark.parametrize("share", [-1, 101])
def test_calm_day__no_share__is_refused(share: int) -> None:
    with pytest.raises(UserError, match="is not between 0 and 100"):
        CalmDay(HOURS, share)


# --- prices ------------------------------------------------------------------------------------------------------


def test_made_up_day__seed__is_a_calm_walk() -> None:
    assert len(DAY.prices) * STEP == SECONDS_PER_DAY
    assert DAY.prices[0] == MADE_UP_PRICE
    assert WAD // 50 < DAY.moved < CALM_PERCENT * WAD // 100
    assert made_up_day(1, steps=100).prices == DAY.prices[:100] != made_up_day(2, steps=100).prices


def test_calm_day__no_data__is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(prices.DATA_VARIABLE, "")
    assert calm_prices.calm_day(1) == DAY
    with pytest.raises(UserError, match="no complete day"):
        calm_prices.require_calmest_day()


@pytest.mark.parametrize(("step", "is_calm"), [(10, True), (12, False)])
def test_calm_day__data__is_used_where_it_is_calm(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, step: int, is_calm: bool
) -> None:
    """Two days of minutes: a wild one, and one that goes up and down by `step` of 10,000: 3.8% or 4.6%."""
    folder = tmp_path_factory.mktemp("data")
    file = folder / prices.CRASH_FILES["ETH"]
    file.parent.mkdir()
    rows = ["ts,open,high,low,close"]
    before = 10_000
    for minute in range(2 * 1_440):
        close = 10_000 + (minute % 2) * (50 if minute < 1_440 else step)
        rows.append(f"{minute * 60},{before},{max(before, close)},{min(before, close)},{close}")
        before = close
    file.write_text("\n".join(rows))
    monkeypatch.setenv(prices.DATA_VARIABLE, str(folder))
    found = calm_prices.calm_day(1)
    assert (found.name == "ETH/USDT of 1970-01-02") == is_calm
    assert calm_prices.require_calmest_day().start == SECONDS_PER_DAY
    assert len(calm_prices.require_calmest_day().prices) * STEP == SECONDS_PER_DAY


# --- the command -------------------------------------------------------------------------------------------------


def test_main__one_share__ends_with_a_line_of_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calm_day, "_day", lambda kind, seed: HOURS)
    assert main(["--informed", "30"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(lines[-1], parse_float=Decimal)
    expected = simulate(HOURS, 30)
    assert found["pnl_usd"] == round(Decimal(expected.pnl) / WAD, 2)
    assert (found["informed_percent"], found["fills"]) == (30, expected.counts["fills"])
    assert {"spread_captured_usd", "adverse_selection_usd", "fees_paid_usd", "funding_usd", "max_inventory_usd"} <= set(
        found
    )
    assert any("profit" in line for line in lines)


def test_main__foresight_shorter_than_a_step__is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ahead", "9"]) == 2
    assert "9 s is less than the 10 s of a step" in capsys.readouterr().err
