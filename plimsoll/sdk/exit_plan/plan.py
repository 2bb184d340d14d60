"""An exit plan: what to do when, what each step costs, what arrives, what may happen meanwhile, and other ways.

Pure: everything it is made of is given. Dollars are WAD; times are seconds from now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plimsoll.core.units import BPS, SECONDS_PER_DAY, WAD
from plimsoll.sdk.exit_plan.rules import Rules
from plimsoll.sdk.exit_plan.volatility import Z_RARE, Z_USUAL, Volatility
from plimsoll.sdk.fees.report import Cost

CLOSE, WITHDRAW, BRIDGE = "place market", "withdraw", "bridge to L1"
"""The flows that leaving is made of."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A position and what closing all of it now would cost. Sizes WAD base (`base` signed), the rest WAD dollars."""

    market: str
    base: int
    index_price: int
    fill_price: int
    fee: int
    execution_fee: int
    settles_within: int

    @property
    def notional(self) -> int:
        return abs(self.base) * self.index_price // WAD

    @property
    def impact(self) -> int:
        """What the fill price costs beside the index price, rounded up; 0 where it is better."""
        worse = self.index_price - self.fill_price if self.base > 0 else self.fill_price - self.index_price
        return max(0, -(-abs(self.base) * worse // WAD))

    @property
    def closing_cost(self) -> int:
        return self.fee + self.execution_fee + self.impact


@dataclass(frozen=True, slots=True)
class Leaving:
    """An account. `withdrawable` is what can leave now with the positions kept, None where a stale price hides it."""

    equity: int
    withdrawable: int | None
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class Sending:
    """What transactions cost: by flow on L2; on L1 a unit of gas in wei; an ETH in WAD dollars."""

    l2: Mapping[str, Cost]
    l1_gas_price: int
    eth_price: int

    def dollars(self, wei: int) -> int:
        """WAD, rounded up."""
        return -(-wei * self.eth_price // WAD)


@dataclass(frozen=True, slots=True)
class Terms:
    """What other ways cost, as the user says or assumes: basis points of what is hedged or bridged, WAD dollars."""

    hedge_fee_bps: int = 10
    """To open and to close the hedge."""
    hedge_bps_day: int = 3
    """Funding or borrowing, a day."""
    hedge_margin_bps: int = 1_000
    bridge_fee_bps: int = 6
    bridge_fee: int = 0
    bridge_seconds: int = 900


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do or to wait for. `execution` and `data` are what it costs: gas, and L1 data of L2 transactions."""

    what: str
    layer: str
    soonest: int
    latest: int
    gas: int = 0
    execution: int = 0
    data: int = 0
    other: int = 0
    """Fees and price impact of closing positions."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a price may do to a position, or to who wants it back, until the money is there: WAD dollars, signed.

    `usual` holds in two cases of three, `rare` in nineteen of twenty; each is (for the better, for the worse).
    """

    market: str
    base: int
    notional: int
    seconds: int
    volatility: Volatility
    usual: tuple[int, int]
    rare: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Route:
    """One way out: when the dollars are on L1, what it costs in all, and what arrives."""

    name: str
    soonest: int
    latest: int
    cost: int
    arrives: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """`steps` are those of the rollup's own bridge, which is the first of `routes`."""

    rules: Rules
    leaving: Leaving
    steps: tuple[Step, ...]
    exposures: tuple[Exposure, ...]
    routes: tuple[Route, ...]

    @property
    def soonest(self) -> int:
        return self.steps[-1].soonest

    @property
    def latest(self) -> int:
        return self.steps[-1].latest

    @property
    def network_cost(self) -> int:
        """Of all transactions on both layers."""
        return sum(step.execution + step.data for step in self.steps)

    @property
    def closing_cost(self) -> int:
        return sum(step.other for step in self.steps)

    @property
    def arrives(self) -> int:
        """What lands on L1; the network is paid in ETH beside it."""
        return self.routes[0].arrives


def make_plan(
    rules: Rules,
    leaving: Leaving,
    sending: Sending,
    volatilities: Mapping[str, Volatility],
    terms: Terms | None = None,
) -> ExitPlan:
    """The plan; a position whose market has no volatility is left out of the exposures."""
    steps = tuple(_steps(rules, leaving, sending))
    plan = ExitPlan(rules, leaving, steps, (), ())
    exposures = tuple(
        exposure(holding, seconds, volatilities[holding.market])
        for holding in leaving.holdings
        if holding.market in volatilities
        for seconds in sorted({plan.soonest, plan.latest})
    )
    return ExitPlan(rules, leaving, steps, exposures, tuple(_routes(plan, sending, terms or Terms())))


def exposure(holding: Holding, seconds: int, volatility: Volatility) -> Exposure:
    """What the price may do to a position over that time."""
    results = []
    for z in (Z_USUAL, Z_RARE):
        up, down = volatility.move(seconds, z)
        both = [holding.base * holding.index_price // WAD * move // WAD for move in (up, down)]
        results.append((max(both), min(both)))
    return Exposure(
        holding.market, holding.base, holding.notional, seconds, volatility, usual=results[0], rare=results[1]
    )


def _steps(rules: Rules, leaving: Leaving, sending: Sending) -> list[Step]:
    settled = max((one.settles_within for one in leaving.holdings), default=0)
    steps = []
    if leaving.holdings:
        count = len(leaving.holdings)
        steps.append(
            Step(
                f"close {count} position{'s' if count > 1 else ''}",
                "L2",
                0,
                settled,
                other=sum(one.closing_cost for one in leaving.holdings),
                **_on_l2(sending, {CLOSE: count}),
            )
        )
    steps.append(Step("withdraw and hand to the bridge", "L2", 0, settled, **_on_l2(sending, {WITHDRAW: 1, BRIDGE: 1})))
    proposed, finalisable = rules.proposed, rules.finalisable
    if rules.needs_proof:
        steps += [
            Step("an output that covers it is proposed", "L1", proposed[0], settled + proposed[1]),
            Step("prove", "L1", proposed[0], settled + proposed[1], **_on_l1(sending, rules.prove_gas)),
        ]
    else:
        steps.append(Step("its batch is proven", "L1", rules.settled_soonest, settled + rules.settled_latest))
    steps.append(
        Step(
            "finalise: the dollars are there",
            "L1",
            finalisable[0],
            settled + finalisable[1],
            **_on_l1(sending, rules.finalise_gas),
        )
    )
    return steps


def _on_l2(sending: Sending, flows: Mapping[str, int]) -> dict[str, int]:
    costs = [(sending.l2[name], count) for name, count in flows.items()]
    return {
        "gas": sum(cost.gas * count for cost, count in costs),
        "execution": sending.dollars(sum(cost.l2_fee * count for cost, count in costs)),
        "data": sending.dollars(sum(cost.l1_fee * count for cost, count in costs)),
    }


def _on_l1(sending: Sending, gas: int) -> dict[str, int]:
    return {"gas": gas, "execution": sending.dollars(gas * sending.l1_gas_price)}


def _routes(plan: ExitPlan, sending: Sending, terms: Terms) -> list[Route]:
    leaving = plan.leaving
    on_l2 = sum(step.execution + step.data for step in plan.steps if step.layer == "L2")
    taken = max(0, leaving.equity - plan.closing_cost)
    settled = plan.steps[0].latest
    routes = [Route("the rollup's own bridge", plan.soonest, plan.latest, plan.closing_cost + plan.network_cost, taken)]
    notional = sum(one.notional for one in leaving.holdings)
    if notional:
        days = -(-plan.latest * WAD // SECONDS_PER_DAY)
        hedge = -(-notional * terms.hedge_fee_bps // BPS) + -(-notional * terms.hedge_bps_day * days // (BPS * WAD))
        margin = -(-notional * terms.hedge_margin_bps // BPS)
        routes.append(
            Route(
                "the same, the positions held elsewhere meanwhile",
                plan.soonest,
                plan.latest,
                routes[0].cost + hedge,
                taken,
                f"{terms.hedge_fee_bps} bps and {terms.hedge_bps_day} bps a day; it ties up ${margin // WAD:,} there",
            )
        )
    fee = min(taken, -(-taken * terms.bridge_fee_bps // BPS) + terms.bridge_fee)
    routes.append(
        Route(
            "a fast bridge",
            terms.bridge_seconds,
            settled + terms.bridge_seconds,
            plan.closing_cost + on_l2 + fee,
            taken - fee,
            f"{terms.bridge_fee_bps} bps, as assumed; its operators are trusted, and must want the token",
        )
    )
    if leaving.holdings and leaving.withdrawable:
        routes.append(
            Route(
                "only what is free, the positions stay",
                plan.soonest,
                plan.latest,
                plan.network_cost - plan.steps[0].execution - plan.steps[0].data,
                leaving.withdrawable,
                "on its way it defends no position",
            )
        )
    return routes
