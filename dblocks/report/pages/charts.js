// Elements, formats and charts that all pages share. Text enters the page as
// text nodes only, so nothing a run holds is ever read as markup.

const kSvg = "http://www.w3.org/2000/svg";

function add(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) parent.append(child);
  }
  return parent;
}

/** An HTML element; `attributes` may hold class, style (an object) and others. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "style") Object.assign(node.style, value);
    else node.setAttribute(key, value);
  }
  return add(node, children);
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(kSvg, tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "style") Object.assign(node.style, value);
    else node.setAttribute(key, value);
  }
  return add(node, children);
}

/** A word with its definition one click away. */
function term(key, text) {
  return el("a", {class: "term", href: "#def-" + key, title: kDefinitions[key][1]},
            text || kDefinitions[key][0]);
}

// Formats; a figure that is not known is a dash.
const known = (x) => typeof x === "number" && Number.isFinite(x);
const percent = (x, digits = 2) => known(x) ? (100 * x).toFixed(digits) + "\u00a0%" : "\u2013";
const fixed = (x, digits = 4) => known(x) ? x.toFixed(digits) : "\u2013";
const count = (x) => known(x) ? Math.round(x).toString().replace(/\B(?=(\d{3})+$)/g, ",") : "\u2013";
const plural = (n, one, many = one + "s") => count(n) + " " + (n === 1 ? one : many);
const short = (x) => known(x) ? String(Number(x.toPrecision(3))) : "\u2013";
function bytes(x) {
  if (!known(x)) return "\u2013";
  return x >= 2 ** 30 ? (x / 2 ** 30).toFixed(2) + "\u00a0GiB" : (x / 2 ** 20).toFixed(1) + "\u00a0MiB";
}
/** A size at a tick, in whole units where it is. */
const roundBytes = (x) => bytes(x).replace(/\.0+(?=\u00a0)/, "");
/** The unit in which sizes up to `most` have round ticks. */
const byteUnit = (most) => most >= 2 ** 30 ? 2 ** 30 : 2 ** 20;
function duration(x) {
  if (!known(x) || x <= 0) return "\u2013";
  const s = Math.round(x), pad = (n) => String(n).padStart(2, "0");
  if (s < 60) return s + "\u00a0s";
  if (s < 3600) return Math.floor(s / 60) + "\u00a0min " + pad(s % 60) + "\u00a0s";
  return Math.floor(s / 3600) + "\u00a0h " + pad(Math.floor(s / 60) % 60) + "\u00a0min";
}

const hue = (h, alpha = 1) => `oklch(var(--l) .13 ${h} / ${alpha})`;
/** Block 0, of most noise, is blue; the last block orange. */
function blockColor(block, numBlocks, alpha = 1) {
  const share = numBlocks > 1 ? block / (numBlocks - 1) : 0;
  return hue((265 - 215 * share).toFixed(1), alpha);
}
const kHues = [255, 55, 155, 330, 205, 100, 15, 290];

function section(id, title, lead, ...children) {
  return el("section", {id}, el("h2", {}, title), lead ? el("p", {}, lead) : null,
            ...children);
}
const card = (...children) => el("div", {class: "card"}, ...children);
const note = (...children) => el("p", {class: "note"}, ...children);

function legend(items) {
  return el("ul", {class: "legend"}, items.map((item) =>
    el("li", {}, el("span", {class: "swatch" + (item.area ? " area" : ""),
                             style: {background: item.color}}), item.name)));
}

/** A table; columns: {head, number, text}, text for long ones, which wrap; cells: text or nodes. */
function table(columns, rows, rowClass) {
  const cls = ({number, text}) => number ? {class: "number"} : text ? {class: "text"} : {};
  return el("div", {class: "scroll", tabindex: "0"}, el("table", {},
    el("thead", {}, el("tr", {}, columns.map((c) => el("th", {scope: "col", ...cls(c)}, c.head)))),
    el("tbody", {}, rows.map((row, r) =>
      el("tr", rowClass && rowClass(r) ? {class: rowClass(r)} : {}, row.map((cell, i) =>
        el(i === 0 ? "th" : "td", {...(i === 0 ? {scope: "row"} : {}), ...cls(columns[i])}, cell)))))));
}

/** A chart that is drawn at the width it has and again when that changes. */
function chart(label, height, draw) {
  const host = el("div", {class: "chart", role: "img", "aria-label": label});
  let drawn = 0;
  const redraw = (force) => {
    const width = Math.floor(host.clientWidth);
    if (width < 40 || (width === drawn && force !== true)) return;
    drawn = width;
    const canvas = svg("svg", {viewBox: `0 0 ${width} ${height}`, width, height});
    const tip = el("div", {class: "tip"});
    host.replaceChildren(canvas, tip);
    draw(canvas, width, height, tip);
  };
  new ResizeObserver(redraw).observe(host);
  host.redraw = () => redraw(true);
  return host;
}

