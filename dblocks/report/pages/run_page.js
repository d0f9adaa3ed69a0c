// Builds the page of one run.

const run = pageData();
const numBlocks = run.blocks.length;
const isBlockwise = run.method === "diffusion_blocks";
const stepsDone = run.blocks.reduce((sum, b) => sum + b.steps_done, 0);
const stepsAsked = run.steps * numBlocks;
const evaluation = run.evaluation, images = run.images;
const isEvaluated = Boolean(run.generates_images ? images : evaluation);
const quoted = evaluation
  ? evaluation.readouts.find((r) => r.name === evaluation.headline) || evaluation.readouts[0]
  : null;

const words = (s) => s.replaceAll("_", " ");
const blockNumbers = [...Array(numBlocks).keys()];
const colorOf = (block, alpha) => blockColor(block, numBlocks, alpha);
const colorOfReadout = (k) => hue(kHues[k % kHues.length]);
const shellWord = (s) => /^[\w.\/=:,+@-]+$/.test(s) ? s : "'" + s.replaceAll("'", "'\\''") + "'";
const command = (verb) => el("code", {}, `dblocks ${verb} ${shellWord(run.folder)}`);
const answerOf = (r) => r.answer === "pooled" ? r.pooled : r.after_block[r.after_block.length - 1];

/** What is missing or wrong, each with the command that helps. */
function notices() {
  const found = [];
  const add = (...parts) => found.push(el("p", {}, ...parts));
  for (const problem of run.problems) add(problem);
  const damaged = run.blocks.reduce((sum, b) => sum + b.num_damaged, 0);
  if (damaged) add(plural(damaged, "damaged log line"), " left out.");
  if (stepsDone < stepsAsked) {
    add(`Trained ${count(stepsDone)} of ${count(stepsAsked)} steps so far. When there is more, `,
        command("report"), " draws this page anew.");
  }
  if (!isEvaluated) {
    add("Not evaluated yet: ", command("eval"), ", then ", command("report"));
  } else if (run.is_evaluation_old) {
    add("Trained on since it was evaluated: ", command("eval"), ", then ", command("report"));
  }
  if (!run.memory) {
    add("Memory against end-to-end training is not measured yet: ", command("memory"), ", then ",
        command("report"));
  }
  return found.length ? el("div", {class: "notice", role: "status"}, found) : null;
}

function tile(label, value, more) {
  return el("div", {class: "tile"}, el("div", {class: "label"}, label),
            el("div", {class: "value"}, value), el("div", {class: "more"}, more));
}

function tiles() {
  const memory = run.memory;
  const units = plural(numBlocks, isBlockwise ? "block" : "unit");
  return el("div", {class: "tiles"},
    run.generates_images
      ? tile(term("frechet", "Frechet distance"), images ? fixed(images.scores[0].frechet_distance) : "\u2013",
             images ? plural(images.num_images, "image") : "not evaluated")
      : tile(term("accuracy", "Test accuracy"), quoted ? percent(quoted.accuracy) : "\u2013",
         quoted ? `${words(quoted.name)}, ${plural(evaluation.num_images, "image")}` : "not evaluated"),
    tile(term("peak"), memory ? bytes(memory.peak_bytes) : "\u2013",
         memory ? [(memory.peak_bytes / memory.end_to_end_peak_bytes).toFixed(2), " of ",
                   term("end_to_end", "end to end")] : "not measured"),
    tile(term("step", "Steps"), count(stepsDone),
         stepsDone < stepsAsked ? `of ${count(stepsAsked)}, ${units}`
                                : `${units} of ${count(run.steps)}, finished`),
    tile(term("time"), duration(run.training_seconds), `batches of ${count(run.batch_size)}`));
}

/** The density at `s`, between the points that the page holds. */
function densityAt(p, s) {
  const last = p.log_sigma.length - 1, low = p.log_sigma[0];
  const place = Math.min(Math.max((s - low) / (p.log_sigma[last] - low) * last, 0), last);
  const k = Math.min(Math.floor(place), last - 1);
  return p.density[k] + (place - k) * (p.density[k + 1] - p.density[k]);
}

