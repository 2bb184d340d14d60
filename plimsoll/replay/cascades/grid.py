"""Which runs the study is made of, and carrying them out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.deploy import parameters as deployment
from plimsoll.risk.market import CAP_SECONDS
from plimsoll.risk.scenario import prices
from plimsoll.risk.scenario.synthetic import synthetic_crash
from plimsoll.risk.study.cascade import Cascade
from plimsoll.risk.study.crash import Crash, crash_of
from plimsoll.risk.study.push import Pusher, flat_push, push_into
from plimsoll.risk.study.result import Result
from plimsoll.risk.study.setting import OFF_BPS, OFF_PERCENT, Setting

MILLION = 10**6 * WAD
PARAMETERS = "devnet"
FILES = {
    "ETH March 2020": ("ETH", "prices/eth_usdt_binance_spot_5m_2020-03.csv"),
    "ETH May 2021": ("ETH", "prices/eth_usdt_binance_spot_1m_2021-05.csv"),
    "BTC May 2021": ("BTC", "prices/btc_usdt_binance_spot_1m_2021-05.csv"),
}
SCALES_USD = {"ETH": 1_000 * MILLION, "BTC": 1_500 * MILLION}
SIZES, FREQUENCIES = (50, 100, 200), (1, 15, 60)
TAKE_OVER_USD = 500_000 * WAD
PUSH_USD = 20 * MILLION
BUYERS_USD = (0, MILLION, 3 * MILLION)
TARGETS_BPS = (11_000, 12_500, 15_000)
FLAT_VICTIMS_USD = (5 * MILLION, 10 * MILLION, 20 * MILLION)
_FLAT_SECONDS = 900


class Cap(NamedTuple):
    """Caps as the study varies them, and their name in tables: how much, and how soon the next window may begin."""

    name: str
    percent: int
    seconds: int
    absorb_bps: int

    def on(self, setting: Setting) -> Setting:
        return replace(
            setting,
            window_cap_percent=self.percent,
            window_seconds=self.seconds,
            absorb_cap_bps=self.absorb_bps,
        )


def _window(percent: int, seconds: int) -> Cap:
    return Cap(f"×{percent / 100:g}, {seconds + 1} s", percent, seconds, _ABSORB_BPS)


_ABSORB_BPS, _LONG_SECONDS = 50, 15
SHIPPED, LONG = _window(100, CAP_SECONDS), _window(100, _LONG_SECONDS)
HALF, DOUBLE, FOURFOLD = (_window(percent, CAP_SECONDS) for percent in (50, 200, 400))
OFF = Cap("none", OFF_PERCENT, CAP_SECONDS, _ABSORB_BPS)
# From the tightest to none: dollars a minute, where prices come every second.
COMPARED = (LONG, SHIPPED, OFF)
WINDOWS = (LONG, HALF, SHIPPED, DOUBLE, FOURFOLD, OFF)
ABSORPTIONS = tuple(
    Cap(f"{window.name}; {name}", window.percent, window.seconds, bps)
    for window in COMPARED
    for name, bps in (("0.25%", 25), ("1%", 100), ("none", OFF_BPS))
)
CAPS = WINDOWS + ABSORPTIONS


@dataclass(frozen=True)
class Row:
    """One run: what was asked, of which crash, with which caps, and what came out."""

    crash: str
    cap: str
    setting: Setting
    result: Result


@dataclass(frozen=True)
class FlatRow:
    """The attack at a standing index. `refill` is what outsiders buy a minute, WAD dollars."""

    cap: str
    victims: int
    refill: int
    pusher: Pusher


@dataclass(frozen=True)
class PushRow:
    """The attack in a crash, into a crowd that leans to longs or is balanced."""

    crash: str
    cap: str
    crowd: str
    refill: int
    pusher: Pusher
    quiet: Result
    pushed: Result


def load_crashes(names: Sequence[str] | None = None) -> dict[str, Crash]:
    """The crashes of these names (all by default), of real prices where they are, else made up. Raises UserError."""
    folder = prices.data_folder()
    if folder is None or not any((folder / file).is_file() for _, file in FILES.values()):
        made_up = synthetic_crash(1)
        found = {
            f"{market} made up": crash_of(f"{market} made up", market, "synthetic, seed 1", bars)
            for market, bars in made_up.items()
        }
    else:
        found = {
            name: crash_of(name, market, file, prices.read_csv(folder / file))
            for name, (market, file) in FILES.items()
            if (folder / file).is_file()
        }
    if unknown := [name for name in names or () if name not in found]:
        raise UserError(f"--crash {unknown[0]}: there are {', '.join(found)}")
    return {name: crash for name, crash in found.items() if not names or name in names}


class Study:
    """The runs over some crashes. `tell` hears what is done next."""

    def __init__(self, crashes: Mapping[str, Crash], tell: Callable[[str], None]) -> None:
        self.crashes = crashes
        self._tell = tell
        listed = {market.name.partition("/")[0]: market.params for market in deployment.load(PARAMETERS).markets}
        self._settings = {
            market: Setting(params=params, scale_usd=SCALES_USD[market]) for market, params in listed.items()
        }

    def setting(self, crash: Crash) -> Setting:
        """As shipped, of the crash's market."""
        return self._settings[crash.market]

    def main_rows(self, sizes: Sequence[int] = SIZES, frequencies: Sequence[int] = FREQUENCIES) -> list[Row]:
        """All caps, at these sizes of open interest (percent) and price frequencies; some with take-overs too."""
        return list(self._main(sizes, frequencies))

    def seed_rows(self, seeds: Iterable[int]) -> list[Row]:
        """As shipped, with long windows and without a cap, for other crowds; prices every second."""
        rows = []
        for name, crash in self.crashes.items():
            self._tell(f"{name}: other crowds")
            for seed in seeds:
                setting = replace(self.setting(crash), seed=seed, publish_seconds=1)
                rows += [self._row(crash, cap, setting) for cap in COMPARED]
        return rows

    def target_rows(self, frequencies: Sequence[int] = FREQUENCIES) -> list[Row]:
        """Other target healths, as shipped and with long windows."""
        rows = []
        for name, crash in self.crashes.items():
            self._tell(f"{name}: target health")
            for target in TARGETS_BPS:
                for every in frequencies:
                    setting = replace(self.setting(crash), target_health_bps=target, publish_seconds=every)
                    rows += [self._row(crash, cap, setting) for cap in (LONG, SHIPPED)]
        return rows

    def flat_rows(self) -> list[FlatRow]:
        """The attack at a standing index, prices every second, a pool that can bear the push."""
        self._tell("attack at a standing index")
        base = replace(self._settings["ETH"], pool_usd=2 * PUSH_USD, publish_seconds=1)
        return [
            FlatRow(
                cap.name,
                victims,
                refill,
                flat_push(replace(cap.on(base), buyers_usd=refill), PUSH_USD, victims, _FLAT_SECONDS),
            )
            for cap in WINDOWS
            for victims in FLAT_VICTIMS_USD
            for refill in BUYERS_USD
        ]

    def push_rows(self) -> list[PushRow]:
        """The attack in a crash, prices every five seconds."""
        rows = []
        for name, crash in self.crashes.items():
            self._tell(f"{name}: attack")
            leaning = replace(self.setting(crash), publish_seconds=5)
            balanced = replace(leaning, long_usd=30 * MILLION, short_usd=30 * MILLION)
            for crowd, setting in (("leaning", leaning), ("balanced", balanced)):
                for refill in BUYERS_USD:
                    for cap in COMPARED:
                        done = push_into(crash, replace(cap.on(setting), buyers_usd=refill), PUSH_USD)
                        rows.append(PushRow(name, cap.name, crowd, refill, *done))
        return rows

    def traces(self, name: str, every: int = 1) -> dict[str, Result]:
        """By cap, a run with all its records."""
        crash = self.crashes[name]
        setting = replace(self.setting(crash), publish_seconds=every)
        return {cap.name: Cascade(crash, cap.on(setting)).run(trace=True) for cap in COMPARED}

    def _main(self, sizes: Sequence[int], frequencies: Sequence[int]) -> Iterator[Row]:
        for name, crash in self.crashes.items():
            for size in sizes:
                for every in frequencies:
                    self._tell(f"{name}: open interest {size}%, a price every {every} s")
                    for capital in (0, TAKE_OVER_USD):
                        setting = replace(
                            self.setting(crash),
                            open_interest_percent=size,
                            publish_seconds=every,
                            take_over_usd=capital,
                        )
                        for cap in CAPS if not capital else COMPARED:
                            yield self._row(crash, cap, setting)

    def _row(self, crash: Crash, cap: Cap, setting: Setting) -> Row:
        asked = cap.on(setting)
        return Row(crash.name, cap.name, asked, Cascade(crash, asked).run())
