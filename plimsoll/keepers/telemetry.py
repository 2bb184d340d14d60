"""A keeper's metrics for Prometheus. Floats are for people and graphs; nothing decides by them.

Names are `plimsoll_…`, in base units (seconds, ether, dollars), each with the label `keeper`. What the loop, the signer
and the nodes count themselves is read from them when somebody asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from plimsoll.chain.endpoints import RpcPool
from plimsoll.chain.sending import CarefulSigner
from plimsoll.core.units import WAD
from plimsoll.keepers.earnings import REWARDED
from plimsoll.keepers.runner import HALTED, Fields, Runner, Shows

PREFIX = "plimsoll_"
ROUND_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Telemetry(Collector):
    """Metrics of one runner, in a registry of their own."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._job = runner.job.name
        self.registry = CollectorRegistry()
        labels = ["keeper"]
        self._events = Counter(
            f"{PREFIX}events", "Lines of the log by event.", [*labels, "event"], registry=self.registry
        )
        self._round = Histogram(
            f"{PREFIX}round_seconds", "A look at the chain and what followed.", labels, buckets=ROUND_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._round.labels(self._job)
        for event in ("trouble", "failed", "refused"):  # there from the start, so that a rate sees the first of them
            self._events.labels(self._job, event)
        self.registry.register(self)
        runner.log.listeners.append(self._heard)
        runner.sight.took = self._round.labels(self._job).observe

    def text(self) -> bytes:
        """In Prometheus's format."""
        return generate_latest(self.registry)

    def _heard(self, event: str, fields: Fields) -> None:
        self._events.labels(self._job, event).inc()

    # --- what others count ---

    def collect(self) -> Iterable[Metric]:
        yield from self._of_loop()
        yield from self._of_job()
        yield from self._of_earnings()
        yield from self._of_checks()
        if isinstance(self._runner.signer, CarefulSigner):
            yield from self._of_sending(self._runner.signer)
        if isinstance(self._runner.chain.rpc, RpcPool):
            yield from self._of_nodes(self._runner.chain.rpc)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        metric = GaugeMetricFamily(PREFIX + name, text, labels=["keeper"])
        metric.add_metric([self._job], value)
        return metric

    def _of_loop(self) -> Iterable[Metric]:
        sight, guard = self._runner.sight, self._runner.guard
        yield self._gauge("block", "The newest block that was looked at.", sight.block)
        yield self._gauge("block_timestamp_seconds", "Of that block, Unix seconds.", sight.block_time)
        lag = sight.seen_at - sight.block_time if sight.block_time else 0.0
        yield self._gauge("block_age_seconds", "The machine's clock less the block's, when it was looked at.", lag)
        yield self._gauge("last_round_timestamp_seconds", "When a round last began, Unix seconds.", sight.seen_at)
        yield self._gauge("due", "Actions that the last round found.", sight.due)
        yield self._gauge("trouble", "1 while rounds fail.", bool(sight.trouble))
        yield self._gauge("halted", "1 while the circuit breaker is open.", bool(guard.halted))
        yield self._gauge("standby", "1 while another process sends from the address.", guard.is_standby)
        yield self._gauge("store_up", "1 while the store of leases answers.", guard.store_is_up)
        yield self._gauge("clock_seconds", "The machine's clock, Unix seconds.", time.time())

    def _of_job(self) -> Iterable[Metric]:
        metrics: dict[str, Metric] = {}
        for one in self._runner.job.figures() if isinstance(self._runner.job, Shows) else ():
            names = ["keeper", *one.labels]
            metric = metrics.setdefault(one.name, GaugeMetricFamily(PREFIX + one.name, one.text, labels=names))
            metric.add_sample(PREFIX + one.name, {"keeper": self._job, **one.labels}, one.value)
        yield from metrics.values()

    def _of_earnings(self) -> Iterable[Metric]:
        earnings = self._runner.earnings
        # from zero on, so that a rate sees the first of them
        rewards = CounterMetricFamily(f"{PREFIX}rewards_dollars", "Earned, by event.", labels=["keeper", "event"])
        for event in {*REWARDED.get(self._job, ()), *earnings.rewards}:
            rewards.add_metric([self._job, event], earnings.rewards[event] / WAD)
        yield rewards
        gas = CounterMetricFamily(f"{PREFIX}gas_dollars", "Paid for gas, as ether was worth then.", labels=["keeper"])
        gas.add_metric([self._job], earnings.gas / WAD)
        yield gas

    def _of_checks(self) -> Iterable[Metric]:
        checks = self._runner.guard.checks
        if checks is None:
            return
        text = "Comparisons in which nodes contradicted one another."
        disagreements = CounterMetricFamily(f"{PREFIX}disagreements", text, labels=["keeper"])
        disagreements.add_metric([self._job], checks.disagreements)
        yield disagreements
        if checks.balance is not None:
            yield self._gauge("balance_ether", "For gas.", checks.balance / WAD)
            yield self._gauge("balance_low", "1 while that is below the alarm's threshold.", checks.is_low)
        if checks.cash is not None:
            yield self._gauge("cash_dollars", "In the keeper's main account, where rewards go.", checks.cash / WAD)
        if checks.totals is not None:
            yield self._gauge("ledger_dust_dollars", "Paid in less what everybody has.", checks.totals.dust / WAD)
            yield self._gauge("ledger_block", "The block at which the ledger was last added up.", checks.totals.block)

    def _of_sending(self, signer: CarefulSigner) -> Iterable[Metric]:
        account = signer.account
        sent = CounterMetricFamily(f"{PREFIX}transactions", "By outcome.", labels=["keeper", "outcome"])
        for outcome in ("mined", "reverted", "replaced", "repeated", "cancelled"):
            sent.add_metric([self._job, outcome], account.outcomes[outcome])
        yield sent
        fees = CounterMetricFamily(f"{PREFIX}fees_ether", "Paid for gas.", labels=["keeper"])
        fees.add_metric([self._job], account.fees / WAD)
        yield fees
        yield self._gauge("pending_transactions", "Sent, and not mined yet.", account.pending)

    def _of_nodes(self, pool: RpcPool) -> Iterable[Metric]:
        labels = ["keeper", "node"]
        requests = CounterMetricFamily(f"{PREFIX}node_requests", "Calls and batches.", labels=labels)
        failures = CounterMetricFamily(f"{PREFIX}node_failures", "By kind.", labels=[*labels, "kind"])
        healthy = GaugeMetricFamily(f"{PREFIX}node_healthy", "Trusted, up to date, not resting.", labels=labels)
        lag = GaugeMetricFamily(f"{PREFIX}node_lag_blocks", "Behind the first of all.", labels=labels)
        for place, node in enumerate(pool.endpoints):
            own = [self._job, f"{place}:{node.name}"]
            requests.add_metric(own, node.requests)
            for kind in ("unavailable", "limited"):
                failures.add_metric([*own, kind], node.failed[kind])
            healthy.add_metric(own, node.is_healthy)
            lag.add_metric(own, node.lag)
        yield from (requests, failures, healthy, lag)


def health(runner: Runner, stale_seconds: float) -> dict[str, object]:
    """What `/health` says; "ok" is whether a supervisor should let it be."""
    sight, guard = runner.sight, runner.guard
    silent = time.monotonic() - sight.began
    wrong = (guard.halted and f"{HALTED}: {guard.halted}") or sight.trouble
    if not wrong and silent > stale_seconds:
        wrong = f"no round for {silent:.0f} s"
    state = wrong or ("standby" if guard.is_standby else "working")
    return {"ok": not wrong, "job": runner.job.name, "state": state, "silent_seconds": round(silent, 1)} | sight.shown()
