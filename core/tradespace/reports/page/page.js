"use strict";
// Everything a person gave (names, sources, paths) reaches the page as text nodes only, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const state = { plan: data.start, x: 0, y: Math.min(1, data.measures.length - 1), c: data.colour, sort: null, costA: null, costB: null };

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") node.className = value;
    else if (key === "style") node.style.cssText = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  for (const child of children) node.append(child);
  return node;
}
const fill = (id, ...children) => $(id).replaceChildren(...children);

function brief(value, digits) {
  // significant digits, with an exponent only where zeros would hide them
  return value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e7) ? value.toExponential(digits - 1).replace("+", "") : Number(value.toPrecision(digits)).toString();
}
function number(value, decimals) {
  if (decimals === null) return brief(value, 3);
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}
const scaled = (m, si) => (si - m.offset) / m.factor;
const shown = (m, si) => (si === null ? "–" : number(scaled(m, si), m.decimals));
const withUnit = (m, si) => shown(m, si) + (m.label ? " " + m.label : "");
const titled = (m) => (m.label ? `${m.name} (${m.label})` : m.name);
const PREFIX = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];
function quantity(si, unit) {
  if (typeof si !== "number") return String(si);
  if (unit === "K") return number(si - 273.15, 1) + " °C";
  if (unit === "%") return Number((si * 100).toPrecision(3)) + " %";
  if (!unit || unit === "1") return brief(si, 4);
  const [factor, prefix] = si === 0 ? [1, ""] : PREFIX.find(([f]) => Math.abs(si) >= f * 0.9995) || PREFIX[PREFIX.length - 1];
  return `${Number((si / factor).toPrecision(4))} ${prefix}${unit}`;
}
function percent(change) {
  if (change >= 9.995) return "×" + Number((1 + change).toPrecision(3)).toLocaleString("en-US");
  const size = Math.abs(change) * 100;
  const text = size >= 100 ? size.toFixed(0) : size.toFixed(1).replace(/\.0$/, "");
  return (change < 0 && text !== "0" ? "−" : "+") + text + " %";
}
function changes(list) {
  return list.map(([name, change, better]) => make("span", { class: better > 0 ? "good" : better < 0 ? "bad" : "" }, `${name} ${percent(change)}  `));
}

// -- head ----------------------------------------------------------------------------------------------------------
function head() {
  $("title").textContent = data.title;
  $("question").textContent = data.question;
  if (data.notice) { $("notice").textContent = data.notice; $("notice").hidden = false; }
  fill("cards", ...data.cards.map((c) => make("div", { class: "card" + (c.warn ? " warn" : "") }, make("span", {}, c.label), make("b", {}, c.value), make("small", {}, c.note))));
}

// -- the selected plan ---------------------------------------------------------------------------------------------
function precisionColour(index, count) {
  // ordinal: more bits are darker on light pages and lighter on dark ones
  const dark = document.documentElement.dataset.theme === "dark";
  const share = count > 1 ? index / (count - 1) : 0;
  const light = dark ? 82 - 42 * share : 30 + 42 * share;
  return `hsl(${212 - 52 * share} ${dark ? 62 : 68}% ${light}%)`;
}
const deviceColour = (index) => `var(--d${index % 8})`;
const cellColour = (map, column) => (map.colour ? precisionColour(map.colour.codes[column], map.colour.options.length) : deviceColour(map.row.codes[column]));