/** The area under the density from one sigma to another. */
function densityArea(p, from, to, x, y) {
  const [a, z] = [Math.log(from), Math.log(to)];
  const inside = p.log_sigma.map((s, i) => [s, p.density[i]]).filter(([s]) => s > a && s < z);
  return path([[a, densityAt(p, a)], ...inside, [z, densityAt(p, z)]], x, y) +
         `L${x(z).toFixed(1)} ${y(0)}L${x(a).toFixed(1)} ${y(0)}Z`;
}

function decadeTicks(low, high) {
  const found = [];
  for (let e = Math.ceil(low / Math.LN10); e * Math.LN10 <= high; ++e) {
    found.push([e * Math.LN10, String(Number((10 ** e).toPrecision(2)))]);
  }
  return found;
}

function partitionChart(p) {
  const rowHeight = p.blocks.length > 12 ? 8 : 16, plot = 190;
  const height = plot + 52 + p.blocks.length * rowHeight;
  const low = p.log_sigma[0], high = p.log_sigma[p.log_sigma.length - 1];
  const top = Math.max(...p.density) * 1.08;
  return chart("Density of the noise level with the interval of each block", height, (canvas, width) => {
    const box = {left: 58, top: 8, right: width - 14, bottom: plot};
    const {x, y} = axes(canvas, {box, x: [low, high], y: [0, top], xLabel: "sigma (logarithmic)",
      xTicks: decadeTicks(low, high), yTicks: ticks(0, top, 4).map((t) => [t, short(t)])});
    p.blocks.forEach((b, i) => add(canvas, [
      svg("path", {class: "interval", d: densityArea(p, b.low, b.high, x, y), style: {fill: colorOf(i, .5)}},
          svg("title", {}, `block ${i}: sigma ${short(b.low)} to ${short(b.high)}`)),
      svg("path", {class: "overlap", d: densityArea(p, b.training_low, b.training_high, x, y),
                   style: {fill: colorOf(i, .22)}})]));
    add(canvas, [svg("path", {d: path(p.log_sigma.map((s, i) => [s, p.density[i]]), x, y), fill: "none",
                              "stroke-width": 1.5, style: {stroke: "var(--ink)"}})]);
    p.blocks.forEach((b, i) => {
      const from = plot + 46 + i * rowHeight, thick = rowHeight - 6;
      const strip = (a, z, alpha) => svg("rect", {x: x(Math.log(a)), y: from, height: thick, rx: 2,
        width: Math.max(x(Math.log(z)) - x(Math.log(a)), 1), style: {fill: colorOf(i, alpha)}});
      add(canvas, [strip(b.training_low, b.training_high, .35), strip(b.low, b.high, 1),
        rowHeight > 8 ? text(box.left - 8, from + thick - 1, "block " + i, {"text-anchor": "end"}) : null]);
    });
  });
}

function partitionSection() {
  const p = run.partition;
  const ends = (a, b) => `${short(a)} \u2013 ${short(b)}`;
  const rows = run.blocks.map((b, i) => [
    String(i), `${b.first_layer} \u2013 ${b.end_layer - 1}`,
    ...(p ? [ends(p.blocks[i].low, p.blocks[i].high),
             ends(p.blocks[i].training_low, p.blocks[i].training_high),
             percent(p.blocks[i].mass, 1)] : []),
    count(b.steps_done), b.checkpoint_step ? count(b.checkpoint_step) : "\u2013"]);
  const columns = [
    {head: term("block")}, {head: "layers"},
    ...(p ? [{head: ["owns ", term("interval", "sigma")]}, {head: ["trains on, ", term("overlap", "overlap")]},
             {head: term("mass", "probability"), number: true}] : []),
    {head: [term("step", "steps"), ` of ${count(run.steps)}`], number: true},
    {head: "last checkpoint", number: true}];
  const lead = p
    ? ["The ", term("density", "density"), " of noise ", term("sigma", "sigma"),
       " in training, cut into one interval per block. Inference runs from the right, all noise and block 0, to the left."]
    : `The method ${words(run.method)} trains without noise, so there is no partition.`;
  return section("partition", p ? "Partition" : "Units", lead,
    p ? card(partitionChart(p), note("Solid: what a block owns. Pale: what training adds on both sides.")) : null,
    card(table(columns, rows)));
}