/** Up to about `most` round numbers within [low, high]. */
function ticks(low, high, most) {
  const raw = (high - low) / Math.max(most, 1);
  if (!(raw > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * (1 - 1e-9));
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; ++k) {
    found.push(Number((k * step).toPrecision(12)));
  }
  return found;
}

const text = (x, y, content, more) => svg("text", {x, y, ...more}, content);

/** Grid and labels of a plot; returns the maps from values to the canvas. */
function axes(canvas, o) {
  const {left, top, right, bottom} = o.box;
  const x = (v) => left + (v - o.x[0]) / (o.x[1] - o.x[0] || 1) * (right - left);
  const y = (v) => bottom - (v - o.y[0]) / (o.y[1] - o.y[0] || 1) * (bottom - top);
  for (const [value, label] of o.yTicks || []) {
    add(canvas, [svg("line", {class: "grid", x1: left, x2: right, y1: y(value), y2: y(value)}),
                 text(left - 8, y(value) + 4, label, {"text-anchor": "end"})]);
  }
  add(canvas, [svg("line", {class: "axis", x1: left, x2: right, y1: bottom, y2: bottom})]);
  for (const [value, label] of o.xTicks || []) {
    add(canvas, [svg("line", {class: "axis", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4}),
                 text(x(value), bottom + 18, label, {"text-anchor": "middle"})]);
  }
  if (o.xLabel) add(canvas, [text((left + right) / 2, bottom + 36, o.xLabel, {"text-anchor": "middle"})]);
  return {x, y};
}

function path(points, x, y) {
  let d = "", pen = "M";
  for (const [px, py] of points) {
    if (!known(py)) { pen = "M"; continue; }
    d += pen + x(px).toFixed(1) + " " + y(py).toFixed(1);
    pen = "L";
  }
  return d;
}

function range(values) {
  let low = Infinity, high = -Infinity;
  for (const v of values) {
    if (known(v)) { low = Math.min(low, v); high = Math.max(high, v); }
  }
  if (!(low <= high)) return [0, 1];
  const pad = (high - low) * .04 || Math.abs(high) * .1 || 1;
  return [low - pad, high + pad];
}

/**
 * Curves over steps. series: {name, color, points: [[x, y]], band: [[x, y]]};
 * the band is drawn pale behind the points.
 */
function curves(label, height, series, o) {
  const all = series.flatMap((s) => (s.band && s.band.length ? s.band : s.points));
  let [low, high] = range(all.map((p) => p[1]));
  if (o.floor !== undefined) low = Math.max(low, o.floor);
  if (o.ceiling !== undefined) high = Math.min(high, o.ceiling);
  let last = 1;
  for (const p of all) last = Math.max(last, p[0]);
  return chart(label, height, (canvas, width, h, tip) => {
    const box = {left: 50, top: 10, right: width - 14, bottom: h - 42};
    const {x, y} = axes(canvas, {box, x: [0, last], y: [low, high], xLabel: o.xLabel,
      xTicks: ticks(0, last, Math.min(8, width / 90)).map((t) => [t, count(t)]),
      yTicks: ticks(low, high, 5).map((t) => [t, o.format(t)])});
    for (const s of series) {
      if (s.band) add(canvas, [svg("path", {d: path(s.band, x, y), fill: "none",
        "stroke-width": 1, "stroke-linejoin": "round", style: {stroke: s.color, opacity: .28}})]);
    }
    for (const s of series) {
      if (s.points.length === 1) {
        add(canvas, [svg("circle", {cx: x(s.points[0][0]), cy: y(s.points[0][1]), r: 3, style: {fill: s.color}})]);
      }
      add(canvas, [svg("path", {d: path(s.points, x, y), fill: "none", "stroke-width": 1.8,
        "stroke-linejoin": "round", class: "curve", style: {stroke: s.color}})]);
    }
    hover(canvas, tip, box, width, series, x, [0, last], o);
  });
}

/** A line under the pointer with the value of each curve there. */
function hover(canvas, tip, box, width, series, x, domain, o) {
  const line = svg("line", {class: "axis", y1: box.top, y2: box.bottom, visibility: "hidden"});
  add(canvas, [line]);
  const nearest = (points, at) => {
    let low = 0, high = points.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < at) low = middle + 1; else high = middle;
    }
    return low > 0 && at - points[low - 1][0] < points[low][0] - at ? points[low - 1] : points[low];
  };
  canvas.addEventListener("pointermove", (event) => {
    const at = event.clientX - canvas.getBoundingClientRect().left;
    if (at < box.left || at > box.right) return;
    const value = domain[0] + (at - box.left) / (box.right - box.left) * (domain[1] - domain[0]);
    line.setAttribute("x1", at);
    line.setAttribute("x2", at);
    line.setAttribute("visibility", "visible");
    tip.replaceChildren(el("b", {}, "step " + count(value)));
    for (const s of series) {
      if (!s.points.length) continue;
      tip.append(el("div", {}, el("span", {class: "swatch", style: {background: s.color}}),
                    s.name + " " + o.exact(nearest(s.points, value)[1])));
    }
    tip.style.display = "block";
    const side = at > width / 2;
    tip.style.left = side ? "auto" : at + 12 + "px";
    tip.style.right = side ? width - at + 12 + "px" : "auto";
  });
  canvas.addEventListener("pointerleave", () => {
    line.setAttribute("visibility", "hidden");
    tip.style.display = "none";
  });
}

