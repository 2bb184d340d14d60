"""What a replay found: the data, its JSON, and a table for the terminal. `page` draws it.

Dollars, prices, sizes and rates are WAD ints here and exact decimal numbers in the JSON; sums that must vanish stay in
wei; counts are counts.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from rich.console import Console
from rich.table import Table

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, format_percent, format_usd, format_wad, from_wad, mul_div_trunc, to_wad

T = TypeVar("T")

LiquidationKind = Literal["closeout", "takeover", "absorbed"]
KIND_LABELS: Mapping[LiquidationKind, str] = {
    "closeout": "close-out",
    "takeover": "take-over",
    "absorbed": "absorption",
}

HEALTH_EDGES = (0, WAD // 2, WAD, 5 * WAD // 4, 2 * WAD, 5 * WAD)
HEALTH_LABELS = ("≤ 0", "0 – 0.5", "0.5 – 1", "1 – 1.25", "1.25 – 2", "2 – 5", "≥ 5")

_WAD_FIELD = {"unit": "wad"}


def _wad(**options: Any) -> Any:
    return field(metadata=_WAD_FIELD, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRow:
    """A market at one time: prices in dollars, open interest and skew in base, funding per day, all WAD."""

    price: int = _wad()
    mark: int = _wad()
    long_oi: int = _wad()
    short_oi: int = _wad()
    skew: int = _wad()
    funding_rate: int = _wad()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """The protocol at one time, Unix seconds. `health` counts accounts with a position by `health_bucket`;
    liquidations and volumes (against the pool, between accounts, liquidated) are cumulated since the start; money is
    WAD dollars."""

    ts: int
    markets: Mapping[str, MarketRow]
    health: Sequence[int]
    closeouts: int
    takeovers: int
    absorbed: int
    insurance_usd: int = _wad()
    pool_share_price: int = _wad()
    bad_debt_usd: int = _wad()
    pool_usd: int = _wad(default=0)
    matched_usd: int = _wad(default=0)
    liquidated_usd: int = _wad(default=0)

    def __post_init__(self) -> None:
        if len(self.health) != len(HEALTH_LABELS):
            raise UserError(f"report: a row has {len(self.health)} health counts; give {len(HEALTH_LABELS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationEvent:
    """One step of a liquidation: sizes, prices and money in WAD, health before it as a WAD ratio."""

    ts: int
    kind: LiquidationKind
    account: str
    market: str
    base: int = _wad()
    price: int = _wad()
    notional_usd: int = _wad()
    health: int = _wad()
    penalty_usd: int = _wad(default=0)
    keeper_usd: int = _wad(default=0)
    insurance_usd: int = _wad(default=0)
    delay_blocks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Blocks from the first record at which an account could be liquidated to its liquidation."""

    median: Decimal
    max: int


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """The findings of a replay. Money and share prices in WAD dollars.

    `sum_base` is Σ base over all accounts by market, `vault_tokens_minus_claims` the tokens in the vault less what
    accounts can claim, `equity_minus_tokens` Σ equity less tokens (None where it was not summed), all in wei; each may
    differ from 0 by its stated dust bound. `matches` are fills between two accounts through the book,
    `matched_usd` their volume; `relayed` are calls that a relayer brought on a signature, `delegated` orders that a
    delegate placed, and matches with one that he signed. `gas` is the median by flow. `model_mismatches` counts the
    comparisons of chain and reference model that were not equal to the last digit. `fund_ledger_minus_balance` is the
    insurance fund's ledger, rebuilt from so many entries in events, less its balance, in wei (None without a chain).
    """

    title: str = "Crash replay"
    prices_source: str
    minutes: int
    accounts: int
    fills: int
    closeouts: int
    takeovers: int
    absorbed: int
    bad_debt_usd: int = _wad()
    insurance_start_usd: int = _wad()
    insurance_end_usd: int = _wad()
    pool_share_price_start: int = _wad()
    pool_share_price_end: int = _wad()
    keeper_rewards_usd: int = _wad()
    liquidation_delay_blocks: Delay
    sum_base: Mapping[str, int]
    vault_tokens_minus_claims: int
    model_mismatches: int
    gas: Mapping[str, int]
    wall_seconds: Decimal
    equity_minus_tokens: int | None = None
    base_dust_bound: Mapping[str, int] = field(default_factory=dict)
    vault_dust_bound: int | None = None
    model_comparisons: int | None = None
    matches: int = 0
    matched_usd: int = _wad(default=0)
    stops_executed: int = 0
    take_profits_executed: int = 0
    orders_voided: int = 0
    relayed: int = 0
    delegated: int = 0
    fund_ledger_entries: int | None = None
    fund_ledger_minus_balance: int | None = None
    series: Sequence[SeriesRow] = ()
    events: Sequence[LiquidationEvent] = ()

    @property
    def liquidations(self) -> int:
        """Close-outs, take-overs and absorptions together."""
        return self.closeouts + self.takeovers + self.absorbed

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: WAD as Decimal, everything else as it is."""
        encoded: dict[str, Any] = _encode(self)
        return encoded

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ReplayReport:
        """The inverse of `to_json`, also for numbers read as float, which are rounded to 9 decimals.

        Raises UserError that names a key that is missing, unknown or of the wrong kind.
        """
        decoded: ReplayReport = _decode(cls, None, content, "report")
        return decoded


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold, whether it did, and the numbers that say so."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the summary: what it is, its value with unit, and a remark."""

    label: str
    value: str
    remark: str = ""