function mapsOf(row) {
  return data.maps.map((spec) => {
    const take = (name) => name && { name, options: data.decisions[name].options, codes: row.codes[name] };
    return { entries: spec.entries, row: take(spec.row), colour: take(spec.colour), rest: spec.rest.map(take) };
  });
}
function drawMap(map) {
  const n = map.entries.length;
  const least = n > 60 ? 2 : 6;
  const grid = make("div", { class: n > 60 ? "map dense" : "map", role: "img", "aria-label": `${map.row.name} of ${n} entries`, style: `grid-template-columns: max-content repeat(${n}, minmax(${least}px, 1fr)); --cell: ${Math.min(34, Math.max(11, 380 / map.row.options.length))}px` });
  map.row.options.forEach((option, r) => {
    grid.append(make("div", { class: "name", title: option }, option));
    for (let i = 0; i < n; i++) {
      const on = map.row.codes[i] === r;
      const parts = [map.colour, ...map.rest].filter(Boolean).map((v) => `${v.name} ${v.options[v.codes[i]]}`);
      const cell = make("div", { class: on ? "cell on" : "cell", title: `${map.entries[i]}: ${on ? [option, ...parts].join(", ") : "not on " + option}` });
      if (on) cell.style.background = cellColour(map, i);
      grid.append(cell);
    }
  });
  grid.append(make("div", {}));
  const width = Math.max(...map.entries.map((e) => e.length));
  const step = Math.max(1, Math.ceil((n * (width * 7 + 4)) / Math.max(120, $("maps").clientWidth - 110)));
  for (let i = 0; i < n; i++) grid.append(make("div", { class: "label" }, i % step === 0 ? map.entries[i] : ""));
  const legend = make("div", { class: "legend" });
  if (map.colour) map.colour.options.forEach((o, k) => legend.append(make("span", {}, make("i", { style: `background:${precisionColour(k, map.colour.options.length)}` }), o)));
  return [grid, legend];
}
function valueOf(m, value) {
  return make("div", { class: m.objective ? "major" : "", title: m.meaning }, make("span", {}, m.name), make("b", {}, quantity(value, m.unit)));
}
function drawPlan() {
  const row = data.rows[state.plan];
  if (!row) { $("explore").hidden = true; $("breakdown").hidden = true; return; }
  $("plan-id").textContent = row.short;
  $("plan-why").textContent = row.why === "spread" ? "" : row.why;
  const broken = Boolean(detailOf(row)); // then the table of devices has the metrics of single devices
  fill("plan-values", ...data.measures.map((m, i) => [m, i]).filter(([m]) => !(m.device && broken)).map(([m, i]) => valueOf(m, row.values[i])));
  fill("maps", ...mapsOf(row).flatMap(drawMap));
  $("plan-text").textContent = row.text;
  $("plan-command").textContent = row.command || "";
  $("plan-command").parentElement.hidden = !row.command;
  document.querySelectorAll("#plans tr").forEach((tr) => tr.classList.toggle("on", tr.dataset.index === String(state.plan)));
}
function detailOf(row) {
  // names and costs stand once in the data; here each block and device gets its own again
  const { blocks, devices } = data.details;
  const named = (part, values, i) => [part.names[i], Object.fromEntries(part.costs.map((c, k) => [c.name, values[k]]).filter(([, v]) => v !== null))];
  let rows = blocks.table[row.id];
  if (!rows && blocks.states) {
    rows = blocks.states.map((cell, i) => cell[blocks.by.reduce((state, d) => state * d.options + row.codes[d.name][i], 0)]);
    if (rows.some((r) => !r)) rows = null;
  }
  rows = rows && rows.map((values, i) => named(blocks, values, i));
  const table = devices.table[row.id];
  const found = table ? { devices: table.map((values, i) => named(devices, values, i)), costs: devices.costs } : fromMetrics(row, rows);
  return rows || table ? { rows: rows || [], ...found, whole: Boolean(table) } : null;
}
function fromMetrics(row, rows) {
  // a plan nobody explained: the metrics of single devices, and the energy of the blocks on them
  const own = data.measures.map((m, i) => [m, i]).filter(([m]) => m.device);
  const energy = data.details.blocks.costs.find((c) => c.name === "energy"), at = row.codes.placement;
  const costs = [];
  for (const [m] of [...own].sort(([a], [b]) => (b.what === "time") - (a.what === "time"))) if (!costs.some((c) => c.name === m.what)) costs.push({ name: m.what, unit: m.unit, limit: m.limit });
  const names = [...new Set(own.map(([m]) => m.device))];
  const list = names.map((d) => [d, Object.fromEntries(own.filter(([m]) => m.device === d).map(([m, i]) => [m.what, row.values[i]]))]);
  if (rows && energy && at && at.length === rows.length) {
    costs.splice(costs.findIndex((c) => c.name === "time") + 1, 0, energy);
    for (const [d, values] of list) values.energy = rows.reduce((sum, r, i) => sum + (data.decisions.placement.options[at[i]] === d ? r[1].energy || 0 : 0), 0);
  }
  return { devices: list, costs };
}
function drawDevices(detail) {
  const costs = detail.costs.filter((c) => detail.devices.some((d) => d[1][c.name] !== undefined));
  const top = Object.fromEntries(costs.map((c) => [c.name, Math.max(...detail.devices.map((d) => d[1][c.name] || 0))]));
  const cell = (d, c) => {
    const value = d[1][c.name];
    if (value === undefined) return make("td", {}, "–");
    const limit = c.limit && (data.deviceLimits[d[0]] || {})[c.limit];
    const text = [quantity(value, c.unit), limit ? make("small", {}, ` of ${quantity(limit, c.unit)}`) : ""];
    if (c.unit === "K") return make("td", { class: limit && value > limit ? "bad" : "" }, ...text);
    const share = limit ? value / limit : c.unit === "%" ? value : c.unit ? (top[c.name] > 0 ? value / top[c.name] : 0) : null;
    const bar = share === null ? "" : make("div", { class: limit && share > 1 ? "meter full" : "meter" }, make("i", { style: `width:${Math.min(100, share * 100)}%` }));
    return make("td", {}, ...text, bar);
  };
  const name = (d, i) => make("td", {}, make("i", { class: "dot", style: `background:${deviceColour(i)}` }), d[0]);
  fill("devices", make("thead", {}, make("tr", {}, make("th", {}, "device"), ...costs.map((c) => make("th", {}, c.name)))),
    make("tbody", {}, ...detail.devices.map((d, i) => make("tr", {}, name(d, i), ...costs.map((c) => cell(d, c))))));
}