/** Bars to the right. rows: {name, value, inner, label, color, pale}. */
function bars(label, rows, o) {
  const step = 34, height = rows.length * step + 30;
  const most = Math.max(...rows.map((r) => r.value), 1);
  return chart(label, height, (canvas, width) => {
    const left = Math.min(width * .34, 6 + 7 * Math.max(...rows.map((r) => Math.min(r.name.length, 26))));
    const box = {left, top: 0, right: width - 92, bottom: height - 26};
    const unit = o.unit || 1;
    const found = ticks(0, most / unit, Math.min(6, (box.right - left) / 90)).map((t) => t * unit);
    const scale = (v) => left + v / most * (box.right - left);
    for (const t of found) {
      add(canvas, [svg("line", {class: "grid", x1: scale(t), x2: scale(t), y1: 0, y2: box.bottom}),
                   text(scale(t), box.bottom + 18, o.tick(t), {"text-anchor": "middle"})]);
    }
    add(canvas, [svg("line", {class: "axis", x1: left, x2: left, y1: 0, y2: box.bottom})]);
    rows.forEach((row, i) => {
      const top = i * step + 6, most_chars = Math.floor((left - 10) / 6.6);
      const name = row.name.length > most_chars ? row.name.slice(0, most_chars - 1) + "\u2026" : row.name;
      add(canvas, [text(left - 8, top + 15, name, {"text-anchor": "end", class: "strong"}),
        svg("rect", {class: "bar-value", x: left, y: top, height: 20, rx: 2,
                     width: Math.max(scale(row.value) - left, 1), style: {fill: row.pale || row.color}}),
        row.inner ? svg("rect", {x: left, y: top, height: 20, rx: 2, style: {fill: row.color},
                                 width: Math.max(scale(row.inner) - left, 1)}) : null,
        text(scale(row.value) + 8, top + 15, row.label, {class: "strong"})]);
    });
  });
}

/** Rows {name, mean, hue, dots: [[value, name]]}: a dot for each value, a bar at the mean. */
function dotRows(label, rows, format, tickFormat, unitOf) {
  const step = 52, height = rows.length * step + 34;
  const values = rows.flatMap((row) => row.dots.map((dot) => dot[0]));
  const [low, high] = range(values), unit = unitOf ? unitOf(Math.max(...values.filter(known))) : 1;
  return chart(label, height, (canvas, width) => {
    const left = 4, right = width - 96;
    const x = (v) => left + (v - low) / (high - low) * (right - left);
    for (const t of ticks(low / unit, high / unit, Math.min(6, (right - left) / 90)).map((v) => v * unit)) {
      add(canvas, [svg("line", {class: "grid", x1: x(t), x2: x(t), y1: 0, y2: height - 28}),
                   text(x(t), height - 10, tickFormat(t), {"text-anchor": "middle"})]);
    }
    rows.forEach((row, k) => {
      const y = k * step + 34, fit = Math.floor((right - left) / 7.2);
      const name = row.name.length > fit ? row.name.slice(0, fit - 1) + "\u2026" : row.name;
      const color = (alpha) => hue(kHues[row.hue % kHues.length], alpha);
      add(canvas, [text(left, y - 17, name, {class: "strong"}),
                   svg("line", {class: "grid", x1: left, x2: right, y1: y, y2: y})]);
      if (!known(row.mean)) return;
      const mean = x(row.mean);
      add(canvas, [
        svg("line", {x1: mean, x2: mean, y1: y - 10, y2: y + 10, "stroke-width": 2.5, style: {stroke: color()}}),
        row.dots.filter((dot) => known(dot[0])).map(([value, of]) =>
          svg("circle", {class: "run", cx: x(value), cy: y, r: 4.5, style: {fill: color(.55)}},
              svg("title", {}, `${of}: ${format(value)}`))),
        text(right + 12, y + 4, format(row.mean), {class: "strong"})]);
    });
  });
}

function pageData() {
  return JSON.parse(document.getElementById("data").textContent);
}

function definitions() {
  return section("definitions", "Definitions", "What each number on this page means.",
    card(el("dl", {class: "definitions"}, Object.entries(kDefinitions).map(([key, [name, meaning]]) =>
      [el("dt", {id: "def-" + key}, name), el("dd", {}, meaning)]))));
}

function navigation(sections) {
  return el("nav", {"aria-label": "Sections"}, sections.map((s) =>
    el("a", {href: "#" + s.id}, s.querySelector("h2").textContent)));
}