# ----------------------------------------------------------------------------------------------------------- summing


def health_bucket(health: int) -> int:
    """The place of a WAD health in `HEALTH_LABELS`: ≤ 0 first, then [0.5, 1) and so on, lower edge included."""
    if health <= 0:
        return 0
    return sum(health >= edge for edge in HEALTH_EDGES[1:]) + 1


def health_histogram(healths: Iterable[int]) -> tuple[int, ...]:
    """How many WAD healths fall in each bucket."""
    counts = [0] * len(HEALTH_LABELS)
    for health in healths:
        counts[health_bucket(health)] += 1
    return tuple(counts)


def checks(report: ReplayReport) -> list[Check]:
    """The three sums of the ledger, the comparison with the reference model, and the insurance fund's ledger."""
    bases = report.sum_base.items()
    tokens, bound = report.vault_tokens_minus_claims, report.vault_dust_bound
    first = all(abs(total) <= report.base_dust_bound.get(market, 0) for market, total in bases)
    second = tokens >= 0 and (bound is None or tokens <= bound)
    equity = report.equity_minus_tokens
    if equity is None:
        third = Check("Σ equity = tokens held", first and second, "follows from the two sums above")
    else:
        passed = abs(equity) <= bound if bound is not None else equity <= 0
        third = Check("Σ equity = tokens held", passed, f"differs by {equity:,} wei")
    compared = f" of {report.model_comparisons:,} comparisons" if report.model_comparisons is not None else ""
    held = [
        Check("Σ base = 0 in every market", first, ", ".join(f"{market} {total:,} wei" for market, total in bases)),
        Check(
            "tokens in the vault = claims + dust",
            second,
            f"{tokens:,} wei of dust" + ("" if bound is None else f", at most {bound:,} allowed"),
        ),
        third,
        Check(
            "chain = reference model", report.model_mismatches == 0, f"{report.model_mismatches:,} mismatches{compared}"
        ),
    ]
    if report.fund_ledger_minus_balance is not None:
        off = report.fund_ledger_minus_balance
        detail = f"differs by {off:,} wei, {report.fund_ledger_entries or 0:,} entries"
        held.append(Check("fund's balance = its events", off == 0, detail))
    return held


def facts(report: ReplayReport) -> list[Fact]:
    """The summary in words, in the order of reading."""
    fund = report.insurance_end_usd - report.insurance_start_usd
    share_change = report.pool_share_price_end - report.pool_share_price_start
    change = mul_div_trunc(share_change, WAD, report.pool_share_price_start) if report.pool_share_price_start else 0
    delay = report.liquidation_delay_blocks
    return [
        Fact("Prices", report.prices_source),
        Fact("Length", f"{report.minutes:,} minutes", f"replayed in {_plain(report.wall_seconds)} s"),
        Fact("Accounts", f"{report.accounts:,}"),
        Fact("Fills", f"{report.fills:,}"),
        Fact("Matches", f"{report.matches:,}", f"{format_usd(report.matched_usd, 0)} through the book"),
        Fact("Stop-losses", f"{report.stops_executed:,}", "executed"),
        Fact("Take-profits", f"{report.take_profits_executed:,}", "executed"),
        Fact("Voided orders", f"{report.orders_voided:,}", "with nothing left to reduce, or their entry unfilled"),
        Fact("Relayed calls", f"{report.relayed:,}", "on signatures of traders without ETH"),
        Fact("By delegates", f"{report.delegated:,}", "orders placed and matches"),
        Fact("Close-outs", f"{report.closeouts:,}", "against the pool"),
        Fact("Take-overs", f"{report.takeovers:,}", "by keepers with capital"),
        Fact("Absorptions", f"{report.absorbed:,}", "of bankrupt accounts"),
        Fact("Bad debt", format_usd(report.bad_debt_usd), "paid by the insurance fund first, then the pool"),
        Fact(
            "Insurance fund",
            f"{format_usd(report.insurance_start_usd)} → {format_usd(report.insurance_end_usd)}",
            signed_usd(fund),
        ),
        Fact(
            "Pool share price",
            f"${format_wad(report.pool_share_price_start, 6)} → ${format_wad(report.pool_share_price_end, 6)}",
            ("+" if change > 0 else "") + format_percent(change, 3),
        ),
        Fact("Keeper rewards", format_usd(report.keeper_rewards_usd)),
        Fact("Liquidation delay", f"{_plain(delay.median)} blocks", f"median; at most {delay.max:,}"),
    ]


def signed_usd(wad: int) -> str:
    """WAD dollars with their sign: "+$1.00"."""
    return ("+" if wad > 0 else "") + format_usd(wad)


