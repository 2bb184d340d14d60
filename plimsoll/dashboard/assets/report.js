"use strict";
(() => {
  const { ts, focus, plots } = JSON.parse(document.getElementById("data").textContent);
  const sync = uPlot.sync("replay");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faded = (hex, alpha) => hex + Math.round(alpha * 255).toString(16).padStart(2, "0");
  const grouped = (value, places) =>
    value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  const short = (value) => {
    const size = Math.abs(value);
    for (const [limit, suffix] of [[1e9, "bn"], [1e6, "m"], [1e3, "k"]]) {
      if (size >= limit) return `${+(value / limit).toPrecision(4)}${suffix}`;
    }
    return `${+value.toPrecision(4)}`;
  };
  const dollars = (text) => (text.startsWith("-") ? `-$${text.slice(1)}` : `$${text}`);

  // what the cursor's legend says, and what the axis says
  const units = {
    price: [(v) => dollars(grouped(v, 2)), (v) => dollars(grouped(v, Math.abs(v) < 10 ? 2 : 0))],
    usd: [(v) => dollars(grouped(v, 2)), (v) => dollars(short(v))],
    share: [(v) => dollars(grouped(v, 6)), null],
    base: [(v) => grouped(v, Math.abs(v) < 100 ? 3 : 1), (v) => short(v)],
    count: [(v) => grouped(v, 0), (v) => (Number.isInteger(v) ? grouped(v, 0) : "")],
    percent: [(v) => `${grouped(v, 4)}%`, null],
  };
  // as many decimals as tell two ticks apart
  const stepped = (unit) => (u, ticks) => {
    const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : 1;
    const places = Math.min(8, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
    return ticks.map((v) => (unit === "share" ? dollars(grouped(v, places)) : `${grouped(v, places)}%`));
  };

  const paths = {
    line: uPlot.paths.linear(),
    area: uPlot.paths.linear(),
    step: uPlot.paths.stepped({ align: 1 }),
    bars: uPlot.paths.bars({ size: [1, 24, 2], align: 0 }),
  };

  const series = (line, unit) => {
    const base = colour(line.colour);
    const solid = line.kind === "area" || line.kind === "bars";
    return {
      label: line.label,
      stroke: base,
      width: line.kind === "area" ? 0.5 : line.kind === "bars" ? 0 : line.dashed ? 1.4 : 1.8,
      dash: line.dashed ? [5, 4] : undefined,
      fill: solid ? base : line.filled ? faded(base, 0.12) : undefined,
      paths: paths[line.kind],
      points: { show: false },
      value: (u, value, _, place) => {
        const shown = line.shown && place != null ? line.shown[place] : value;
        return shown == null ? "–" : units[unit][0](shown);
      },
    };
  };

  const range = (plot) => (u, low, high) => {
    if (low == null) return [0, 1];
    const [bottom, top] = plot.fromZero ? [Math.min(0, low), Math.max(0, high)] : [low, high];
    const room = (top - bottom || Math.abs(top) * 0.01 || 1) * 0.06;
    return [bottom === 0 && plot.fromZero ? 0 : bottom - room, top + room];
  };

  const zeroLine = (u) => {
    const { min, max } = u.scales.y;
    if (!(min < 0 && max > 0)) return;
    const y = Math.round(u.valToPos(0, "y", true)) + 0.5;
    u.ctx.save();
    u.ctx.strokeStyle = colour("--ink-2");
    u.ctx.globalAlpha = 0.6;
    u.ctx.beginPath();
    u.ctx.moveTo(u.bbox.left, y);
    u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
    u.ctx.stroke();
    u.ctx.restore();
  };

  const draw = (plot) => {
    const element = document.getElementById(`plot-${plot.id}`);
    const figure = element.parentElement;
    const axis = { stroke: colour("--ink-2"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const [, tick] = units[plot.unit];
    const settled = (u) => { if (u.cursor.idx == null) u.setLegend({ idx: ts.length - 1 }); };
    figure.classList.toggle("stacked", plot.lines.some((line) => line.shown));
    const chart = new uPlot({
      width: element.clientWidth,
      height: plot.wide ? 290 : 250,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
      cursor: { sync: { key: sync.key, scales: ["x", null] }, y: false, points: { size: 6 }, drag: { x: true, y: false } },
      scales: { x: { time: true }, y: { range: range(plot) } },
      axes: [
        { ...axis, size: 42, space: 64, values: [
          [86400, "{MMM} {D}", null, null, null, null, null, null, 1],
          [3600, "{HH}:{mm}", "\n{MMM} {D}", null, "\n{MMM} {D}", null, null, null, 1],
          [60, "{HH}:{mm}", "\n{MMM} {D}", null, "\n{MMM} {D}", null, null, null, 1],
        ] },
        { ...axis, size: (u, texts) => 18 + 7 * Math.max(3, ...(texts || []).map((text) => text.length)), space: 36,
          incrs: plot.unit === "count" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] : undefined,
          values: tick ? (u, ticks) => ticks.map(tick) : stepped(plot.unit) },
      ],
      series: [
        { label: "", value: (u, value) => (value == null ? "–" : uPlot.fmtDate("{MMM} {D} {HH}:{mm}")(uPlot.tzDate(new Date(value * 1e3), "Etc/UTC"))) },
        ...plot.lines.map((line) => series(line, plot.unit)),
      ],
      hooks: { ready: [settled], setCursor: [settled], draw: [zeroLine] },
    }, [ts, ...plot.lines.map((line) => line.values)], element);
    return { chart, element };
  };

  const whole = [ts[0], ts[ts.length - 1]];
  const buttons = { whole: document.getElementById("whole"), focus: document.getElementById("focus") };
  const press = (name) => {
    for (const [key, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", String(key === name));
  };
  const show = (name, [min, max]) => {
    drawn.forEach(({ chart }) => chart.setScale("x", { min, max }));
    press(name);
  };
  buttons.whole.addEventListener("click", () => show("whole", whole));
  buttons.focus.addEventListener("click", () => show("focus", focus));
  buttons.focus.disabled = !focus;
  for (const kind of ["mouseup", "dblclick"]) {
    document.querySelector(".plots").addEventListener(kind, () => requestAnimationFrame(() => {
      const { min, max } = drawn[0].chart.scales.x;
      press(min === whole[0] && max === whole[1] ? "whole" : "");
    }));
  }

  const redraw = () => {
    const seen = drawn.length ? drawn[0].chart.scales.x : null;
    const [min, max] = seen ? [seen.min, seen.max] : whole;
    drawn.forEach(({ chart }) => chart.destroy());
    drawn = plots.map(draw);
    if (seen) drawn.forEach(({ chart }) => chart.setScale("x", { min, max }));
  };
  const resize = () => drawn.forEach(({ chart, element }) => {
    if (chart.width !== element.clientWidth) chart.setSize({ width: element.clientWidth, height: chart.height });
  });

  if (!ts.length) {
    document.querySelector(".toolbar").hidden = true;
    return;
  }
  redraw();
  show("whole", whole);
  dark.addEventListener("change", redraw);
  let waiting = 0;
  addEventListener("resize", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(resize); });
})();
