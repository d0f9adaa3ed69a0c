// Builds the page of a table of runs.
const sweep = pageData();
const words = (s) => s.replaceAll("_", " ");

// Figures that have a definition, and how they are written.
const kKnownFigures = {
  accuracy: ["accuracy", percent], cross_entropy: ["cross_entropy", fixed],
  calibration_error: ["calibration_error", fixed], frechet_distance: ["frechet", fixed],
  precision: ["precision", (v) => fixed(v, 3)], recall: ["recall", (v) => fixed(v, 3)],
  asked_class_share: ["asked_class", percent],
};
const formatOf = (figure) => (kKnownFigures[figure] || ["", fixed])[1];
const headOf = (figure) => kKnownFigures[figure] ? term(kKnownFigures[figure][0]) : words(figure);

function meanAndDeviation(s, format) {
  return s.count < 2 ? format(s.mean) : `${format(s.mean)} \u00b1 ${format(s.deviation)}`;
}

function variantsTable() {
  const columns = [{head: "variant"}, {head: "runs", number: true},
                   ...sweep.figures.map((f) => ({head: headOf(f), number: true}))];
  return card(table(columns, sweep.variants.map((v) => [
    v.name, String(v.runs.length), ...v.figures.map((s, k) => meanAndDeviation(s, formatOf(sweep.figures[k])))])));
}

function runsTable() {
  const columns = [{head: "run"}, {head: "seed", number: true},
                   ...sweep.figures.map((f) => ({head: headOf(f), number: true}))];
  return card(table(columns, sweep.variants.flatMap((v) => v.runs.map((r) => [
    r.run, String(r.seed), ...r.figures.map((x, k) => formatOf(sweep.figures[k])(x))]))));
}

function charts() {
  return sweep.figures.map((figure, k) => card(el("h3", {}, headOf(figure)),
    dotRows(words(figure), sweep.variants.map((v, i) => ({name: v.name, mean: v.figures[k].mean, hue: i,
      dots: v.runs.map((r) => [r.figures[k], r.run])})), formatOf(figure), short)));
}

const sections = [
  section("variants", "Variants", [term("mean", "Mean and spread"), " over seeds."], variantsTable()),
  section("charts", "Side by side", "A dot is a run, a bar the mean over its seeds.", ...charts()),
  section("runs", "Runs", "Every run of the table.", runsTable()),
  definitions()];
const runCount = sweep.variants.reduce((sum, v) => sum + v.runs.length, 0);
add(document.getElementById("page"), [
  el("header", {}, el("div", {class: "over"}, "A table of runs"),
    el("h1", {}, `${sweep.recipe}: ${plural(sweep.variants.length, "variant")}, ${plural(runCount, "run")}`),
    navigation(sections)),
  ...sections, el("footer", {}, "Written by dblocks. This file holds everything it shows.")]);
