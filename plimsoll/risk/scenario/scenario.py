"""A whole scenario: prices, population, keepers and capital, from defaults or from a small TOML or JSON file.

```toml
name = "short and violent"
seed = 7

[prices]
source = "files"            # default | synthetic | files
centre = 2021-05-19T13:00:00Z
hours = 3
files = {ETH = "eth.csv", BTC = "btc.csv"}   # beside the scenario file

[population]
accounts = 400
long_share = 0.7
market_weights = {ETH = 0.6, BTC = 0.4}
book_share = 0.25           # trade with each other
stop_share = 0.35           # carry stop-losses and take-profits
relayed_share = 0.2
delegate_share = 0.1

[keepers]
publish_seconds = 15
points_per_bar = 2
liquidator = true
take_over_capital_usd = 500000

[capital]
pool_usd = 20000000
insurance_usd = 1000000
```

Every key has a default; an unknown one is an error. Dollars and shares are decimal numbers in the file, WAD ints here.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from plimsoll.core.errors import UserError
from plimsoll.core.units import SECONDS_PER_HOUR, to_wad
from plimsoll.risk.scenario import prices as price_data
from plimsoll.risk.scenario.bar import CRASH_CENTRE, Bars
from plimsoll.risk.scenario.population import AccountPlan, PopulationParameters, build_population
from plimsoll.risk.scenario.synthetic import synthetic_crash

T = TypeVar("T")


def _usd(dollars: int) -> int:
    return field(default=to_wad(dollars), metadata={"unit": "wad"})


@dataclass(frozen=True, kw_only=True)
class PriceSettings:
    """Where prices come from. `centre` is Unix seconds, None for the crash of the default data or, of files, the middle
    of the worst hour; `hours` is the length of the window around it. `files` maps a market to a CSV file."""

    source: Literal["default", "synthetic", "files"] = "default"
    centre: int | None = field(default=None, metadata={"unit": "time"})
    hours: int = price_data.CRASH_HOURS
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(self.hours > 0, "prices: hours must be positive")
        _require(bool(self.files) == (self.source == "files"), 'prices: give files if, and only if, source is "files"')


@dataclass(frozen=True, kw_only=True)
class KeeperBehaviour:
    """How prices are published and who liquidates.

    A price goes out every `publish_seconds`; of each bar it follows `points_per_bar` corners (see `prices.path`).
    `take_over_capital_usd` (WAD) is what keepers with capital put into take-overs; 0 leaves close-outs alone.
    """

    publish_seconds: int = 15
    points_per_bar: int = 2
    liquidator: bool = True
    take_over_capital_usd: int = _usd(500_000)

    def __post_init__(self) -> None:
        _require(self.publish_seconds > 0, "keepers: publish_seconds must be positive")
        points = ", ".join(map(str, price_data.POINTS))
        _require(self.points_per_bar in price_data.POINTS, f"keepers: points_per_bar must be one of {points}")
        _require(self.take_over_capital_usd >= 0, "keepers: take_over_capital_usd must not be negative")

    def steps(self, bar_seconds: int) -> int:
        """Equal steps between two corners of a bar. Raises UserError if the publications do not divide the bar."""
        publications, rest = divmod(bar_seconds, self.publish_seconds)
        if rest or publications == 0 or publications % self.points_per_bar:
            raise UserError(
                f"keepers: {bar_seconds} s bars cannot be published every {self.publish_seconds} s with"
                f" {self.points_per_bar} points a bar; let publish_seconds × points_per_bar divide {bar_seconds}"
            )
        return publications // self.points_per_bar


@dataclass(frozen=True, kw_only=True)
class Capital:
    """What the pool and the insurance fund start with, WAD dollars."""

    pool_usd: int = _usd(20_000_000)
    insurance_usd: int = _usd(1_000_000)

    def __post_init__(self) -> None:
        _require(self.pool_usd > 0, "capital: pool_usd must be positive")
        _require(self.insurance_usd >= 0, "capital: insurance_usd must not be negative")


@dataclass(frozen=True, slots=True)
class Tick:
    """The prices published at one time: Unix seconds, WAD dollars by market."""

    ts: int
    prices: Mapping[str, int]


@dataclass(frozen=True)
class PriceHistory:
    """The aligned bars of all markets and what they are, in words."""

    source: str
    markets: Mapping[str, Bars]

    @property
    def minutes(self) -> int:
        """Minutes from the first bar's open to the last one's end."""
        bars = self._bars
        return (bars[-1].ts + self.bar_seconds - bars[0].ts) // 60

    @property
    def bar_seconds(self) -> int:
        """Seconds of one bar."""
        return price_data.interval(self._bars)

    @property
    def start(self) -> int:
        """Unix seconds of the first bar's open."""
        return self._bars[0].ts

    @property
    def crash_minute(self) -> int:
        """The minute, from the first bar, in which the worst hour of any market begins."""
        worst = _worst_market(self.markets)
        return (worst[price_data.crash_start(worst)].ts - self.start) // 60

    @property
    def _bars(self) -> Bars:
        return next(iter(self.markets.values()))

    def ticks(self, keepers: KeeperBehaviour) -> Iterator[Tick]:
        """What is published: the first opens, then every `publish_seconds` after a bar's open a step of its path.

        Raises UserError if the publications do not divide a bar.
        """
        steps = keepers.steps(self.bar_seconds)
        yield Tick(self.start, {market: bars[0].open for market, bars in self.markets.items()})
        for bars in zip(*self.markets.values(), strict=True):
            paths = [price_data.path(bar, keepers.points_per_bar, steps) for bar in bars]
            for place, published in enumerate(zip(*paths, strict=True), start=1):
                ts = bars[0].ts + place * keepers.publish_seconds
                yield Tick(ts, dict(zip(self.markets, published, strict=True)))


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Everything a replay needs. `Scenario()` is the demo: the crash of 19 May 2021 and 240 accounts."""

    name: str = "the crash of 19 May 2021"
    seed: int = 1
    prices: PriceSettings = field(default_factory=PriceSettings)
    population: PopulationParameters = field(default_factory=PopulationParameters)
    keepers: KeeperBehaviour = field(default_factory=KeeperBehaviour)
    capital: Capital = field(default_factory=Capital)
    folder: Path = field(default_factory=Path.cwd, metadata={"unit": "hidden"})  # price files are relative to it

    def load_prices(self) -> PriceHistory:
        """The prices, aligned. Raises UserError for what is wrong with their files or their match to the population."""
        history = self._history()
        strangers = [market for market in self.population.market_weights if market not in history.markets]
        if strangers:
            raise UserError(
                f"population: market_weights names {', '.join(strangers)}, for which there are no prices;"
                f" prices are there for {', '.join(history.markets)}"
            )
        self.keepers.steps(history.bar_seconds)
        return history

    def accounts(self, history: PriceHistory) -> tuple[AccountPlan, ...]:
        """The population, entering before the crash of these prices."""
        return build_population(self.population, crash_minute=history.crash_minute, seed=self.seed)

    def _history(self) -> PriceHistory:
        settings = self.prices
        if settings.source == "files":
            source = ", ".join(Path(name).name for name in settings.files.values())
            markets = {market: price_data.read_csv(self.folder / name) for market, name in settings.files.items()}
        elif settings.source == "synthetic":
            source, markets = f"synthetic crash of ETH and BTC, seed {self.seed}", synthetic_crash(self.seed)
        else:
            source, markets = price_data.default_history(self.seed)
        centre = settings.centre
        if centre is None:
            centre = _middle_of_worst_hour(markets) if settings.source == "files" else CRASH_CENTRE
        cut = {market: price_data.window(bars, centre, settings.hours) for market, bars in markets.items()}
        cut = price_data.align(cut)
        return PriceHistory(f"{source}, {price_data.describe_span(cut)}", cut)


def demo() -> Scenario:
    """The scenario that the demo replays."""
    return Scenario()


def load(path: Path | str) -> Scenario:
    """The scenario of a TOML or JSON file. Raises UserError that names the file, the key and what it must be."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            content: Any = tomllib.loads(text, parse_float=Decimal)
        elif path.suffix == ".json":
            content = json.loads(text, parse_float=Decimal)
        else:
            raise UserError(f"{path}: is neither .toml nor .json; name it by its format")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give the path of a scenario") from None
    except ValueError as error:
        raise UserError(f"{path}: is not valid {path.suffix[1:].upper()}: {error}") from None
    try:
        scenario = _build(Scenario, content, "")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return dataclasses.replace(scenario, folder=path.resolve().parent)


