// Builds the page of several runs side by side.
const compared = pageData();
const words = (s) => s.replaceAll("_", " ");
const groupColor = (k, alpha) => hue(kHues[k % kHues.length], alpha);

/** Mean and deviation, the unit told once. */
function spread(s, format) {
  if (s.count < 2) return format(s.mean);
  const [mean, deviation] = [format(s.mean), format(s.deviation)];
  const unit = mean.split("\u00a0").slice(1).join("\u00a0");
  const bare = unit && deviation.endsWith(unit) && !/\d/.test(unit) ? mean.split("\u00a0")[0] : mean;
  return `${bare} \u00b1 ${deviation}`;
}

function missing() {
  const found = compared.runs.filter((r) => r.missing).map((r) => el("p", {}, el("code", {}, r.missing)));
  return found.length ? el("div", {class: "notice", role: "status"}, found) : null;
}

const kFigures = [
  ["accuracy", () => term("accuracy"), percent],
  ["cross_entropy", () => term("cross_entropy"), fixed],
  ["calibration_error", () => term("calibration_error"), fixed],
  ["step_peak_bytes", () => term("peak"), bytes],
  ["training_peak_bytes", () => term("training_peak"), bytes],
  ["training_seconds", () => term("time"), duration],
  ["steps", () => term("step", "Steps"), count],
];

const figureColumns = () => kFigures.map(([, head]) => ({head: head(), number: true}));

function runsTable() {
  const cell = (r, key, format) => key === "steps" && r.steps < r.steps_asked
    ? `${count(r.steps)} of ${count(r.steps_asked)}` : format(r[key]);
  const columns = [{head: "run"}, {head: "method"}, {head: "seed", number: true}, ...figureColumns()];
  return card(table(columns, compared.runs.map((r) => [
    r.run, words(r.method), String(r.seed), ...kFigures.map(([key, , format]) => cell(r, key, format))])));
}

function groupsTable() {
  const columns = [{head: "recipe"}, {head: "runs", number: true}, ...figureColumns()];
  return card(table(columns, compared.groups.map((g) => [
    g.name, String(g.runs.length), ...kFigures.map(([key, , format]) => spread(g[key], format))])));
}

/** A row per recipe: a dot for each run, a bar at the mean. */
function dots(label, key, format, tickFormat, unitOf) {
  const step = 52, height = compared.groups.length * step + 34;
  const values = compared.runs.map((r) => r[key]);
  const [low, high] = range(values), unit = unitOf ? unitOf(Math.max(...values.filter(known))) : 1;
  return chart(label, height, (canvas, width) => {
    const left = 4, right = width - 96;
    const x = (v) => left + (v - low) / (high - low) * (right - left);
    for (const t of ticks(low / unit, high / unit, Math.min(6, (right - left) / 90)).map((v) => v * unit)) {
      add(canvas, [svg("line", {class: "grid", x1: x(t), x2: x(t), y1: 0, y2: height - 28}),
                   text(x(t), height - 10, tickFormat(t), {"text-anchor": "middle"})]);
    }
    compared.groups.forEach((g, k) => {
      const y = k * step + 34, fit = Math.floor((right - left) / 7.2);
      const name = g.name.length > fit ? g.name.slice(0, fit - 1) + "\u2026" : g.name;
      add(canvas, [text(left, y - 17, name, {class: "strong"}),
                   svg("line", {class: "grid", x1: left, x2: right, y1: y, y2: y})]);
      if (!g[key].count) return;
      const mean = x(g[key].mean);
      const runs = g.runs.map((i) => compared.runs[i]).filter((r) => known(r[key]));
      add(canvas, [
        svg("line", {x1: mean, x2: mean, y1: y - 10, y2: y + 10, "stroke-width": 2.5, style: {stroke: groupColor(k)}}),
        runs.map((r) => svg("circle", {class: "run", cx: x(r[key]), cy: y, r: 4.5, style: {fill: groupColor(k, .55)}},
                            svg("title", {}, `${r.run}: ${format(r[key])}`))),
        text(right + 12, y + 4, format(g[key].mean), {class: "strong"})]);
    });
  });
}

function build() {
  const anyKnown = (key) => compared.runs.some((r) => known(r[key]));
  const charts = [["accuracy", "Accuracy", percent, (t) => percent(t, 1)],
                  ["step_peak_bytes", "Peak of a step", bytes, roundBytes, byteUnit],
                  ["training_seconds", "Training time", duration, duration]]
    .filter(([key]) => anyKnown(key))
    .map(([key, title, ...formats]) => card(el("h3", {}, title), dots(title, key, ...formats)));
  const hasSeeds = compared.groups.some((g) => g.runs.length > 1);
  const sections = [
    section("runs", "Runs", ["Accuracy, cross-entropy and calibration error are of the ",
                             term("quoted", "quoted readout"), " on the test images."], runsTable()),
    section("recipes", "Recipes", ["Runs that differ in nothing but their seed: ",
                                   term("mean", "mean and spread"), "."], groupsTable()),
    section("charts", "Side by side", "A dot is a run, a bar the mean over its seeds.", ...charts),
    definitions()];
  if (!hasSeeds) sections.splice(1, 1);
  if (!charts.length) sections.splice(sections.findIndex((s) => s.id === "charts"), 1);
  add(document.getElementById("page"), [
    el("header", {}, el("div", {class: "over"}, "Runs side by side"),
      el("h1", {}, `${plural(compared.runs.length, "run")}, ${plural(compared.groups.length, "recipe")}`),
      navigation(sections)),
    missing(), ...sections, el("footer", {}, "Written by dblocks. This file holds everything it shows.")]);
}

build();
