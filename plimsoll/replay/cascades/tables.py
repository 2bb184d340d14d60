"""The report's tables, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from plimsoll.core.units import WAD, format_usd_short
from plimsoll.replay.cascades import grid
from plimsoll.replay.cascades.grid import FlatRow, PushRow, Row
from plimsoll.risk.study.result import Result


def usd(wad: int) -> str:
    """Dollars in two or three digits; a dash for nothing."""
    if abs(wad) < WAD:
        return "–"
    text = format_usd_short(wad)
    return text.removesuffix(".00") if text[-1].isdigit() else text


def bps(hundredths: int) -> str:
    """Hundredths of a basis point, as basis points."""
    return f"{'−' if hundredths < 0 else ''}{(abs(hundredths) + 50) // 100}"


def table(header: Sequence[str], rows: Iterable[Sequence[object]], words: int = 1) -> str:
    """A Markdown table; the first `words` columns are text, the others are aligned as figures."""
    rule = ["---"] * words + ["---:"] * (len(header) - words)
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (header, rule, *rows))


def all_tables(
    main: Sequence[Row],
    seeds: Sequence[Row],
    targets: Sequence[Row],
    flat: Sequence[FlatRow],
    pushes: Sequence[PushRow],
) -> dict[str, str]:
    """By the name of the place in the report."""
    return {
        "shipped": _shipped(main),
        "windows": _windows(main),
        "absorption": _absorption(main),
        "sizes": _sizes(main),
        "takers": _takers(main),
        "seeds": _seeds(seeds),
        "targets": _targets(targets),
        "flat": _flat(flat),
        "pushes": _pushes(pushes),
    }


def runs(rows: Sequence[Row]) -> str:
    """Every run, with what matters most."""
    names = ("liquidated", "bankrupt", "closed against others", "bad debt", "fund", "pool", "lowest mark, bps",
             "waited: half, 95%, longest")  # fmt: skip
    return table(
        ("crash", "size", "a price every", "take-over capital", "cap", *names),
        (
            (row.crash, f"{row.setting.open_interest_percent}%", f"{row.setting.publish_seconds} s",
             usd(row.setting.take_over_usd), row.cap, *_found(row.result, *names))
            for row in rows
        ),
        5,
    )  # fmt: skip


_FOUND: dict[str, Callable[[Result], str]] = {
    "liquidated": lambda r: str(r.accounts),
    "bankrupt": lambda r: str(r.bankrupt),
    "closed against others": lambda r: usd(r.against),
    "others lost by it": lambda r: usd(r.given_up),
    "left to the liquidated": lambda r: usd(r.left),
    "bad debt": lambda r: usd(r.debt),
    "fund": lambda r: usd(r.fund),
    "pool": lambda r: usd(r.pool),
    "pool, unwound": lambda r: usd(r.pool_unwound),
    "lowest mark, bps": lambda r: bps(r.skew_lowest),
    "most in a minute, bps": lambda r: bps(r.fall_in_a_minute),
    "waited: half, 95%, longest": lambda r: f"{r.delay(50)}, {r.delay(95)}, {r.delay(100)} s",
}


def _found(result: Result, *names: str) -> list[str]:
    return [_FOUND[name](result) for name in names]


def _shipped(rows: Sequence[Row]) -> str:
    names = ("liquidated", "bankrupt", "closed against others", "others lost by it", "bad debt", "fund",
             "pool, unwound", "lowest mark, bps", "waited: half, 95%, longest")  # fmt: skip
    return table(
        ("crash", "a price every", "take-over capital", *names),
        (
            (row.crash, f"{row.setting.publish_seconds} s", usd(row.setting.take_over_usd), *_found(row.result, *names))
            for row in rows
            if row.cap == grid.SHIPPED.name and row.setting.open_interest_percent == 100
        ),
        3,
    )


def _windows(rows: Sequence[Row]) -> str:
    names = ("bankrupt", "left to the liquidated", "closed against others", "others lost by it", "bad debt", "fund",
             "pool, unwound", "lowest mark, bps", "most in a minute, bps",
             "waited: half, 95%, longest")  # fmt: skip
    wanted = [cap.name for cap in grid.WINDOWS]
    return table(
        ("crash", "a price every", "cap", *names),
        (
            (row.crash, f"{row.setting.publish_seconds} s", row.cap, *_found(row.result, *names))
            for row in _plain(rows)
            if row.cap in wanted and row.setting.publish_seconds in (1, 15)
        ),
        3,
    )


def _absorption(rows: Sequence[Row]) -> str:
    """Where prices come so rarely that accounts are bankrupt before anybody can act."""
    found = {
        (row.crash, row.setting.open_interest_percent, *row.cap.split("; ")): row.result
        for row in rows
        if row.setting.publish_seconds == max(grid.FREQUENCIES)
        and not row.setting.take_over_usd
        and row.setting.open_interest_percent >= 100
    }
    caps = (grid.SHIPPED.name, grid.OFF.name)
    lines = dict.fromkeys((crash, size, cap) for crash, size, cap, *_ in found if cap in caps)
    return table(
        ("crash", "size", "window's cap", "at 0.25%", "at 0.5%, as shipped", "at 1%", "without"),
        (
            (
                crash,
                f"{size}%",
                cap,
                *(_two(found[crash, size, cap, *which]) for which in (["0.25%"], [], ["1%"], ["none"])),
            )
            for crash, size, cap in lines
        ),
        3,
    )


def _two(result: Result) -> str:
    return f"{usd(result.against)} / {usd(result.debt)}"


def _sizes(rows: Sequence[Row]) -> str:
    names = ("liquidated", "bankrupt", "closed against others", "bad debt", "fund", "pool", "lowest mark, bps",
             "waited: half, 95%, longest")  # fmt: skip
    wanted = [cap.name for cap in grid.COMPARED]
    return table(
        ("crash", "size", "cap", *names),
        (
            (row.crash, f"{row.setting.open_interest_percent}%", row.cap, *_found(row.result, *names))
            for row in rows
            if row.cap in wanted and not row.setting.take_over_usd and row.setting.publish_seconds == 1
        ),
        3,
    )


def _takers(rows: Sequence[Row]) -> str:
    names = ("bankrupt", "closed against others", "bad debt", "pool", "lowest mark, bps")
    wanted = [cap.name for cap in grid.COMPARED]
    return table(
        ("crash", "a price every", "cap", "taken over", *names, "discounts less fees", "takers' result, unhedged"),
        (
            (row.crash, f"{row.setting.publish_seconds} s", row.cap,
             f"{100 * row.result.taken_over // max(1, row.result.notional)}%", *_found(row.result, *names),
             usd(row.result.taker_discount), usd(row.result.taker))
            for row in rows
            if row.cap in wanted and row.setting.take_over_usd and row.setting.open_interest_percent == 100
        ),
        3,
    )  # fmt: skip


def _seeds(rows: Sequence[Row]) -> str:
    found = []
    for crash, cap in dict.fromkeys((row.crash, row.cap) for row in rows):
        results = [row.result for row in rows if (row.crash, row.cap) == (crash, cap)]
        found.append(
            (
                crash,
                cap,
                _range([result.bankrupt for result in results], str),
                _range([result.against for result in results], usd),
                _range([result.debt for result in results], usd),
                _range([result.skew_lowest for result in results], bps),
            )
        )
    return table(("crash", "cap", "bankrupt", "closed against others", "bad debt", "lowest mark, bps"), found, 2)


def _range(values: Sequence[int], show: Callable[[int], str]) -> str:
    """Least, median, most."""
    ordered = sorted(values)
    return " / ".join(show(value) for value in (ordered[0], ordered[(len(ordered) - 1) // 2], ordered[-1]))


def _targets(rows: Sequence[Row]) -> str:
    found = {
        (row.crash, row.cap, row.setting.publish_seconds, row.setting.target_health_bps): row.result for row in rows
    }
    return table(
        ("crash", "cap", "a price every", *(f"to {target / 10_000:g}" for target in grid.TARGETS_BPS)),
        (
            (crash, cap, f"{every} s", *(_two(found[crash, cap, every, target]) for target in grid.TARGETS_BPS))
            for crash, cap, every in dict.fromkeys(key[:3] for key in found)
        ),
        3,
    )


def _flat(rows: Sequence[FlatRow]) -> str:
    found = []
    for cap, refill in dict.fromkeys((row.cap, row.refill) for row in rows):
        of = {row.victims: row.pusher for row in rows if (row.cap, row.refill) == (cap, refill)}
        once = dict(of[max(of)].worth)[0]
        found.append(
            (
                cap,
                usd(refill),
                usd(once),
                *(f"{usd(p.best[1])} ({p.best[0]} s)" if p.best[1] else "–" for p in of.values()),
            )
        )
    return table(
        ("cap", "outsiders buy, a minute", "at one record, of $20m",
         *(f"at best, of {usd(v)}" for v in grid.FLAT_VICTIMS_USD)),
        found,
        2,
    )  # fmt: skip


def _pushes(rows: Sequence[PushRow]) -> str:
    found = {(row.crash, row.crowd, row.refill, row.cap): row for row in rows}
    lines = []
    for crash, crowd, refill in dict.fromkeys(key[:3] for key in found):
        of = [found[crash, crowd, refill, cap.name] for cap in grid.COMPARED]
        earned = [usd(row.pusher.best[1]) for row in of]
        debts = [f"{usd(row.quiet.debt)} → {usd(row.pushed.debt)}" for row in of]
        lines.append((crash, crowd, usd(refill), usd(of[0].pusher.dollars), *earned, *debts))
    names = [cap.name for cap in grid.COMPARED]
    return table(
        ("crash", "crowd", "outsiders buy, a minute", "pushed",
         *(f"earned, cap {name}" for name in names), *(f"bad debt, cap {name}" for name in names)),
        lines,
        3,
    )  # fmt: skip


def _plain(rows: Sequence[Row]) -> list[Row]:
    """Those of the full size without take-overs."""
    return [row for row in rows if row.setting.open_interest_percent == 100 and not row.setting.take_over_usd]