function trainingSection() {
  const entries = run.blocks.reduce((sum, b) => sum + b.num_rows, 0);
  if (!entries) {
    return section("training", "Training",
      "No step is logged yet. Blocks write an entry every train.log_every_steps steps.");
  }
  const series = (column, hasBand) => run.blocks.map((b, i) => ({
    name: numBlocks > 1 ? "block " + i : words(run.method),
    color: colorOf(i),
    points: b.trend.map((p) => [p[0], p[column]]),
    band: hasBand && b.points.length > b.trend.length ? b.points.map((p) => [p[0], p[column]]) : null}));
  const loss = series(1, true), accuracy = series(2, false);
  const key = () => numBlocks > 1 ? legend(loss) : null;
  const xLabel = numBlocks > 1 ? "step of the block" : "step";
  return section("training", "Training",
    [term("loss", "Loss"),
     ...(run.generates_images ? [] : [" and ", term("training_accuracy", "accuracy")]),
     ` on training batches, ${plural(entries, "log entry", "log entries")}.`],
    el("div", {class: "pair"},
      card(el("h3", {}, "Loss"), key(),
        curves("Training loss of each block", 280, loss, {xLabel, format: short, exact: (v) => fixed(v)}),
        loss.some((s) => s.band)
          ? note("Bold: mean over a stretch of steps. Pale: its least and greatest entries.") : null),
      run.generates_images ? null :
      card(el("h3", {}, isBlockwise ? "Accuracy under noise" : "Accuracy"), key(),
        curves("Training accuracy of each block", 280, accuracy,
          {xLabel, floor: 0, ceiling: 1, format: (v) => percent(v, 0), exact: (v) => percent(v, 1)}))));
}

function chainChart(readouts) {
  const places = numBlocks + 1;
  const values = readouts.flatMap((r) => [...r.after_block.map((s) => s.accuracy), r.pooled.accuracy]);
  const [low, high] = range(values).map((v) => Math.min(Math.max(v, 0), 1));
  return chart("Accuracy after each block, for each readout", 300, (canvas, width, height) => {
    const box = {left: 56, top: 10, right: width - 24, bottom: height - 28};
    const skip = Math.ceil(places * 62 / (box.right - box.left));
    const names = [...blockNumbers.filter((i) => i % skip === 0).map((i) => [i, "block " + i]),
                   [numBlocks, "pooled"]];
    const {x, y} = axes(canvas, {box, x: [-.25, places - .75], y: [low, high], xTicks: names,
      yTicks: ticks(low, high, 5).map((t) => [t, percent(t, high - low < .05 ? 1 : 0)])});
    readouts.forEach((r, k) => {
      const color = colorOfReadout(k), isQuoted = r === quoted;
      const chain = r.after_block.map((s, i) => [i, s.accuracy]);
      const end = [numBlocks, r.pooled.accuracy];
      const answer = r.answer === "pooled" ? numBlocks : chain.length - 1;
      add(canvas, [
        svg("path", {class: "chain", d: path(chain, x, y), fill: "none",
                     "stroke-width": isQuoted ? 2.6 : 1.5, style: {stroke: color}}),
        svg("path", {d: path([chain[chain.length - 1], end], x, y), fill: "none", "stroke-dasharray": "2 4",
                     "stroke-width": isQuoted ? 2 : 1.2, style: {stroke: color}}),
        [...chain, end].map(([i, v]) => svg("circle",
          {cx: x(i), cy: y(v), r: i === answer ? 4.5 : 3, "stroke-width": 1.6,
           style: {stroke: color, fill: i === answer ? color : "var(--card)"}},
          svg("title", {}, `${words(r.name)}: ${percent(v)}`)))]);
    });
  });
}

