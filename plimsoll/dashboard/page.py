"""The replay report as one HTML file that needs no network: text and tables from here, plots by uPlot in the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Literal

from plimsoll.core.errors import UserError
from plimsoll.core.units import (
    WAD,
    WAD_DECIMALS,
    format_percent,
    format_usd,
    format_usd_short,
    format_wad,
    mul_div_trunc,
)
from plimsoll.dashboard.report import (
    HEALTH_LABELS,
    KIND_LABELS,
    Check,
    LiquidationEvent,
    ReplayReport,
    SeriesRow,
    checks,
    dumps,
    facts,
    signed_usd,
)

GAS_COLUMNS = 3
MAX_EVENTS = 200

_ASSETS = Path(__file__).resolve().parent / "assets"
_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_UPLOT = Path("node_modules") / "uplot" / "dist"
_PLOT_DIGITS = 12

Unit = Literal["usd", "price", "share", "base", "count", "percent"]
Kind = Literal["line", "step", "area", "bars"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series of a plot. `colour` names a CSS variable; `shown` are the legend's values where they are not the ones
    drawn, as in a stack."""

    label: str
    colour: str
    values: Sequence[Decimal | int]
    kind: Kind = "line"
    dashed: bool = False
    filled: bool = False
    shown: Sequence[Decimal | int] | None = None


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot over the report's times, and the sentence that says what it shows."""

    id: str
    title: str
    caption: str
    unit: Unit
    lines: Sequence[Line]
    wide: bool = False
    from_zero: bool = False


def write_report(
    report: ReplayReport | Mapping[str, Any], folder: Path | str, *, uplot: Path | None = None
) -> tuple[Path, Path]:
    """Write `report.json` and `report.html` into the folder, which is made where it is missing, and return their paths.

    `report` may be the mapping of a report.json. `uplot` is the folder of uPlot's distribution, by default the one in
    node_modules. Raises UserError where that is missing, the mapping is wrong, or the folder cannot be written.
    """
    if not isinstance(report, ReplayReport):
        report = ReplayReport.from_json(report)
    page = render(report, uplot=uplot)
    folder = Path(folder)
    files = (folder / "report.json", folder / "report.html")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in zip(files, (dumps(report), page), strict=True):
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written ({error.strerror}); name another folder") from None
    return files


def render(report: ReplayReport, *, uplot: Path | None = None) -> str:
    """The page. Raises UserError where uPlot is missing."""
    drawn = plots(report)
    data = {
        "ts": [row.ts for row in report.series],
        "focus": _focus(report.series),
        "plots": [_plot_data(plot) for plot in drawn],
    }
    parts = {
        "title": escape(report.title),
        "subtitle": escape(report.prices_source),
        "uplot_css": _uplot_file("uPlot.min.css", uplot),
        "css": (_ASSETS / "report.css").read_text(encoding="utf-8"),
        "headline": _headline(report),
        "checks": _checks(checks(report)),
        "facts": _facts(report),
        "gas": _gas(report.gas),
        "plots": "".join(_figure(plot) for plot in drawn),
        "events": _events(report.events),
        # float: these numbers become pixels; the exact ones are in report.json
        "data": json.dumps(data, separators=(",", ":"), default=float).replace("<", "\\u003c"),
        "uplot_js": _uplot_file("uPlot.iife.min.js", uplot).replace("</script", "<\\/script"),
        "js": (_ASSETS / "report.js").read_text(encoding="utf-8"),
    }
    page = []
    for piece in (_ASSETS / "report.html").read_text(encoding="utf-8").split("{{"):
        name, closed, rest = piece.partition("}}")
        page.append(parts[name] + rest if closed else piece)
    return "".join(page)


# ------------------------------------------------------------------------------------------------------------- plots


