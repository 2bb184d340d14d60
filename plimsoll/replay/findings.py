"""What a replay adds up to: counted block by block, a row a minute, the report at the end."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from plimsoll.core.orders import Order, OrderKind
from plimsoll.dashboard.report import (
    Delay,
    LiquidationEvent,
    LiquidationKind,
    MarketRow,
    ReplayReport,
    SeriesRow,
    health_histogram,
)
from plimsoll.replay.actions import (
    Absorb,
    Action,
    Block,
    CancelAllFor,
    CancelFor,
    CloseOut,
    Execute,
    Match,
    Place,
    PlaceFor,
    SetDelegateFor,
    SignedOrder,
    TakeOver,
    calls_of,
)
from plimsoll.replay.liquidations import Step
from plimsoll.replay.mirror import Mirror
from plimsoll.replay.modelled import Health
from plimsoll.replay.stored import Sums
from plimsoll.risk.execution import Outcome
from plimsoll.risk.matching import Match as Matched
from plimsoll.risk.refusals import Refusal

BLOCK_SECONDS = 2
"""A rollup's block; delays are counted in these, since a replay mines only blocks in which something happens."""


@dataclass
class Findings:
    """Counts so far. `names` are the accounts' and `markets` the markets' in the report; money is WAD."""

    names: Mapping[int, str]
    markets: Mapping[int, str]
    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    bad_debt: int = 0
    rewards: int = 0
    pool_usd: int = 0
    matched_usd: int = 0
    liquidated_usd: int = 0
    rows: list[SeriesRow] = field(default_factory=list)
    events: list[LiquidationEvent] = field(default_factory=list)
    insurance_start: int = 0
    share_price_start: int = 0
    _unhealthy_since: dict[int, int] = field(default_factory=dict)

    def begin(self, mirror: Mirror) -> None:
        """The pool and the fund are filled; from here on they are measured."""
        self.insurance_start = mirror.model.cash_of(mirror.model.state.fund_account)
        self.share_price_start = mirror.share_price("pool")

    def saw_unhealthy(self, accounts: Iterable[int], ts: int) -> None:
        """The unhealthy accounts at a price; the others aren't any more."""
        self._unhealthy_since = {account: self._unhealthy_since.get(account, ts) for account in accounts}

    def saw(self, block: Block) -> None:
        for applied in block.applied:
            self._ways(applied.action)
            match applied.action:
                case Execute(orders):
                    for order, outcome in zip(orders, applied.result, strict=True):
                        self._executed(order, outcome)
                case Match():
                    self._matched(applied.result)
                case CloseOut():
                    self._liquidated("closeout", applied.result, block.ts)
                case TakeOver():
                    self._liquidated("takeover", applied.result, block.ts)
                case Absorb():
                    self._liquidated("absorbed", applied.result, block.ts)

    def _ways(self, action: Action) -> None:
        """Who brought it, and who decided."""
        for call in calls_of(action):
            if isinstance(call, PlaceFor | CancelFor | CancelAllFor | SetDelegateFor):
                self.counts["relayed"] += 1
            if any(decider != order.account >> 96 for order, decider in _deciders(call)):
                self.counts["delegated"] += 1

    def _executed(self, order: Order, outcome: Outcome) -> None:
        self.counts[outcome.status] += 1
        if outcome.reason is not None:
            self.failures[outcome.reason.name] += 1
        if outcome.trade is not None:
            self.pool_usd += abs(outcome.trade.quote)
            self.counts[f"filled {OrderKind(order.kind).name}"] += 1

    def _matched(self, results: Sequence[Matched | Refusal]) -> None:
        for one in results:
            if isinstance(one, Refusal):
                self.failures[one.name] += 1
            else:
                self.counts["matched"] += 1
                self.matched_usd += abs(one.quote)

    def _liquidated(self, kind: LiquidationKind, steps: Sequence[Step], ts: int) -> None:
        self.counts[kind] += 1
        self.counts["steps"] += len(steps)
        for step in steps:
            self.bad_debt += step.debt
            self.liquidated_usd += step.notional
            if kind != "takeover":
                self.rewards += step.keeper
            since = self._unhealthy_since.get(step.account, ts)
            self.events.append(
                LiquidationEvent(
                    ts=ts,
                    kind=kind,
                    account=self.names[step.account],
                    market=self.markets[step.market_id],
                    base=step.base,
                    price=step.price,
                    notional_usd=step.notional,
                    health=step.health,
                    penalty_usd=step.penalty,
                    keeper_usd=step.keeper,
                    insurance_usd=step.insurance,
                    delay_blocks=-(-(ts - since) // BLOCK_SECONDS),
                )
            )

    @property
    def fills(self) -> int:
        """Against the pool, between two accounts, and steps of liquidations."""
        return self.counts["filled"] + self.counts["matched"] + self.counts["steps"]

    def row(self, mirror: Mirror, healths: Mapping[int, Health]) -> None:
        """The end of a minute; `healths` of all accounts with a position at its worst prices."""
        model, now = mirror.model, mirror.now
        markets = {}
        for market_id, name in self.markets.items():
            long, short = model.open_interest(market_id)
            markets[name] = MarketRow(
                price=mirror.price(market_id),
                mark=model.mark_price(market_id),
                long_oi=long,
                short_oi=short,
                skew=long - short,
                funding_rate=model.funding_rate(market_id, now),
            )
        self.rows.append(
            SeriesRow(
                ts=now,
                markets=markets,
                health=health_histogram(health.ratio for health in healths.values()),
                closeouts=self.counts["closeout"],
                takeovers=self.counts["takeover"],
                absorbed=self.counts["absorbed"],
                insurance_usd=model.cash_of(model.state.fund_account),
                pool_share_price=mirror.share_price("pool"),
                bad_debt_usd=self.bad_debt,
                pool_usd=self.pool_usd,
                matched_usd=self.matched_usd,
                liquidated_usd=self.liquidated_usd,
            )
        )

    def report(
        self,
        mirror: Mirror,
        *,
        title: str,
        source: str,
        minutes: int,
        accounts: int,
        sums: Sums,
        dust_bound: int,
        base_bound: Mapping[int, int],
        mismatches: int,
        comparisons: int,
        gas: Mapping[str, int],
        wall_seconds: float,
    ) -> ReplayReport:
        delays = [event.delay_blocks for event in self.events]
        median = Decimal(statistics.median(delays)) if delays else Decimal(0)
        return ReplayReport(
            title=title,
            prices_source=source,
            minutes=minutes,
            accounts=accounts,
            fills=self.fills,
            matches=self.counts["matched"],
            matched_usd=self.matched_usd,
            stops_executed=self.counts[f"filled {OrderKind.STOP_LOSS.name}"],
            take_profits_executed=self.counts[f"filled {OrderKind.TAKE_PROFIT.name}"],
            orders_voided=self.counts["void"],
            relayed=self.counts["relayed"],
            delegated=self.counts["delegated"],
            closeouts=self.counts["closeout"],
            takeovers=self.counts["takeover"],
            absorbed=self.counts["absorbed"],
            bad_debt_usd=self.bad_debt,
            insurance_start_usd=self.insurance_start,
            insurance_end_usd=mirror.model.cash_of(mirror.model.state.fund_account),
            pool_share_price_start=self.share_price_start,
            pool_share_price_end=mirror.share_price("pool"),
            keeper_rewards_usd=self.rewards,
            liquidation_delay_blocks=Delay(median=median, max=max(delays, default=0)),
            sum_base={self.markets[market_id]: total for market_id, total in sums.base.items()},
            vault_tokens_minus_claims=sums.dust,
            vault_dust_bound=dust_bound,
            equity_minus_tokens=sums.equity,
            base_dust_bound={self.markets[market_id]: bound for market_id, bound in base_bound.items()},
            model_mismatches=mismatches,
            model_comparisons=comparisons,
            gas=gas,
            wall_seconds=Decimal(f"{wall_seconds:.1f}"),
            series=tuple(self.rows),
            events=tuple(self.events),
        )


def _deciders(action: Action) -> list[tuple[Order, int]]:
    """Orders that were placed or matched, and who sent or signed them."""
    match action:
        case Place(order, by):
            return [(order, order.account >> 96 if by is None else by)]
        case PlaceFor(order, signer):
            return [(order, signer)]
        case Match(taker, makers):
            signed: list[SignedOrder] = [taker, *(maker for maker, _ in makers)]
            return [(one.order, one.signer) for one in signed]
    return []