function accuracySection() {
  if (!evaluation) {
    return section("accuracy", "Accuracy", ["Not evaluated yet. ", command("eval"), " measures it."]);
  }
  const readouts = evaluation.readouts, hasChain = numBlocks > 1;
  const columns = [
    {head: term("readout")}, {head: term("accuracy"), number: true},
    {head: term("cross_entropy"), number: true}, {head: term("calibration_error"), number: true},
    ...(hasChain ? blockNumbers.map((i) => ({head: term("after_block", "after " + i), number: true})) : []),
    ...(hasChain ? [{head: term("pooled"), number: true}] : [])];
  const rows = readouts.map((r) => [
    words(r.name), percent(r.accuracy), fixed(r.cross_entropy), fixed(r.calibration_error),
    ...(hasChain ? [...r.after_block, r.pooled].map((s) => percent(s.accuracy)) : [])]);
  const settings = evaluation.settings.length ? ` with ${evaluation.settings.join(", ")}` : "";
  return section("accuracy", hasChain ? "Accuracy along the chain" : "Accuracy",
    [`On ${plural(evaluation.num_images, "test image")} of ${evaluation.dataset}${settings}. `,
     readouts.length > 1 ? ["Bold: the ", term("quoted", "readout that is quoted"), "."] : null],
    hasChain ? card(
      legend(readouts.map((r, k) => ({name: words(r.name), color: colorOfReadout(k)}))),
      chainChart(readouts),
      note("Filled: the readout's own answer. ", term("pooled"), ": all blocks vote.")) : null,
    card(table(columns, rows, (i) => readouts[i] === quoted && readouts.length > 1 ? "quoted" : "")));
}

function memorySection() {
  const m = run.memory;
  const logged = run.logged_peak_bytes
    ? note(term("training_peak"), `: ${bytes(run.logged_peak_bytes)}, as logged.`) : null;
  if (!m) {
    return section("memory", "Memory",
      ["Not measured yet. ", command("memory"), " measures a step of each block and one of end-to-end training."],
      logged ? card(logged) : null);
  }
  const row = (u, name, color, pale) =>
    ({name, value: u.peak_bytes, inner: u.state_bytes, color, pale, label: bytes(u.peak_bytes)});
  const rows = [
    ...m.blocks.map((u) => row(u, m.blocks.length > 1 ? "block " + u.block : words(run.method),
                               colorOf(u.block), colorOf(u.block, .45))),
    ...m.end_to_end.map((u) => row(u, "end to end", "var(--soft)",
                                   "color-mix(in srgb, var(--soft) 45%, transparent)"))];
  return section("memory", "Memory of a step",
    [isBlockwise ? "A block step needs " : "A step needs ",
     el("b", {}, (m.peak_bytes / m.end_to_end_peak_bytes).toFixed(3)), " of the ",
     term("end_to_end", "end-to-end"), ` step's peak, in batches of ${count(m.batch_size)}.`],
    card(bars("Peak of tensor bytes of a step", rows,
              {tick: roundBytes, unit: byteUnit(Math.max(...rows.map((r) => r.value)))}),
      note("Solid: ", term("state", "state"), ". Pale: what a step adds, up to its ", term("peak", "peak"), "."),
      logged));
}

const kShares = [0, .25, .5, .75, 1].map((t) => [t, percent(t, 0)]);