def _build(cls: type[T], content: Any, where: str) -> T:
    """A settings dataclass from a parsed file's table."""
    if not isinstance(content, dict):
        raise UserError(f"{where.rstrip('.') or 'the file'} must be a table of settings, not {_name_of(content)}")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.metadata.get("unit") != "hidden"}  # type: ignore[arg-type]
    hints = get_type_hints(cls)
    arguments = {}
    for key, value in content.items():
        label = f"{where}{key}"
        if key not in fields:
            raise UserError(f"{label} is not a setting; known are {', '.join(fields)}")
        arguments[key] = _convert(hints[key], fields[key].metadata.get("unit"), value, label)
    return cls(**arguments)


def _convert(hint: Any, unit: str | None, value: Any, label: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, f"{label}.")  # type: ignore[arg-type]
    if get_origin(hint) is Literal:
        _expect(value in get_args(hint), label, f"one of {', '.join(get_args(hint))}", value)
        return value
    if get_origin(hint) is Mapping:
        _expect(isinstance(value, dict) and bool(value), label, "a table of markets", value)
        inner = get_args(hint)[1]
        return {market: _convert(inner, unit, one, f"{label}.{market}") for market, one in value.items()}
    if unit == "wad":
        _expect(isinstance(value, int | Decimal) and not isinstance(value, bool), label, "a number", value)
        return to_wad(value, what=label)
    if unit == "time":
        return _time(value, label)
    wanted, words = {int: (int, "a whole number"), bool: (bool, "true or false"), str: (str, "text")}[hint]
    _expect(isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)), label, words, value)
    return value


def _time(value: Any, label: str) -> int:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            _expect(False, label, "a time like 2021-05-19T13:00:00Z", value)
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    _expect(isinstance(value, int) and not isinstance(value, bool), label, "a time or Unix seconds", value)
    return int(value)


def _worst_market(markets: Mapping[str, Bars]) -> Bars:
    def worst_hour(bars: Bars) -> int:
        try:
            return price_data.worst_hour(bars)
        except UserError:
            return 0

    return min(markets.values(), key=worst_hour)


def _middle_of_worst_hour(markets: Mapping[str, Bars]) -> int:
    worst = _worst_market(markets)
    return worst[price_data.crash_start(worst)].ts + SECONDS_PER_HOUR // 2


def _expect(holds: bool, label: str, words: str, value: Any) -> None:
    if not holds:
        raise UserError(f"{label} must be {words}, not {_name_of(value)}")


def _name_of(value: Any) -> str:
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(str(value))


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise UserError(message)
