// Builds the page of several runs side by side.
const compared = pageData();
const words = (s) => s.replaceAll("_", " ");

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
  const rows = compared.groups.map((g, k) => ({name: g.name, mean: g[key].mean, hue: k,
    dots: g.runs.map((i) => [compared.runs[i][key], compared.runs[i].run])}));
  return dotRows(label, rows, format, tickFormat, unitOf);
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
