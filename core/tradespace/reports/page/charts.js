// Charts (plotly) and what connects them. Plotly reads a little markup in its labels, so names are escaped for it.
const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const resolved = (colour) => (colour.startsWith("var(") ? css(colour.slice(4, -1)) : colour);
const SCALE = { light: [[0, "#17398a"], [0.5, "#1f9c94"], [1, "#e2921e"]], dark: [[0, "#7aa8ff"], [0.5, "#4fd0ae"], [1, "#ffcf70"]] };
const CONFIG = { displaylogo: false, responsive: true, displayModeBar: false };

function layout(more) {
  const axis = { gridcolor: css("--line"), zerolinecolor: css("--line"), linecolor: css("--line"), automargin: true, title: { standoff: 10 } };
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, DejaVu Sans, sans-serif", size: 12, color: css("--ink") },
    margin: { l: 56, r: 12, t: 8, b: 44 }, hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink") }, align: "left" },
    showlegend: false, xaxis: { ...axis }, yaxis: { ...axis },
  };
  for (const [key, value] of Object.entries(more)) base[key] = key.endsWith("axis") ? { ...base[key], ...value, title: { ...base[key].title, ...value.title } } : value;
  return base;
}

function staircase(xs, ys, mx, my) {
  // the plans that are best in these two measures alone, as the steps of their border
  const order = xs.map((_, i) => i).sort((a, b) => (mx.direction === "max" ? xs[b] - xs[a] : xs[a] - xs[b]) || (my.direction === "max" ? ys[b] - ys[a] : ys[a] - ys[b]));
  const border = [];
  let best = null;
  for (const i of order) {
    if (best === null || (my.direction === "max" ? ys[i] > best : ys[i] < best)) { border.push(i); best = ys[i]; }
  }
  return border;
}

function ring() {
  const at = (i) => scaled(data.measures[i], data.rows[state.plan].values[i]);
  return [{ type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: at(state.x), yanchor: at(state.y), x0: -11, x1: 11, y0: -11, y1: 11, line: { color: css("--bad"), width: 2.5 } }];
}
function drawScatter() {
  if (!data.rows.length) return;
  const [mx, my] = [data.measures[state.x], data.measures[state.y]];
  const varies = data.rows.some((r) => r.values[state.c] !== data.rows[0].values[state.c]);
  const mc = varies ? data.measures[state.c] : undefined; // one value for all plans is no colour
  const at = (m, k) => data.rows.map((r) => scaled(m, r.values[k]));
  const xs = at(mx, state.x), ys = at(my, state.y);
  const label = (r) => `<b>${escaped(r.short)}</b> ${escaped(r.why)}<br>` + data.measures.map((m, i) => [m, i]).filter(([m]) => m.objective).map(([m, i]) => `${escaped(m.name)} ${escaped(withUnit(m, r.values[i]))}`).join("<br>") + `<br>${escaped(r.text).replace(/ \| /g, "<br>")}`;
  const border = staircase(xs, ys, mx, my);
  const colours = mc ? at(mc, state.c) : null;
  const scale = { colorscale: SCALE[document.documentElement.dataset.theme], cmin: colours && Math.min(...colours), cmax: colours && Math.max(...colours) };
  const bar = mc && { title: { text: escaped(titled(mc)), side: "right", font: { size: 11 } }, thickness: 10, outlinewidth: 0, len: 0.9 };
  const points = (rows, marker) => ({ x: rows.map((i) => xs[i]), y: rows.map((i) => ys[i]), text: rows.map((i) => label(data.rows[i])), mode: "markers", hovertemplate: "%{text}<extra></extra>", customdata: rows, marker: { color: colours ? rows.map((i) => colours[i]) : css("--d0"), ...(colours ? scale : {}), ...marker } });
  const all = data.rows.map((_, i) => i), named = all.filter((i) => data.rows[i].why && data.rows[i].why !== "spread");
  const shape = (r) => (r.why.includes("knee") ? "star" : "diamond");
  const traces = [
    { x: border.map((i) => xs[i]), y: border.map((i) => ys[i]), mode: "lines", line: { shape: mx.direction === "max" ? "vh" : "hv", color: css("--soft"), width: 1, dash: "dot" }, hoverinfo: "skip" },
    points(all, { size: all.length > 400 ? 5 : 8, showscale: Boolean(mc), colorbar: bar, opacity: 0.9 }),
    points(named, { size: named.map((i) => (data.rows[i].why.includes("knee") ? 16 : 13)), symbol: named.map((i) => shape(data.rows[i])), line: { width: 1.5, color: css("--ink") } }),
  ];
  if (data.baseline) traces.push({ x: [scaled(mx, data.baseline.values[state.x])], y: [scaled(my, data.baseline.values[state.y])], mode: "markers+text", text: ["your plan"], textposition: "top center", hoverinfo: "skip", marker: { size: 12, symbol: "x", color: css("--ink") } });
  const kind = $("log").checked ? "log" : "linear";
  Plotly.react("scatter", traces, layout({ shapes: ring(), xaxis: { title: { text: escaped(titled(mx)) }, type: kind }, yaxis: { title: { text: escaped(titled(my)) }, type: kind }, hovermode: "closest", margin: { l: 60, r: mc ? 8 : 12, t: 8, b: 48 } }), CONFIG);
}

