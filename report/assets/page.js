"use strict";
// Draws the page's charts. Each is redrawn when its width or the colour scheme
// changes; colours come from the style sheet.
(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const height = 250;
  const dashes = [undefined, [7, 4], [2, 3]];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const figure = (v) => {
    if (v === null || v === undefined) return "–";
    const a = Math.abs(v);
    if (a !== 0 && (a < 1e-3 || a >= 1e6)) return v.toExponential(2);
    return v.toLocaleString("en", a >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 });
  };

  // All ticks of an axis are written alike.
  const tickLabels = (plot, ticks) => {
    const most = ticks.reduce((m, v) => v === null ? m : Math.max(m, Math.abs(v)), 0);
    const far = most > 0 && (most < 1e-3 || most >= 1e7);
    return ticks.map((v) => v === null ? null : v === 0 ? "0" : far
      ? v.toExponential()
      : v.toLocaleString("en", { maximumSignificantDigits: 6 }));
  };

  // Without the pointer on the chart the legend shows where the curve ended.
  const shown = (plot, v, i, at) => {
    if (at !== null && at !== undefined) return figure(v);
    return figure(plot.data[i].findLast((x) => x !== null && x !== undefined));
  };

  // The axis is as wide as its widest label.
  const axisWidth = (plot, values) => {
    if (!values) return 50;
    const longest = values.reduce((n, v) => Math.max(n, String(v ?? "").length), 0);
    return Math.ceil(longest * 7) + 18;
  };

  const draw = (place, chart) => {
    const series = chart.series.filter((s) => s.y.some((v) => v !== null));
    if (series.length === 0) {
      place.textContent = "No values were recorded.";
      place.classList.add("empty");
      return null;
    }
    const font = "12px " + colour("--sans");
    const axis = (label, more) => ({
      label, font, labelFont: font, labelSize: 22, stroke: colour("--muted"),
      grid: { stroke: colour("--grid"), width: 1 },
      ticks: { stroke: colour("--grid"), width: 1, size: 5 },
      ...more,
    });
    const line = (s, i) => ({
      label: s.name,
      stroke: colour("--c" + (i % 8 + 1)),
      width: s.x.length > 300 ? 1.2 : 1.8, // a dense curve should not hide the others
      dash: dashes[Math.floor(i / 8) % 3],
      points: { show: s.x.length <= 40, size: 5 },
      value: shown,
    });
    return new uPlot({
      width: place.clientWidth,
      height,
      scales: { x: { time: false }, y: { distr: chart.log ? 3 : 1 } },
      legend: { markers: { width: 0, fill: (plot, i) => plot.series[i].stroke(plot, i) } },
      cursor: { drag: { x: true, y: false } },
      axes: [
        axis(chart.x, { size: 34, values: tickLabels }),
        axis(chart.y, { size: axisWidth, values: tickLabels }),
      ],
      series: [{ label: chart.x, value: shown }, ...series.map(line)],
    }, uPlot.join(series.map((s) => [s.x, s.y])), place);
  };

  const places = Array.from(document.querySelectorAll("[data-chart]"));
  const plots = new Map();
  const drawAll = () => {
    for (const place of places) {
      const old = plots.get(place);
      if (old) old.destroy();
      plots.set(place, draw(place, data[Number(place.dataset.chart)]));
    }
  };
  drawAll();

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const plot = plots.get(target);
      if (plot && target.clientWidth > 0 && target.clientWidth !== plot.width) {
        plot.setSize({ width: target.clientWidth, height });
      }
    }
  });
  for (const place of places) resized.observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  // On a narrow screen the contents start closed.
  if (matchMedia("(max-width: 63.99rem)").matches) {
    document.querySelector("#nav details").open = false;
  }
})();