# ----------------------------------------------------------------------------------------------------------- writing


def dumps(report: ReplayReport) -> str:
    """The report as JSON text, decimal numbers written out in full."""
    return "".join(_json(report.to_json(), 0)) + "\n"


def load(path: Path | str) -> ReplayReport:
    """A report.json read back. Raises UserError."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give the path of a report.json") from None
    except ValueError as error:
        raise UserError(f"{path}: is not valid JSON: {error}") from None
    try:
        return ReplayReport.from_json(content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def print_table(report: ReplayReport, console: Console | None = None) -> None:
    """The summary, what was checked and the gas, on the terminal."""
    console = console or Console()
    summary = Table(title=report.title, title_style="bold", show_header=False, title_justify="left")
    summary.add_column(style="bold")
    summary.add_column(overflow="fold")
    summary.add_column(style="dim")
    for fact in facts(report):
        summary.add_row(fact.label, fact.value, fact.remark)
    console.print(summary)

    checked = Table(title="What was checked", title_style="bold", show_header=False, title_justify="left")
    for check in checks(report):
        verdict = "[green]holds[/green]" if check.passed else "[bold red]FAILS[/bold red]"
        checked.add_row(check.name, verdict, check.detail)
    console.print(checked)

    if report.gas:
        gas = Table(title="Gas, median by flow", title_style="bold", title_justify="left")
        gas.add_column("flow")
        gas.add_column("gas", justify="right")
        for flow, used in report.gas.items():
            gas.add_row(flow, f"{used:,}")
        console.print(gas)


def _plain(number: Decimal | int) -> str:
    text = f"{number:,}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# -------------------------------------------------------------------------------------------------------------- JSON


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            f.name: from_wad(getattr(value, f.name)) if f.metadata == _WAD_FIELD else _encode(getattr(value, f.name))
            for f in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {key: _encode(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(one) for one in value]
    return value


def _json(value: Any, depth: int) -> Iterator[str]:
    """JSON text of plain values. Decimals become numbers with all their digits, which `json` cannot write."""
    if isinstance(value, Decimal):
        yield f"{value:f}"
    elif isinstance(value, dict) and value:
        indent = "\n" + "  " * (depth + 1) if depth < 1 else ""
        for place, (key, one) in enumerate(value.items()):
            yield f"{',' if place else '{'}{indent}{json.dumps(key)}: "
            yield from _json(one, depth + 1)
        yield "\n}" if indent else "}"
    elif isinstance(value, list) and value:
        indent = "\n    " if isinstance(value[0], dict) else ""
        for place, one in enumerate(value):
            yield f"{',' if place else '['}{indent}"
            yield from _json(one, depth + 1)
        yield "\n  ]" if indent else "]"
    else:
        yield json.dumps(value, ensure_ascii=False)


def _decode(hint: Any, unit: Any, value: Any, label: str) -> Any:
    if unit == "wad":
        return to_wad(_number(value, label), what=label)
    if dataclasses.is_dataclass(hint):
        return _decode_record(hint, value, label)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Mapping:
        _expect(isinstance(value, Mapping), label, "a table", value)
        return {key: _decode(arguments[1], None, one, f"{label}.{key}") for key, one in value.items()}
    if origin is Sequence:
        _expect(isinstance(value, (list, tuple)), label, "a list", value)
        return tuple(_decode(arguments[0], None, one, f"{label}[{place}]") for place, one in enumerate(value))
    if origin is Literal:
        _expect(value in arguments, label, f"one of {', '.join(arguments)}", value)
        return value
    if hint is Decimal:
        return _number(value, label)
    if value is None and type(None) in arguments:
        return None
    if hint is str:
        _expect(isinstance(value, str), label, "text", value)
    else:
        _expect(isinstance(value, int) and not isinstance(value, bool), label, "a whole number", value)
    return value


def _decode_record(cls: Any, value: Any, label: str) -> Any:
    _expect(isinstance(value, Mapping), label, "a table", value)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    hints = get_type_hints(cls)
    unknown = [key for key in value if key not in fields]
    if unknown:
        raise UserError(f"{label}: {unknown[0]} is not a key; known are {', '.join(fields)}")
    optional = (dataclasses.MISSING, dataclasses.MISSING)
    missing = [f.name for f in fields.values() if f.name not in value and (f.default, f.default_factory) == optional]
    if missing:
        raise UserError(f"{label}: {missing[0]} is missing")
    decoded = {
        key: _decode(hints[key], fields[key].metadata.get("unit"), one, f"{label}.{key}") for key, one in value.items()
    }
    return cls(**decoded)


def _number(value: Any, label: str) -> Decimal:
    _expect(isinstance(value, (int, float, Decimal)) and not isinstance(value, bool), label, "a number", value)
    return Decimal(f"{value:.9f}") if isinstance(value, float) else Decimal(value)


def _expect(holds: bool, label: str, words: str, value: Any) -> None:
    if not holds:
        raise UserError(f"{label} must be {words}, not {str(value)[:40]!r}")