def plots(report: ReplayReport) -> list[Plot]:
    """The plots of a report in the order of reading; none without a series."""
    rows = report.series
    if not rows:
        return []
    markets = list(rows[0].markets)
    return [
        *(_price_plot(market, rows) for market in markets),
        *(_open_interest_plot(market, rows) for market in markets),
        _health_plot(rows),
        _volume_plot(rows),
        *_liquidation_plots(rows),
        *_fund_plots(rows),
        _pool_plot(rows),
        _funding_plot(markets, rows),
    ]


def _price_plot(market: str, rows: Sequence[SeriesRow]) -> Plot:
    prices = [row.markets[market].price for row in rows]
    low = min(range(len(rows)), key=prices.__getitem__)
    fall = mul_div_trunc(prices[low] - prices[0], WAD, prices[0])
    return Plot(
        id=f"price-{market}",
        title=f"{market}: price",
        caption=(
            "Index price from the oracle, and the mark, which is the index moved by the market's skew. The index is"
            f" lowest at {_clock(rows[low].ts)}: ${format_wad(prices[low])}, {format_percent(fall, 1)} from the start."
        ),
        unit="price",
        lines=[
            Line(label="index", colour="--market", values=_column(prices)),
            Line(label="mark", colour="--ink-2", values=_column(row.markets[market].mark for row in rows), dashed=True),
        ],
    )


def _open_interest_plot(market: str, rows: Sequence[SeriesRow]) -> Plot:
    first, last = rows[0].markets[market], rows[-1].markets[market]
    top = max(row.markets[market].long_oi for row in rows)
    return Plot(
        id=f"oi-{market}",
        title=f"{market}: open interest",
        caption=(
            f"Size of all longs and of all shorts, in {market} rather than dollars, so that prices do not move it. The"
            " skew between them is what the pool holds the other side of."
            f" Longs peak at {format_wad(top, 1)} and end at"
            f" {format_wad(last.long_oi, 1)}; the skew goes from {format_wad(first.skew, 1)} to"
            f" {format_wad(last.skew, 1)}."
        ),
        unit="base",
        from_zero=True,
        lines=[
            Line(
                label="long", colour="--long", values=_column(row.markets[market].long_oi for row in rows), filled=True
            ),
            Line(label="short", colour="--short", values=_column(row.markets[market].short_oi for row in rows)),
            Line(label="skew", colour="--ink-2", values=_column(row.markets[market].skew for row in rows), dashed=True),
        ],
    )


def _health_plot(rows: Sequence[SeriesRow]) -> Plot:
    stacks = [list(accumulate(row.health)) for row in rows]
    worst = max(range(len(rows)), key=lambda place: sum(rows[place].health[:3]))
    below = sum(rows[worst].health[:3])
    extreme = (
        f"Most stood below 1 at {_clock(rows[worst].ts)}: {below:,}."
        if below
        else "None stood below 1 at the end of any minute."
    )
    return Plot(
        id="health",
        title="Health of accounts",
        caption=(
            "Accounts with a position, by health: equity over maintenance margin at the index. Below 1 an account can"
            f" be liquidated, at 0 or less it is bankrupt. {extreme}"
        ),
        unit="count",
        wide=True,
        from_zero=True,
        lines=[
            Line(
                label=label,
                colour=f"--health-{bucket}",
                values=[stack[bucket] for stack in stacks],
                shown=[row.health[bucket] for row in rows],
                kind="area",
            )
            for bucket, label in reversed(list(enumerate(HEALTH_LABELS)))
        ],
    )


def _volume_plot(rows: Sequence[SeriesRow]) -> Plot:
    ways = (
        ("pool", "--pool", [row.pool_usd for row in rows]),
        ("book", "--market", [row.matched_usd for row in rows]),
        ("liquidations", "--closeout", [row.liquidated_usd for row in rows]),
    )
    volumes = ", ".join(f"{label} {format_usd_short(values[-1])}" for label, _, values in ways)
    return Plot(
        id="volume",
        title="Volume so far",
        caption=(
            "Notional traded since the start: orders against the pool, signed orders matched with each other through"
            f" the book, and steps of liquidations. In all: {volumes}."
        ),
        unit="usd",
        wide=True,
        from_zero=True,
        lines=[
            Line(label=label, colour=colour, values=_column(values), kind="step", filled=label == "pool")
            for label, colour, values in ways
        ],
    )


