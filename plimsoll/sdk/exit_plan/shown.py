"""An exit plan as text, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from plimsoll.core.durations import about
from plimsoll.core.units import WAD, format_percent, format_usd, format_wad
from plimsoll.sdk.exit_plan.plan import ExitPlan, Exposure, Step
from plimsoll.sdk.exit_plan.rules import Rules


def plan_lines(plan: ExitPlan) -> Iterator[str]:
    """All of it, for a terminal."""
    rules, leaving = plan.rules, plan.leaving
    said = "as its portal says" if rules.is_live else "by its profile; --l1 and --portal ask its portal"
    yield f"rollup     {rules.name}: {rules.kind}, {said}"
    for source in rules.sources:
        yield f"           {source}"
    free = "unknown (stale price)" if leaving.withdrawable is None else format_usd(leaving.withdrawable)
    yield f"account    equity {format_usd(leaving.equity)}, free now {free}"
    for one in leaving.holdings:
        yield (
            f"position   {one.market} {format_wad(one.base, 6).rstrip('0').rstrip('.')} ({format_usd(one.notional)}); "
            f"to close it: fee {format_usd(one.fee)}, execution {format_usd(one.execution_fee)}, "
            f"impact {format_usd(one.impact)}"
        )
    yield ""
    head = f"{'step':<38} {'on':<3} {'soonest':<16} {'latest':<16}"
    yield f"{head} {'gas':>9} {'gas costs':>12} {'L1 data':>12} {'fees':>10}"
    yield from map(_step_line, plan.steps)
    yield (
        f"arrives    {format_usd(plan.arrives)} after {about(plan.soonest)} to {about(plan.latest)}; network "
        f"{format_usd(plan.network_cost, 4)} in ETH, closing {format_usd(plan.closing_cost)}"
    )
    yield f"           where the sequencer censors: sent through L1 it is in after {about(rules.inclusion)} at most"
    if plan.exposures:
        yield ""
        yield "the price until then (dollars for the better, for the worse, to who keeps the position or wants it back)"
        yield from map(_exposure_line, plan.exposures)
        for market, source in {one.market: one.volatility.source for one in plan.exposures}.items():
            yield f"           {market}: volatility {source}; σ√T, a scale and no bound"
    yield ""
    yield f"{'way':<50} {'soonest':<16} {'latest':<16} {'costs':>12} {'arrives':>14}"
    for route in plan.routes:
        yield (
            f"{route.name:<50} {about(route.soonest):<16} {about(route.latest):<16} {format_usd(route.cost):>12} "
            f"{format_usd(route.arrives):>14}" + (f"  {route.note}" if route.note else "")
        )


def comparison_lines(rollups: Iterable[Rules]) -> Iterator[str]:
    """How long the same takes elsewhere, by their profiles."""
    yield f"{'elsewhere':<50} {'soonest':<16} {'latest':<16} {'L1 gas':>12}"
    for rules in rollups:
        soonest, latest = rules.finalisable
        yield (
            f"{rules.name + ' (' + rules.kind + ')':<50} {about(soonest):<16} {about(latest):<16} "
            f"{rules.prove_gas + rules.finalise_gas:>12,}"
        )


def plan_json(plan: ExitPlan) -> dict[str, Any]:
    """Integers as decimal text: dollars WAD, times in seconds as numbers."""
    return {
        "rollup": plan.rules.name,
        "kind": str(plan.rules.kind),
        "isLive": plan.rules.is_live,
        "sources": list(plan.rules.sources),
        "soonest": plan.soonest,
        "latest": plan.latest,
        "arrives": str(plan.arrives),
        "networkCost": str(plan.network_cost),
        "closingCost": str(plan.closing_cost),
        "steps": [
            {
                "what": step.what,
                "layer": step.layer,
                "soonest": step.soonest,
                "latest": step.latest,
                "gas": step.gas,
                "execution": str(step.execution),
                "l1Data": str(step.data),
                "other": str(step.other),
            }
            for step in plan.steps
        ],
        "exposures": [
            {
                "market": one.market,
                "seconds": one.seconds,
                "notional": str(one.notional),
                "volatilityPerDay": str(one.volatility.per_day),
                "volatility": one.volatility.source,
                "usual": [str(value) for value in one.usual],
                "rare": [str(value) for value in one.rare],
            }
            for one in plan.exposures
        ],
        "routes": [
            {
                "name": route.name,
                "soonest": route.soonest,
                "latest": route.latest,
                "cost": str(route.cost),
                "arrives": str(route.arrives),
            }
            for route in plan.routes
        ],
    }


def _step_line(step: Step) -> str:
    return (
        f"{step.what:<38} {step.layer:<3} {about(step.soonest):<16} {about(step.latest):<16} {step.gas or '':>9} "
        f"{_some(step.execution, 4):>12} {_some(step.data, 4):>12} {_some(step.other, 2):>10}"
    ).rstrip()


def _exposure_line(one: Exposure) -> str:
    up, down = one.volatility.move(one.seconds)
    return (
        f"  {one.market:<8} {about(one.seconds):<16} {format_percent(up, 1)} / {format_percent(down, 1)}: usually "
        f"{_signed(one.usual)}, nineteen times of twenty within {_signed(one.rare)}"
    )


def _signed(both: tuple[int, int]) -> str:
    return f"+{format_usd(both[0], 0)} / {format_usd(both[1], 0)}"


def _some(value: int, places: int) -> str:
    if not value:
        return ""
    return format_usd(value, places) if value >= WAD // 10**places else f"<{format_usd(WAD // 10**places, places)}"