function reliabilityChart(bins) {
  return chart("Reliability diagram", 330, (canvas, width, height) => {
    const side = Math.min(width - 70, 260), left = Math.max(48, (width - side) / 2 - 4);
    const box = {left, top: 10, right: left + side, bottom: height - 42};
    const {x, y} = axes(canvas, {box, x: [0, 1], y: [0, 1], xLabel: "confidence", xTicks: kShares, yTicks: kShares});
    bins.forEach(([n, hits, sum], k) => {
      if (!n) return;
      const accuracy = hits / n, confidence = sum / n;
      const bar = (cls, from, to, fill) => svg("rect",
        {class: cls, x: x(k / bins.length) + 1, width: (box.right - box.left) / bins.length - 2,
         y: y(Math.max(from, to)), height: Math.abs(y(from) - y(to)), style: {fill}},
        svg("title", {}, `${plural(n, "image")}, confidence ${percent(confidence, 1)}, right ${percent(accuracy, 1)}`));
      add(canvas, [bar("bin", 0, accuracy, hue(255, .85)),
                   bar("gap", accuracy, confidence, "color-mix(in srgb, var(--bad) 35%, transparent)")]);
    });
    add(canvas, [svg("line", {x1: x(0), y1: y(0), x2: x(1), y2: y(1), "stroke-dasharray": "4 4",
                              style: {stroke: "var(--soft)"}})]);
  });
}

function confidenceChart(bins) {
  const total = bins.reduce((sum, b) => sum + b[0], 0) || 1;
  const top = Math.max(...bins.map((b) => b[0])) / total * 1.05 || 1;
  return chart("Share of images in each bin of confidence", 330, (canvas, width, height) => {
    const box = {left: 50, top: 10, right: width - 20, bottom: height - 42};
    const {x, y} = axes(canvas, {box, x: [0, 1], y: [0, top], xLabel: "confidence", xTicks: kShares,
      yTicks: ticks(0, top, 5).map((t) => [t, percent(t, top < .05 ? 1 : 0)])});
    bins.forEach(([n], k) => add(canvas, [
      svg("rect", {x: x(k / bins.length) + 1, width: (box.right - box.left) / bins.length - 2,
                   y: y(n / total), height: box.bottom - y(n / total), style: {fill: hue(255, .85)}},
          svg("title", {}, plural(n, "image")))]));
  });
}

function calibrationSection() {
  const scored = evaluation
    ? evaluation.readouts.filter((r) => (answerOf(r).reliability || []).length) : [];
  if (!scored.length) {
    return section("calibration", "Calibration", ["Not evaluated yet. ", command("eval"), " measures it."]);
  }
  const holder = el("div", {class: "pair"}), error = el("span", {});
  const show = (readout) => {
    const {calibration_error, reliability} = answerOf(readout);
    error.replaceChildren(fixed(calibration_error));
    holder.replaceChildren(
      card(el("h3", {}, term("reliability")), reliabilityChart(reliability)),
      card(el("h3", {}, "Images by ", term("confidence", "confidence")), confidenceChart(reliability)));
  };
  const start = Math.max(scored.indexOf(quoted), 0);
  const choice = el("select", {"aria-label": "Readout"},
                    scored.map((r, k) => el("option", {value: k}, words(r.name))));
  choice.value = String(start);
  choice.addEventListener("change", () => show(scored[Number(choice.value)]));
  show(scored[start]);
  return section("calibration", "Calibration",
    [term("calibration_error"), " ", error, " of the answer of ",
     scored.length > 1 ? choice : words(scored[0].name), ". Red: the distance from what the network claims."],
    holder);
}

function sampleCard(s) {
  const isRight = s.answer.predicted === s.label;
  const places = s.after_block.length > 1 ? s.after_block : [];
  const place = (p, i) => el("li",
    {title: `block ${i}: ${p.predicted} ${percent(p.probability, 1)}; right class ${percent(p.true_probability, 1)}`},
    el("span", {}, "block " + i),
    el("div", {class: "bar"}, el("i", {style: {width: 100 * p.true_probability + "%", background: colorOf(i)}})),
    el("span", {class: p.predicted === s.label ? "" : "bad"}, p.predicted),
    el("span", {}, percent(p.true_probability, 0)));
  return el("div", {class: "sample"},
    el("img", {src: "data:image/png;base64," + s.png, alt: `test image ${s.index}: ${s.label}`, width: 64, height: 64}),
    el("div", {}, el("div", {class: "label"}, s.label),
      el("div", {class: "answer " + (isRight ? "good" : "bad")},
         `${isRight ? "\u2713" : "\u2717"} ${s.answer.predicted} ${percent(s.answer.probability, 0)}`),
      el("div", {class: "number"}, "test image " + count(s.index))),
    places.length ? el("ol", {}, places.map(place)) : null);
}