def _liquidation_plots(rows: Sequence[SeriesRow]) -> list[Plot]:
    kinds = (
        ("close-outs", "--closeout", [row.closeouts for row in rows]),
        ("take-overs", "--takeover", [row.takeovers for row in rows]),
        ("absorptions", "--absorbed", [row.absorbed for row in rows]),
    )
    rates = [(label, colour, _steps(counts)) for label, colour, counts in kinds]
    stacks = [list(accumulate(column)) for column in zip(*(rate for _, _, rate in rates), strict=True)]
    busiest = max(range(len(rows)), key=lambda place: stacks[place][-1])
    total = sum(counts[-1] for _, _, counts in kinds)
    return [
        Plot(
            id="liquidations",
            title="Liquidations so far",
            caption=(
                "Every step of a liquidation since the start: chunks closed against the pool, positions taken over by"
                f" keepers with capital, and bankrupt accounts absorbed. {total:,} in all."
            ),
            unit="count",
            from_zero=True,
            lines=[
                Line(label=label, colour=colour, values=counts, kind="step", filled=label == "close-outs")
                for label, colour, counts in kinds
            ],
        ),
        Plot(
            id="liquidations-rate",
            title="Liquidations in each minute",
            caption=(
                f"The same, minute by minute and stacked. The busiest minute, {_clock(rows[busiest].ts)}, saw"
                f" {stacks[busiest][-1]:,}."
                if total
                else "The same, minute by minute and stacked. There were none."
            ),
            unit="count",
            from_zero=True,
            lines=[
                Line(
                    label=label,
                    colour=colour,
                    values=[stack[place] for stack in stacks],
                    shown=counts,
                    kind="bars",
                )
                for place, (label, colour, counts) in reversed(list(enumerate(rates)))
            ],
        ),
    ]


def _fund_plots(rows: Sequence[SeriesRow]) -> list[Plot]:
    change = rows[-1].insurance_usd - rows[0].insurance_usd
    debt = rows[-1].bad_debt_usd
    return [
        Plot(
            id="insurance",
            title="Insurance fund",
            caption=(
                "What the fund holds: it receives the larger part of every penalty and pays what bankrupt accounts"
                f" leave behind. Over the replay {signed_usd(change)}."
            ),
            unit="usd",
            lines=[Line(label="fund", colour="--fund", values=_column(row.insurance_usd for row in rows))],
        ),
        Plot(
            id="bad-debt",
            title="Bad debt so far",
            caption=(
                "What bankrupt accounts left unpaid, before the fund and then the pool paid for it."
                f" {format_usd(debt) + ' in all.' if debt else 'There was none.'}"
            ),
            unit="usd",
            from_zero=True,
            lines=[
                Line(
                    label="bad debt",
                    colour="--absorbed",
                    values=_column(row.bad_debt_usd for row in rows),
                    kind="step",
                    filled=True,
                )
            ],
        ),
    ]


def _pool_plot(rows: Sequence[SeriesRow]) -> Plot:
    shares = [row.pool_share_price for row in rows]
    low = min(range(len(rows)), key=shares.__getitem__)
    return Plot(
        id="pool",
        title="Pool share price",
        caption=(
            "What one share of the liquidity pool is worth, its positions valued at what unwinding them would cost. The"
            f" pool wins when traders lose, and earns their fees and funding. Lowest: ${format_wad(shares[low], 6)} at"
            f" {_clock(rows[low].ts)}."
        ),
        unit="share",
        lines=[Line(label="share", colour="--pool", values=_column(shares))],
    )