// -- tables --------------------------------------------------------------------------------------------------------
function drawPlans() {
  const order = data.rows.map((_, i) => i);
  if (state.sort) {
    const { column, down } = state.sort;
    const value = (i) => (column < 0 ? data.rows[i].short : data.rows[i].values[column]);
    order.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a - b) * (down ? -1 : 1));
  }
  const heading = (text, column, css) => make("th", { class: css }, make("button", { type: "button", onclick: () => {
    state.sort = { column, down: Boolean(state.sort && state.sort.column === column && !state.sort.down) };
    drawPlans();
  } }, text + (state.sort && state.sort.column === column ? (state.sort.down ? " ↓" : " ↑") : "")));
  const own = data.measures.map((m, i) => [m, i]).filter(([m]) => m.objective);
  const best = own.map(([m, i]) => data.rows.reduce((b, r) => (m.direction === "max" ? Math.max(b, r.values[i]) : Math.min(b, r.values[i])), m.direction === "max" ? -Infinity : Infinity));
  fill("plans",
    make("thead", {}, make("tr", {}, heading("plan", -1), ...own.map(([m, i]) => heading(titled(m), i, "n")), make("th", {}, "why"), make("th", {}, "design"))),
    make("tbody", {}, ...order.filter((i) => !$("only-picked").checked || data.rows[i].why || i === state.plan).map((i) => {
      const r = data.rows[i];
      return make("tr", { "data-index": i, tabindex: 0, class: i === state.plan ? "on" : "", onclick: () => select(i), onkeydown: (e) => { if (e.key === "Enter") select(i); } },
        make("td", {}, make("code", {}, r.short)), ...own.map(([m, k], j) => make("td", { class: r.values[k] === best[j] ? "n best" : "n" }, shown(m, r.values[k]))),
        make("td", {}, r.why), make("td", {}, r.text));
    })));
  $("plans-count").textContent = data.counted;
}
function drawConstraints() {
  const row = data.rows[state.plan];
  const used = (v) => (v === null || v === undefined ? "–" : v > 0 ? `exceeded by ${percent(v).slice(1)}` : v > -1 ? `${percent(-v).slice(1)} left` : "met");
  fill("constraints", make("thead", {}, make("tr", {}, make("th", {}, "limit"), make("th", {}, row ? `plan ${row.short}` : ""))),
    make("tbody", {}, ...(data.limits.length ? data.limits : ["none"]).map((name, i) => {
      const v = row && row.violations[i];
      return make("tr", {}, make("td", {}, name), make("td", { class: v > 0 ? "bad" : "" }, data.limits.length ? used(v) : ""));
    })));
}
function drawSources() {
  const only = $("only-substitutes").checked;
  const rows = data.sources.filter((s) => !only || s.kind === "substitute");
  fill("sources", make("thead", {}, make("tr", {}, ...["number", "value", "kind", "source"].map((t) => make("th", {}, t)))),
    make("tbody", {}, ...rows.map((s) => make("tr", { class: s.kind === "substitute" ? "substitute" : "" }, make("td", {}, make("code", {}, s.path)), make("td", {}, s.value), make("td", {}, s.kind), make("td", {}, s.source)))));
  const count = data.sources.filter((s) => s.kind === "substitute").length;
  $("sources-count").textContent = `${data.sources.length} numbers, ${count} of them substitutes`;
}
function drawBaseline() {
  const b = data.baseline;
  if (!b) return;
  $("baseline").hidden = false;
  const items = b.lines.map((line) => make("li", { class: line.bad ? "bad" : "" }, line.text, " ", ...changes(line.changes || [])));
  fill("baseline-body", make("div", { class: "values" }, ...data.measures.map((m, i) => [m, i]).filter(([m]) => !m.device).map(([m, i]) => valueOf(m, b.values[i]))), make("ul", { class: "plain" }, ...items));
}
function drawReproduce() {
  const parts = data.command ? [make("div", { class: "copy" }, make("code", { id: "command" }, data.command), make("button", { type: "button", "data-copy": "command" }, "copy"))] : [];
  fill("reproduce", ...parts, make("dl", {}, ...data.facts.flatMap(([k, v]) => [make("dt", {}, k), make("dd", {}, v)])));
}