function drawBreakdown() {
  const row = data.rows[state.plan];
  const detail = row && detailOf(row);
  $("by-device").hidden = !detail || !detail.devices.length;
  $("breakdown-both").hidden = !detail || !detail.rows.length;
  $("composed").hidden = !detail || detail.whole || !row.command;
  $("composed").textContent = `Put together from the blocks of other plans and this plan's metrics. All of it: ${row ? row.command : ""}`;
  $("breakdown-none").hidden = Boolean(detail);
  if (!row) return;
  $("breakdown-id").textContent = row.short;
  $("breakdown-what").textContent = data.entry;
  if (detail) {
    drawDevices(detail);
    if (!detail.rows.length) return;
    drawBlocks("blocks-a", row, detail, state.costA);
    drawBlocks("blocks-b", row, detail, state.costB);
  } else {
    const count = Object.keys(data.details.devices.table).length;
    $("breakdown-none").textContent = count ? `${count} plans are broken down here, the extremes, the knee and a spread first. For this one: ${row.command || "tradespace explain"}` : "The evaluator of this problem does not break its prices down.";
  }
}
function drawBlocks(id, row, detail, name) {
  const cost = data.details.blocks.costs.find((c) => c.name === name);
  $(id).hidden = !cost;
  if (!cost) return;
  const map = mapsOf(row)[0];
  const largest = Math.max(...detail.rows.map((r) => r[1][cost.name] || 0));
  const [factor, prefix] = cost.unit === "%" ? [0.01, ""] : cost.unit && cost.unit !== "1" ? PREFIX.find(([f]) => largest >= f) || [1, ""] : [1, ""];
  const owner = (i) => (map && map.row.codes.length === detail.rows.length ? map.row.options[map.row.codes[i]] : "");
  const owners = map ? map.row.options.filter((o) => detail.rows.some((_, i) => owner(i) === o)) : [""];
  const names = detail.rows.map((r) => escaped(r[0]));
  const traces = owners.map((o) => ({
    type: "bar", name: escaped(o || cost.name), x: names, y: detail.rows.map((r, i) => (owner(i) === o ? (r[1][cost.name] || 0) / factor : 0)),
    marker: { color: resolved(map ? deviceColour(map.row.options.indexOf(o)) : "var(--d0)") }, customdata: detail.rows.map((r, i) => escaped(`${r[0]}: ${owner(i)} ${map && map.colour && map.colour.codes.length === detail.rows.length ? map.colour.options[map.colour.codes[i]] : ""} ${quantity(r[1][cost.name] || 0, cost.unit)}`)), hovertemplate: "%{customdata}<extra></extra>",
  }));
  const unit = cost.unit && cost.unit !== "1" ? ` (${prefix}${cost.unit})` : "";
  Plotly.react(id, traces, layout({ barmode: "stack", bargap: 0.15, showlegend: Boolean(owners[0]), legend: { orientation: "h", y: 1.14, x: 0 }, xaxis: { type: "category", tickangle: "auto" }, yaxis: { title: { text: escaped(cost.name + unit) }, rangemode: "tozero" }, margin: { l: 56, r: 8, t: 28, b: 36 } }), CONFIG);
}

