"""Replays in which two sources of a market say its spot price and one may be far off, on devnets of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plimsoll.core.units import BPS
from plimsoll.deploy.parameters import Parameters
from plimsoll.devnet.boot import boot_devnet
from plimsoll.drills.notes import Notes, usd
from plimsoll.replay.actions import Record
from plimsoll.replay.modelled import Deployment
from plimsoll.replay.onchain import OnChain, deployment_of
from plimsoll.replay.run import OPENING_SECONDS, Replay
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.scenario import prices
from plimsoll.risk.scenario.bar import Bars
from plimsoll.risk.scenario.scenario import PriceHistory, Scenario, Tick

MARKET = "ETH"
_BOOT_SECONDS = 60


class NoData(Exception):
    """The folder of real prices is not there, or lacks a file; the message says which."""


def bars_of(file: str) -> Bars:
    """The bars of a file of real prices. Raises NoData."""
    folder = prices.data_folder()
    path = (folder or Path("data")) / "prices" / file
    if folder is None or not path.is_file():
        raise NoData(f"needs prices/{file} in the folder that {prices.DATA_VARIABLE} names")
    return prices.read_csv(path)


@dataclass(frozen=True, slots=True)
class Liquidated:
    """What liquidations did to an account: from when on, Unix seconds, and to which side."""

    since: int
    was_long: bool


class Venues(Replay):
    """As a replay; in `MARKET` the third source says `third` (WAD dollars by Unix second), the spot price without.

    The other two both say the spot price, so that a replay without the third is the same but for what it does.
    """

    def __init__(
        self,
        scenario: Scenario,
        history: PriceHistory,
        parameters: Parameters,
        third: Mapping[int, int],
        at: Deployment | None = None,
    ) -> None:
        super().__init__(scenario, history, parameters, at=at)
        self._third = third
        self.records = 0
        self.moved = 0
        """Records that are not the spot price."""
        self.refusals: Counter[str] = Counter()
        self.farthest = 0
        """The farthest that the third source was from a record, bps."""

    def _record(self, tick: Tick) -> None:
        """Each market by itself; what is refused is sent, too, for the contracts to refuse it."""
        for name, price in tick.prices.items():
            market_id = self.market_ids[name]
            third = self._third.get(tick.ts, price) if name == MARKET else price
            action = Record({market_id: (price, price, third)})
            if isinstance(done := self.mirror.attempt(action), Refusal):
                self.mirror.refuse(action)
                self.refusals[done.name] += 1
                continue
            self.records += 1
            recorded = self.mirror.price(market_id)
            self.moved += recorded != price
            self.farthest = max(self.farthest, abs(third - recorded) * BPS // recorded)

    @classmethod
    def alone(cls, scenario: Scenario, history: PriceHistory, parameters: Parameters) -> Venues:
        """Of these prices alone and by the model alone: what they would have done to everyone."""
        replay = cls(scenario, history, parameters, {})
        replay.run()
        return replay

    def liquidated(self) -> dict[str, Liquidated]:
        """Accounts that were closed out, taken over or absorbed, by name."""
        found: dict[str, Liquidated] = {}
        for event in self.findings.events:
            found.setdefault(event.account, Liquidated(event.ts, event.base < 0))
        return found


def play_on_devnet(
    notes: Notes, what: str, scenario: Scenario, history: PriceHistory, third: Mapping[int, int]
) -> Venues:
    """Replay on a devnet, with its sums and its equality with the model as promises."""
    started = history.start - OPENING_SECONDS - _BOOT_SECONDS
    with boot_devnet(timestamp=started, prices={}, trader_dollars=0, pool_dollars=0, fund_dollars=0) as devnet:
        replay = Venues(scenario, history, devnet.parameters, third, at=deployment_of(devnet))
        chain = OnChain(devnet, replay.roles, replay.keys)
        report = replay.run(chain)
    sums = (
        f"Σ base {report.sum_base}, Σ claims {report.vault_tokens_minus_claims}, Σ equity {report.equity_minus_tokens}"
    )
    notes.promise(f"{what}: the three sums hold every minute", True, f"{sums} wei")
    notes.promise(
        f"{what}: contracts = reference model, to the wei",
        report.model_mismatches == 0,
        chain.first_difference or f"{report.model_comparisons} comparisons",
    )
    notes.figure(
        what,
        {
            "accounts": report.accounts,
            "fills": report.fills,
            "records": replay.records,
            "updates refused": dict(replay.refusals),
            "farthest the third source was from a record": f"{replay.farthest / 100:.1f}%",
            "liquidated accounts": len(replay.liquidated()),
            "bad debt": usd(report.bad_debt_usd),
        },
    )
    return replay


def compare(notes: Notes, with_it: Venues, without: Venues) -> None:
    """The third source did nothing: not one liquidation differs in time, price or size."""
    notes.promise("every record is the spot price", with_it.moved == 0, f"{with_it.moved} of {with_it.records} are not")
    only = sorted(with_it.liquidated().keys() - without.liquidated().keys())
    notes.promise("nobody is liquidated who is not by spot alone", not only, only)
    here, there = with_it.findings.events, without.findings.events
    notes.promise(
        "every step of a liquidation is the same by spot alone", here == there, f"{len(here)} and {len(there)} steps"
    )