function samplesSection() {
  if (!evaluation || !evaluation.samples.length) {
    return section("samples", "Sample predictions", ["Not evaluated yet. ", command("eval"), " keeps some."]);
  }
  const group = (title, list) => list.length
    ? [el("h3", {}, title), el("div", {class: "samples"}, list.map(sampleCard))] : [];
  return section("samples", "Sample predictions",
    [`Answers of ${words(quoted.name)}.`,
     numBlocks > 1 ? " Bars: probability of the right class after each block; beside it, the likeliest class there." : ""],
    ...group("The first test images", evaluation.samples.filter((s) => !s.is_mistake)),
    ...group("The most confident mistakes", evaluation.samples.filter((s) => s.is_mistake)));
}

function picture({png}, alt) {
  return el("img", {class: "grid", alt, src: "data:image/png;base64," + png});
}

/** Loss by level of noise; vertical lines where one block's interval ends. */
function noiseChart(curves, partition) {
  const logs = curves[0].points.map((p) => Math.log(p.sigma));
  const losses = curves.flatMap((c) => c.points.map((p) => p.loss));
  const top = range(losses)[1], low = logs[0], high = logs[logs.length - 1];
  return chart("Loss at each level of noise", 300, (canvas, width, height) => {
    const box = {left: 58, top: 10, right: width - 14, bottom: height - 42};
    const {x, y} = axes(canvas, {box, x: [low, high], y: [0, top], xLabel: "sigma (logarithmic)",
      xTicks: decadeTicks(low, high), yTicks: ticks(0, top, 5).map((t) => [t, short(t)])});
    if (partition) {
      add(canvas, partition.blocks.slice(1).map((b) => svg("line", {class: "boundary grid",
        x1: x(Math.log(b.high)), x2: x(Math.log(b.high)), y1: box.top, y2: box.bottom, "stroke-dasharray": "3 3"})));
    }
    [...curves.entries()].reverse().forEach(([k, c]) => {
      const points = c.points.map((p) => [Math.log(p.sigma), p.loss]);
      const color = k ? "var(--soft)" : "var(--ink)";
      add(canvas, [svg("path", {class: "curve", d: path(points, x, y), fill: "none", "stroke-width": 1.4,
                                style: {stroke: color}})]);
      if (k) return;
      add(canvas, c.points.map((p) => svg("circle",
        {cx: x(Math.log(p.sigma)), cy: y(p.loss), r: 3.4, style: {fill: colorOf(p.block)}},
        svg("title", {}, `sigma ${short(p.sigma)}, block ${p.block}: ${fixed(p.loss)}`))));
    });
  });
}

function noiseCard() {
  const curves = images.noise_curves;
  if (!curves.length) return null;
  const names = curves.length > 1
    ? legend([{name: "this run", color: "var(--ink)"},
              {name: `${curves[1].run}, ${words(curves[1].method)}`, color: "var(--soft)"}]) : null;
  return card(el("h3", {}, term("noise_loss")), names, noiseChart(curves, run.partition),
    note(isBlockwise ? "Each dot has the colour of the block that owns its level; broken lines part their intervals. " : "",
         curves.length > 1 ? null : ["Another run beside it: ", command("eval"), el("code", {}, " --against OTHER")]));
}

/** The quoted distance over training, once there are two of its name. */
function historyCard() {
  const name = images.scores[0].name;
  const points = run.image_history.filter((p) => p[1] === name).map((p) => [p[0], p[2]]);
  if (points.length < 2) return null;
  const series = [{name: "distance", color: "var(--ink)", points}];
  return card(el("h3", {}, term("frechet", "Frechet distance"), " over training"),
    curves("Frechet distance over training", 240, series, {xLabel: "steps of every block", floor: 0, format: short,
      exact: (v) => fixed(v)}),
    note(name));
}