function drawHistory() {
  const h = data.history;
  const traces = [{ x: h.map((p) => p[0]), y: h.map((p) => p[2]), mode: h.length > 60 ? "lines" : "lines+markers", line: { color: css("--d0"), width: 2, shape: "hv" }, marker: { size: 4 }, customdata: h.map((p) => p[1]), hovertemplate: "%{x:,} designs, %{customdata:.2f} s<br>hypervolume %{y:.5f}<extra></extra>" }];
  const shapes = [], annotations = [];
  if (data.bound !== null) {
    shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: data.bound, y1: data.bound, line: { color: css("--bad"), width: 1.5, dash: "dash" } });
    annotations.push({ xref: "paper", x: 1, y: data.bound, xanchor: "right", yanchor: "bottom", text: "no front can exceed this", showarrow: false, font: { size: 11, color: css("--bad") } });
    traces.push({ x: [h.length ? h[0][0] : 0], y: [data.bound * 1.002], mode: "markers", marker: { opacity: 0 }, hoverinfo: "skip" });
  }
  Plotly.react("history", traces, layout({ shapes, annotations, xaxis: { title: { text: "designs priced" }, rangemode: "tozero" }, yaxis: { title: { text: "hypervolume" } } }), CONFIG);
  $("history-text").textContent = data.search;
}

// -- connections ---------------------------------------------------------------------------------------------------
function select(index) {
  state.plan = index;
  drawPlan(); drawBreakdown(); drawConstraints();
  Plotly.relayout("scatter", { shapes: ring() }); // the ring alone: a front has thousands of points
}
function choices(id, list, key) {
  fill(id, ...list.map(([value, text]) => make("option", { value }, text)));
  $(id).value = String(state[key]);
  $(id).addEventListener("change", (event) => {
    state[key] = key.startsWith("cost") ? event.target.value : Number(event.target.value);
    if (key.startsWith("cost")) drawBreakdown();
    else drawScatter();
  });
}
function drawAll() {
  drawPlan(); drawBreakdown(); drawScatter(); drawHistory(); drawConstraints();
}
function theme(name) {
  document.documentElement.dataset.theme = name;
}
function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  theme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", (event) => { theme(event.matches ? "dark" : "light"); drawAll(); });
  $("theme").addEventListener("click", () => { theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"); drawAll(); });
  const named = data.measures.map((m, i) => [i, m.name]);
  choices("axis-x", named, "x"); choices("axis-y", named, "y"); choices("axis-c", [[-1, "none"], ...named], "c");
  const costs = data.details.blocks.costs.map((c) => [c.name, c.name]);
  if (costs.length) { state.costA = costs[0][0]; state.costB = costs[Math.min(1, costs.length - 1)][0]; }
  choices("cost-a", costs, "costA"); choices("cost-b", costs, "costB");
  $("log").addEventListener("change", drawScatter);
  $("only-picked").addEventListener("change", drawPlans);
  $("only-substitutes").addEventListener("change", drawSources);
  head(); drawPlans(); drawSources(); drawBaseline(); drawReproduce(); drawAll();
  if (data.rows.length) $("scatter").on("plotly_click", (event) => { const hit = event.points.find((p) => p.customdata !== undefined); if (hit) select(hit.customdata); });
  document.addEventListener("click", (event) => {
    const source = event.target.dataset && event.target.dataset.copy;
    if (source && navigator.clipboard) navigator.clipboard.writeText($(source).textContent).then(() => { event.target.textContent = "copied"; }, () => {});
  });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawPlan(); } });
}
start();
