// Draws <div data-chart="id of a table"> with uPlot from that table, so that the two can never differ.
// Row: <tr data-x="seconds, UTC" data-y="" data-then="" data-provisional data-weekend>; an empty value is a gap.
// With data-low and data-high a band is drawn between them; data-between on the table names it.
// The table's data-unit ("day" or "hour"), data-kind ("count", "percent", "seconds", "ratio") and data-now / data-then
// (the lines' names) say how to write what is on the axes. What a point tells is the row's own text.
(() => {
  "use strict";

  const charts = new Map(); // element -> {plot, observer}
  const DAY_S = 86400, HOUR_S = 3600;
  const LANGUAGE = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
  const utc = (seconds, options) => new Intl.DateTimeFormat(LANGUAGE, { timeZone: "UTC", ...options }).format(seconds * 1000);

  const written = {
    count: (v) => v.toLocaleString(LANGUAGE, { maximumFractionDigits: 0 }),
    percent: (v) => (v / 100).toLocaleString(LANGUAGE, { style: "percent", maximumFractionDigits: v < 1 ? 2 : 0 }),
    ratio: (v) => v.toLocaleString(LANGUAGE, { minimumFractionDigits: 1, maximumFractionDigits: 1 }),
    seconds: (v) => (v >= 60 ? `${Math.floor(v / 60)} m ${String(Math.round(v % 60)).padStart(2, "0")} s` : `${Math.round(v)} s`),
  };

  function read(table) {
    const number = (text) => (text === undefined || text === "" ? null : Number(text));
    const rows = [...table.querySelectorAll("tbody tr")].map((row) => ({
      x: Number(row.dataset.x), y: number(row.dataset.y), then: number(row.dataset.then),
      provisional: row.dataset.provisional !== undefined, weekend: row.dataset.weekend !== undefined,
      label: row.cells[0].textContent.trim(), text: row.cells[1].firstElementChild.textContent,
      soFar: row.cells[1].querySelector(".tag")?.textContent,
      low: number(row.dataset.low), high: number(row.dataset.high),
      thenText: row.cells[2]?.textContent.trim() || "", thenLabel: row.dataset.thenLabel || "",
    }));
    return { rows, ...table.dataset };
  }

  // light-dark() and variables are resolved by asking for the colour of an element that uses them.
  function ink(element, name) {
    const probe = document.createElement("i");
    probe.className = `ink-${name}`;
    element.append(probe);
    const color = getComputedStyle(probe).color;
    probe.remove();
    return color;
  }

  const soft = (color, alpha) => color.replace(/^rgba?\(([^,]+),([^,]+),([^,)]+).*/, `rgba($1,$2,$3,${alpha})`);

  function bands(data, colors, step) {
    return (plot) => {
      const { ctx, bbox } = plot;
      const edge = (x) => Math.max(bbox.left, Math.min(bbox.left + bbox.width, plot.valToPos(x, "x", true)));
      ctx.save();
      for (const row of data.rows) {
        const left = edge(row.x - step / 2), width = edge(row.x + step / 2) - left;
        if (row.weekend && data.unit === "day" && data.rows.length < 100) {
          ctx.fillStyle = colors.band;
          ctx.fillRect(left, bbox.top, width, bbox.height);
        }
        if (row.provisional) hatch(ctx, left, bbox.top, width, bbox.height, colors.hatch);
      }
      ctx.restore();
    };
  }

  function hatch(ctx, left, top, width, height, color) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.strokeStyle = color;
    ctx.lineWidth = devicePixelRatio;
    const gap = 7 * devicePixelRatio;
    for (let x = left - height; x < left + width; x += gap) {
      ctx.beginPath();
      ctx.moveTo(x, top + height);
      ctx.lineTo(x + height, top);
      ctx.stroke();
    }
    ctx.restore();
  }

  // The lines' names stand at the lines, where they are furthest apart: the upper line's above both, the lower's below.
  function names(data, colors) {
    return (plot) => {
      const both = data.rows.filter((row) => row.y !== null && row.then !== null && !row.provisional);
      if (both.length < 2) return;
      const { ctx, bbox } = plot, pixel = devicePixelRatio;
      const at = (row) => ({ x: plot.valToPos(row.x, "x", true), now: plot.valToPos(row.y, "y", true), then: plot.valToPos(row.then, "y", true) });
      const points = both.map(at);
      ctx.save();
      ctx.font = `500 ${11 * pixel}px ${getComputedStyle(document.body).fontFamily}`;
      const half = Math.max(ctx.measureText(data.now).width, ctx.measureText(data.then).width) / 2;
      const inside = points.filter((p) => p.x - half > bbox.left && p.x + half < bbox.left + bbox.width);
      const best = inside.reduce((most, p) => (Math.abs(p.now - p.then) > Math.abs(most.now - most.then) ? p : most), inside[0]);
      if (best) {
        const around = (row) => Math.abs(plot.valToPos(row.x, "x", true) - best.x) <= half + 8 * pixel;
        const near = data.rows.filter(around).flatMap((row) => [row.y, row.then]).filter((value) => value !== null);
        const top = plot.valToPos(Math.max(...near), "y", true) - 7 * pixel;
        const bottom = Math.min(plot.valToPos(Math.min(...near), "y", true) + 15 * pixel, bbox.top + bbox.height - 5 * pixel);
        const nowAbove = best.now < best.then;
        write(ctx, data.now, best.x, nowAbove ? top : bottom, colors.accent, colors.surface);
        write(ctx, data.then, best.x, nowAbove ? bottom : top, colors.muted, colors.surface);
      }
      ctx.restore();
    };
  }

  function write(ctx, text, x, y, color, halo) {
    ctx.textAlign = "center";
    ctx.lineWidth = 4 * devicePixelRatio;
    ctx.lineJoin = "round";
    ctx.strokeStyle = halo;
    ctx.strokeText(text, x, y);
    ctx.fillStyle = color;
    ctx.fillText(text, x, y);
  }

  function tip(box, data) {
    const element = document.createElement("div");
    element.className = "tip";
    element.hidden = true;
    box.append(element);
    const line = (strong, text) => {
      const p = document.createElement("p");
      const b = document.createElement("b");
      b.textContent = strong;
      p.append(b, ` ${text}`);
      return p;
    };
    return (plot) => {
      const row = data.rows[plot.cursor.idx ?? -1];
      element.hidden = !row || plot.cursor.left < 0;
      if (element.hidden) return;
      const lines = [line(row.text, row.label + (row.soFar ? ` (${row.soFar})` : ""))];
      if (row.thenLabel) lines.push(line(row.thenText, row.thenLabel));
      if (data.between && row.thenText) lines.push(line(row.thenText, data.between));
      element.replaceChildren(...lines);
      const x = plot.valToPos(row.x, "x") + plot.bbox.left / devicePixelRatio;
      const over = x > box.clientWidth / 2;
      element.style.left = over ? "auto" : `${x + 12}px`;
      element.style.right = over ? `${box.clientWidth - x + 12}px` : "auto";
    };
  }

  // A value without neighbours has no line to be seen by.
  function alone(plot, series) {
    const values = plot.data[series];
    const missing = (index) => values[index] === null || values[index] === undefined;
    return values.map((_value, index) => index).filter((index) => !missing(index) && missing(index - 1) && missing(index + 1));
  }

  function options(box, data) {
    const colors = { accent: ink(box, "accent"), muted: ink(box, "muted"), line: ink(box, "line"), surface: ink(box, "raised") };
    colors.band = soft(colors.muted, 0.07);
    colors.hatch = soft(colors.muted, 0.35);
    const step = data.unit === "hour" ? HOUR_S : DAY_S;
    const axis = { stroke: colors.muted, font: `12px ${getComputedStyle(document.body).fontFamily}`, ticks: { show: false } };
    const day = (seconds) => utc(seconds, data.rows.length > 120 ? { month: "short", year: "numeric" } : { day: "numeric", month: "short" });
    const top = Math.max(1, ...data.rows.flatMap((row) => [row.y ?? 0, row.then ?? 0, row.high ?? 0]));
    return {
      width: box.clientWidth, height: box.clientHeight, padding: [18, 14, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: true, range: (_plot, low, high) => [low - step / 2, high + step / 2] }, y: { range: [0, top * 1.08] } },
      axes: [
        { ...axis, grid: { show: false }, size: 28, space: 72, values: (_plot, ticks) => ticks.map((s) => (data.unit === "hour" ? utc(s, { hour: "2-digit", minute: "2-digit" }) : day(s))), incrs: (data.unit === "hour" ? [1, 3, 6] : [1, 2, 7, 14, 30, 61, 91]).map((n) => n * step) },
        { ...axis, size: 52, space: 44, grid: { stroke: colors.line, width: 1 }, values: (_plot, ticks) => ticks.map(written[data.kind]) },
      ],
      series: [
        {},
        { stroke: colors.accent, width: 1.5, fill: data.between ? undefined : soft(colors.accent, 0.1), points: { show: true, size: 6, fill: colors.accent, filter: alone } },
        { stroke: colors.muted, width: 1.25, dash: [4, 4], points: { show: false } },
        { points: { show: false } }, { points: { show: false } },
      ],
      bands: [{ series: [3, 4], fill: soft(colors.accent, 0.18) }],
      hooks: { drawClear: [bands(data, colors, step)], draw: [names(data, colors)], setCursor: [tip(box, data)] },
    };
  }

  function draw(box) {
    const table = document.getElementById(box.dataset.chart);
    if (!table || !box.clientWidth) return;
    forget(box);
    box.replaceChildren();
    const data = read(table);
    const columns = [data.rows.map((row) => row.x), data.rows.map((row) => row.y), data.rows.map((row) => row.then), data.rows.map((row) => row.high), data.rows.map((row) => row.low)];
    const plot = new uPlot(options(box, data), columns, box);
    const observer = new ResizeObserver(() => {
      if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: box.clientHeight });
    });
    observer.observe(box);
    charts.set(box, { plot, observer });
  }

  function forget(box) {
    const chart = charts.get(box);
    if (!chart) return;
    chart.observer.disconnect();
    chart.plot.destroy();
    charts.delete(box);
  }

  function drawAll() {
    for (const box of charts.keys()) if (!box.isConnected) forget(box);
    for (const box of document.querySelectorAll("[data-chart]")) if (!charts.has(box)) draw(box);
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const box of [...charts.keys()]) draw(box);
  });
  document.addEventListener("htmx:load", drawAll);
  drawAll();
})();