def _funding_plot(markets: Sequence[str], rows: Sequence[SeriesRow]) -> Plot:
    rates = {market: [row.markets[market].funding_rate for row in rows] for market in markets}
    extremes = ", ".join(
        f"{market} between {format_percent(min(rate), 3)} and {format_percent(max(rate), 3)}"
        for market, rate in rates.items()
    )
    return Plot(
        id="funding",
        title="Funding rate",
        caption=(
            "Per day; positive means that longs pay. The skew sets how fast the rate moves, not where it stands:"
            f" {extremes}."
        ),
        unit="percent",
        lines=[
            Line(label=market, colour=f"--series-{place % 6}", values=_column(value * 100 for value in rates[market]))
            for place, market in enumerate(markets)
        ],
    )


def _steps(counts: Sequence[int]) -> list[int]:
    """What cumulated counts grew by."""
    return [counts[0], *(after - before for before, after in pairwise(counts))]


def _column(values: Any) -> list[Decimal]:
    """WAD values for plotting, cut to the digits that a plot can show."""
    return [_plotted(value) for value in values]


def _plotted(wad: int) -> Decimal:
    digits = str(abs(wad))
    kept = digits[:_PLOT_DIGITS]
    return Decimal((int(wad < 0), tuple(map(int, kept)), len(digits) - len(kept) - WAD_DECIMALS))


