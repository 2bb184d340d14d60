"""The report's figures, as SVG. Floats are for the eye alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from plimsoll.core.units import WAD
from plimsoll.replay.cascades import grid
from plimsoll.replay.cascades.grid import FlatRow, PushRow, Row
from plimsoll.risk.study.crash import Crash
from plimsoll.risk.study.result import Result

COLOURS = {grid.LONG.name: "#c0392b", grid.SHIPPED.name: "#1f6f8b", grid.OFF.name: "#7f8c8d"}
_FROM_MINUTE, _TO_MINUTE = 35, 50
_TRACE_STEP = 3
_STYLE = {
    "svg.hashsalt": "plimsoll",
    "svg.fonttype": "none",
    "path.simplify": True,
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def _millions(wad: int) -> float:
    return wad / (10**6 * WAD)


def _thousands(wad: int) -> float:
    return wad / (10**3 * WAD)


def write_plots(
    folder: Path,
    crash: Crash,
    traces: Mapping[str, Result],
    main: Sequence[Row],
    targets: Sequence[Row],
    flat: Sequence[FlatRow],
    pushes: Sequence[PushRow],
) -> list[Path]:
    """The SVG files written."""
    with mpl.rc_context(_STYLE):
        figures = {
            "through-a-crash": _through(crash, traces),
            "caps": _caps(main),
            "sizes": _sizes(main),
            "attack-standing": _standing(flat),
            "attack-crash": _pushed(pushes),
            "targets": _targets(targets),
        }
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name, figure in figures.items():
            paths.append(folder / f"{name}.svg")
            figure.savefig(paths[-1], metadata={"Date": None}, facecolor="white")
    return paths


def _panels(rows: int, columns: int, width: float, height: float, *, share_y: Any = False) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=share_y)


def _through(crash: Crash, traces: Mapping[str, Result]) -> Figure:
    figure, axes = _panels(4, 1, 8.5, 8)
    price, skew, waiting, against = axes[:, 0]
    for name, result in traces.items():
        samples = [
            sample
            for sample in result.trace
            if _FROM_MINUTE * 60 <= sample.ts - crash.worst <= _TO_MINUTE * 60 and sample.ts % _TRACE_STEP == 0
        ]
        minutes = [(sample.ts - crash.worst) / 60 for sample in samples]
        style = {"color": COLOURS[name], "linewidth": 1.2, "label": f"cap {name}"}
        if name == grid.SHIPPED.name:
            price.plot(minutes, [sample.price / WAD for sample in samples], color="#222222", linewidth=1)
        skew.plot(minutes, [sample.skew / 100 for sample in samples], **style)
        waiting.plot(minutes, [_millions(sample.waiting) for sample in samples], **style)
        against.plot(minutes, [_millions(sample.against) for sample in samples], **style)
    price.set_title(f"{crash.name}: index price, $", loc="left")
    skew.set_title("mark above or below the index, bps (no outsider buys)", loc="left")
    waiting.set_title("unhealthy and waiting for the cap, $m", loc="left")
    against.set_title("closed against the other side so far, $m", loc="left")
    skew.axhline(0, color="#222222", linewidth=0.8)
    skew.legend(loc="upper right")
    against.set_xlabel("minutes of the worst hour")
    return figure


def _caps(rows: Sequence[Row]) -> Figure:
    crashes = list(dict.fromkeys(row.crash for row in rows))
    caps = [cap.name for cap in grid.WINDOWS]
    figure, axes = _panels(3, len(crashes), 3.4 * len(crashes), 7, share_y="row")
    frequencies = sorted({row.setting.publish_seconds for row in rows})
    measures: tuple[tuple[str, Callable[[Result], float]], ...] = (
        ("accounts gone bankrupt", lambda result: result.bankrupt),
        ("closed against others, $m", lambda result: _millions(result.against)),
        ("bad debt, $k", lambda result: _thousands(result.debt)),
    )
    for column, crash in enumerate(crashes):
        for line, (title, measure) in enumerate(measures):
            axis = axes[line, column]
            for place, every in enumerate(frequencies):
                found = {
                    row.cap: measure(row.result)
                    for row in rows
                    if row.crash == crash
                    and row.setting.publish_seconds == every
                    and row.setting.open_interest_percent == 100
                    and not row.setting.take_over_usd
                }
                width = 0.8 / len(frequencies)
                axis.bar(
                    [spot + (place - (len(frequencies) - 1) / 2) * width for spot in range(len(caps))],
                    [found[name] for name in caps],
                    width,
                    color=("#12355b", "#4f86c6", "#b7cde8")[place % 3],
                    label=f"a price every {every} s",
                )
            axis.set_xticks(range(len(caps)), [name.replace(", ", "\n") for name in caps])
            axis.grid(axis="x", visible=False)
            axis.set_title(f"{crash}\n{title}" if line == 0 else title, loc="left")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _sizes(rows: Sequence[Row]) -> Figure:
    crashes = list(dict.fromkeys(row.crash for row in rows))
    figure, axes = _panels(2, len(crashes), 3.4 * len(crashes), 5, share_y="row")
    every = min(row.setting.publish_seconds for row in rows)
    measures: tuple[tuple[str, Callable[[Result], float]], ...] = (
        ("bad debt, $k", lambda result: _thousands(result.debt)),
        ("closed against others, $m", lambda result: _millions(result.against)),
    )
    for column, crash in enumerate(crashes):
        for line, (title, measure) in enumerate(measures):
            axis = axes[line, column]
            for cap, colour in COLOURS.items():
                for capital in (0, grid.TAKE_OVER_USD):
                    found = [
                        (row.setting.open_interest_percent / 100, measure(row.result))
                        for row in rows
                        if (row.crash, row.cap) == (crash, cap)
                        and row.setting.publish_seconds == every
                        and row.setting.take_over_usd == capital
                    ]
                    label = f"cap {cap}" + (", $0.5m for take-overs" if capital else "")
                    axis.plot(
                        *zip(*found, strict=True), marker="o", markersize=3.5, linestyle="--" if capital else "-",
                        color=colour, label=label, linewidth=1.2,
                    )  # fmt: skip
            axis.set_title(f"{crash}\n{title}" if line == 0 else title, loc="left")
            axis.set_xticks([0.5, 1, 2], ["×0.5", "×1", "×2"])
        axes[1, column].set_xlabel(f"open interest, a price every {every} s")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _standing(rows: Sequence[FlatRow]) -> Figure:
    refills = list(dict.fromkeys(row.refill for row in rows))
    figure, axes = _panels(1, len(refills), 3.4 * len(refills), 3.6, share_y=True)
    colours = {**COLOURS, grid.HALF.name: "#e59866", grid.DOUBLE.name: "#8e44ad", grid.FOURFOLD.name: "#27ae60"}
    victims = max(row.victims for row in rows)
    for axis, refill in zip(axes[0], refills, strict=True):
        for row in rows:
            if row.refill == refill and row.victims == victims:
                held = [(seconds, worth) for seconds, worth in row.pusher.worth if seconds <= 420]
                axis.plot(
                    [seconds for seconds, _ in held], [_thousands(worth) for _, worth in held], color=colours[row.cap],
                    label=f"cap {row.cap}", linewidth=1.2,
                )  # fmt: skip
        axis.axhline(0, color="#222222", linewidth=0.8)
        axis.set_title(f"outsiders buy ${_millions(refill):g}m a minute", loc="left")
        axis.set_xlabel("seconds that the push is held")
        axis.set_ylim(-120, 400)
        axis.set_yticks(range(-100, 401, 100))
    axes[0, 0].set_ylabel("what buying back now earns, $k")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def _pushed(rows: Sequence[PushRow]) -> Figure:
    crashes = list(dict.fromkeys(row.crash for row in rows))
    figure, axes = _panels(2, len(crashes), 3.4 * len(crashes), 5, share_y="row")
    refills = list(dict.fromkeys(row.refill for row in rows))
    for column, crash in enumerate(crashes):
        for place, cap in enumerate(COLOURS):
            found = {row.refill: row for row in rows if (row.crash, row.cap, row.crowd) == (crash, cap, "leaning")}
            spots = [spot + (place - 1) * 0.27 for spot in range(len(refills))]
            for line, values in enumerate(
                (
                    [_thousands(found[refill].pusher.best[1]) for refill in refills],
                    [_thousands(found[refill].pushed.debt) for refill in refills],
                )
            ):
                axes[line, column].bar(spots, values, 0.27, color=COLOURS[cap], label=f"cap {cap}")
        axes[0, column].set_title(f"{crash}\nhe earns at best, $k", loc="left")
        axes[1, column].set_title("bad debt with him, $k", loc="left")
        for axis in axes[:, column]:
            axis.set_xticks(range(len(refills)), [f"${_millions(refill):g}m" for refill in refills])
            axis.grid(axis="x", visible=False)
        axes[1, column].set_xlabel("outsiders buy, a minute")
    axes[0, 0].legend(loc="upper right")
    return figure


def _targets(rows: Sequence[Row]) -> Figure:
    crashes = list(dict.fromkeys(row.crash for row in rows))
    figure, axes = _panels(2, len(crashes), 3.4 * len(crashes), 5, share_y="row")
    for column, crash in enumerate(crashes):
        for cap in (grid.LONG.name, grid.SHIPPED.name):
            for every, style in ((1, "-"), (15, "--"), (60, ":")):
                found = [
                    row for row in rows if (row.crash, row.cap, row.setting.publish_seconds) == (crash, cap, every)
                ]
                targets = [row.setting.target_health_bps / 10_000 for row in found]
                for line, values in enumerate(
                    ([_thousands(row.result.debt) for row in found], [_millions(row.result.against) for row in found])
                ):
                    axes[line, column].plot(
                        targets, values, style, color=COLOURS[cap], marker="o", markersize=3,
                        label=f"cap {cap}, a price every {every} s", linewidth=1.2,
                    )  # fmt: skip
        axes[0, column].set_title(f"{crash}\nbad debt, $k", loc="left")
        axes[1, column].set_title("closed against others, $m", loc="left")
        axes[1, column].set_xlabel("target health")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