function previewsCard() {
  if (!run.previews.length) return null;
  return card(el("h3", {}, "While it trained"),
    el("div", {class: "previews"}, run.previews.map((p) => el("figure", {},
      picture(p, `Images drawn after ${count(p.steps)} steps of every block`),
      el("figcaption", {}, `${count(p.steps)} steps`)))),
    note("The same noise and classes each time, after so many steps of every block at least."));
}

function imagesSection() {
  if (!images) {
    return section("images", "Images", ["Not measured yet. ", command("eval"), " draws images and measures them."],
      previewsCard());
  }
  const columns = [{head: "compared by", text: true}, {head: term("frechet", "Frechet distance"), number: true},
                   {head: term("precision"), number: true}, {head: term("recall"), number: true}];
  const rows = images.scores.map((s) => [s.name, fixed(s.frechet_distance), percent(s.precision), percent(s.recall)]);
  const losses = images.block_loss.map((loss, i) =>
    [isBlockwise ? "block " + i : words(run.method), fixed(loss)]);
  return section("images", "Images",
    [`${plural(images.num_images, "image")} in ${plural(images.sampling_steps, "step")} with a guidance of `,
     `${images.guidance}, seed ${images.seed}, drawn in ${duration(images.sampling_seconds)}.`,
     images.asked_class_share === undefined ? null
       : ` A classifier puts ${percent(images.asked_class_share)} of them into the class that was asked for.`],
    images.grid.png ? card(picture(images.grid, "Drawn images, a row for each class")) : null,
    images.nearest.png ? card(el("h3", {}, "Nearest training images"),
      picture(images.nearest, "Drawn images above their nearest training images"),
      note("A drawn image of each class; below it the training image that is nearest to it. ",
           "The same picture twice would mean that it was learned by heart.")) : null,
    card(table(columns, rows)),
    previewsCard(),
    historyCard(),
    noiseCard(),
    card(table([{head: "trained"}, {head: term("test_loss"), number: true}], losses)));
}

function recipeTable(rows) {
  const columns = [{head: "key"}, {head: "value"}, {head: term("origin")}];
  return el("div", {class: "recipe"}, table(columns, rows.map(([key, value, unit, origin, meaning]) => [
    el("details", {}, el("summary", {}, el("code", {}, key)), el("p", {}, meaning)),
    [el("code", {}, value), unit ? " " + unit : ""], origin])));
}

function recipeSection() {
  const chosen = run.recipe.filter((row) => row[3] !== "default");
  const rest = run.recipe.filter((row) => row[3] === "default");
  return section("recipe", "Recipe",
    "Every value of the run and where it comes from. A click on a key says what it means.",
    card(recipeTable(chosen), rest.length
      ? el("details", {class: "rest"}, el("summary", {}, `${plural(rest.length, "value")} at the default`),
           recipeTable(rest)) : null));
}

function facts(title, list) {
  return card(el("h3", {}, title), list.length
    ? el("dl", {class: "facts"}, list.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]))
    : note("Not recorded."));
}

function environmentSection() {
  const evaluated = evaluation ? [...evaluation.environment, ["time", duration(evaluation.seconds)]] : [];
  return section("environment", "Environment", null,
    el("div", {class: "pair"}, facts("Training started on", run.training_environment),
       facts("Evaluated on", evaluated)));
}

function build() {
  const results = run.generates_images ? [imagesSection(), memorySection()]
    : [accuracySection(), memorySection(), calibrationSection(), samplesSection()];
  const sections = [partitionSection(), trainingSection(), ...results, recipeSection(),
                    environmentSection(), definitions()];
  add(document.getElementById("page"), [
    el("header", {},
      el("div", {class: "over"}, isBlockwise ? "Run, trained block by block" : "Run, baseline"),
      el("h1", {}, run.name || run.folder),
      el("p", {class: "sub"}, `${words(run.method)} on ${run.dataset}, seed ${run.seed}, `,
         el("code", {}, run.folder)),
      navigation(sections)),
    tiles(), notices(), ...sections,
    el("footer", {}, `Written by dblocks ${run.version}. This file holds everything it shows.`)]);
}

build();