def _focus(rows: Sequence[SeriesRow]) -> tuple[int, int] | None:
    """The times between which something was liquidated, with a margin; None if nothing was."""
    if not rows or rows[-1].closeouts + rows[-1].takeovers + rows[-1].absorbed == 0:
        return None
    done = [row.closeouts + row.takeovers + row.absorbed for row in rows]
    first = next(row.ts for row, count in zip(rows, done, strict=True) if count)
    last = next(row.ts for row, count in zip(rows, done, strict=True) if count == done[-1])
    margin = max(600, (last - first) // 5)
    return max(rows[0].ts, first - margin), min(rows[-1].ts, last + margin)


def _plot_data(plot: Plot) -> dict[str, Any]:
    content = {key: value for key, value in asdict(plot).items() if key not in ("title", "caption")}
    for line in content["lines"]:
        line["fromZero"] = plot.from_zero
    content["fromZero"] = content.pop("from_zero")
    return content


# -------------------------------------------------------------------------------------------------------------- text


def _headline(report: ReplayReport) -> str:
    fund = report.insurance_end_usd - report.insurance_start_usd
    before, after = report.pool_share_price_start, report.pool_share_price_end
    share = mul_div_trunc(after - before, WAD, before) if before else 0
    held = checks(report)
    passed = sum(check.passed for check in held)
    cards = (
        ("Bad debt", format_usd(report.bad_debt_usd), "left by bankrupt accounts", report.bad_debt_usd <= 0),
        ("Insurance fund", _signed_short(fund), f"ends at {format_usd_short(report.insurance_end_usd)}", fund >= 0),
        (
            "Pool share",
            ("+" if share > 0 else "") + format_percent(share),
            f"ends at ${format_wad(after, 4)}",
            share >= 0,
        ),
        ("Through the book", format_usd_short(report.matched_usd), f"{report.matches:,} matches", None),
        ("Liquidations", f"{report.liquidations:,}", f"of {report.accounts:,} accounts, {report.fills:,} fills", None),
        ("Checks", f"{passed} of {len(held)}", "hold" if passed == len(held) else "see below", passed == len(held)),
    )
    tones = {True: "good", False: "bad", None: "plain"}
    return "".join(
        f'<div class="card {tones[good]}"><span class="label">{escape(label)}</span>'
        f'<span class="value">{escape(value)}</span><span class="remark">{escape(remark)}</span></div>'
        for label, value, remark, good in cards
    )


def _signed_short(wad: int) -> str:
    return ("+" if wad > 0 else "") + format_usd_short(wad)


def _checks(held: Sequence[Check]) -> str:
    return "".join(
        f'<li class="{"pass" if check.passed else "fail"}"><span class="verdict">{"holds" if check.passed else "fails"}'
        f"</span><span><b>{escape(check.name)}</b><small>{escape(check.detail)}</small></span></li>"
        for check in held
    )


def _facts(report: ReplayReport) -> str:
    return "".join(
        f'<tr><th scope="row">{escape(fact.label)}</th><td>{escape(fact.value)}'
        + (f"<small>{escape(fact.remark)}</small>" if fact.remark else "")
        + "</td></tr>"
        for fact in facts(report)
    )


def _gas(gas: Mapping[str, int]) -> str:
    if not gas:
        return ""
    most = max(*gas.values(), 1)
    rows = [
        f'<tr><th scope="row">{escape(flow)}</th><td class="number">{used:,}</td>'
        f'<td class="bar"><i style="width:{used * 100 // most}%"></i></td></tr>'
        for flow, used in gas.items()
    ]
    height = -(-len(rows) // GAS_COLUMNS)
    columns = (rows[start : start + height] for start in range(0, len(rows), height))
    tables = "".join(f'<table class="gas">{"".join(column)}</table>' for column in columns)
    return _box("Gas", "Median by flow.", f'<div class="thirds">{tables}</div>')


def _figure(plot: Plot) -> str:
    return (
        f'<figure class="{"wide" if plot.wide else "half"}"><h3>{escape(plot.title)}</h3>'
        f'<div class="plot" id="plot-{escape(plot.id)}"></div><figcaption>{escape(plot.caption)}</figcaption></figure>'
    )


def _events(events: Sequence[LiquidationEvent]) -> str:
    if not events:
        return ""
    columns = (
        *(("Time (UTC)", ""), ("Step", ""), ("Account", ""), ("Market", ""), ("Health", "number"), ("Size", "number")),
        *(("Price", "number"), ("Notional", "number"), ("Penalty", "number"), ("Keeper", "number")),
        *(("Fund", "number"), ("Blocks", "number")),
    )
    head = "".join(f'<th scope="col" class="{kind}">{label}</th>' for label, kind in columns)
    largest = sorted(events, key=lambda event: -abs(event.notional_usd))[:MAX_EVENTS]
    body = "".join(_event(event) for event in sorted(largest, key=lambda event: event.ts))
    which = "All" if len(events) <= MAX_EVENTS else f"The {MAX_EVENTS} largest"
    return _box(
        "Liquidations, one by one",
        f"{which} of {len(events):,} steps, in the order of time. Health is what it was before; blocks are those since"
        " the account could be liquidated.",
        f'<div class="scroll"><table class="events"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>',
    )


def _box(title: str, note: str, content: str) -> str:
    return f'<section class="box"><h2>{title}</h2><p class="note">{note}</p>{content}</section>'


def _event(event: LiquidationEvent) -> str:
    numbers = (
        format_wad(event.health, 3),
        format_wad(event.base, 4),
        format_wad(event.price),
        format_usd(event.notional_usd, 0),
        format_usd(event.penalty_usd),
        format_usd(event.keeper_usd),
        format_usd(event.insurance_usd),
        f"{event.delay_blocks:,}",
    )
    return (
        f'<tr><td>{_clock(event.ts, "%m-%d %H:%M:%S")}</td><td><i class="dot {event.kind}"></i>'
        f"{KIND_LABELS[event.kind]}</td><td>{escape(event.account)}</td><td>{escape(event.market)}</td>"
        + "".join(f'<td class="number">{number}</td>' for number in numbers)
        + "</tr>"
    )


def _clock(ts: int, form: str = "%d %b %H:%M UTC") -> str:
    return datetime.fromtimestamp(ts, UTC).strftime(form)


def _uplot_file(name: str, folder: Path | None) -> str:
    file = (folder or _PROJECT_ROOT / _UPLOT) / name
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        raise UserError(f"{file} not found: run make bootstrap") from None
