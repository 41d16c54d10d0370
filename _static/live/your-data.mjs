/** Your data: a column of numbers that a reader pastes or drops gets its optimal score, density and weight decay. */

import {missingIn, readColumns} from "./reading.mjs";
import {chooseWeightDecay, criticalWeightDecay, densityOf, fitScore, scoreAt} from "./solver.mjs";
import {around, element, grid, histogram, rounded, steady, verdict, written} from "./stage.mjs";

const MOST = 1000;
const FOLDS = 5;
/** Waiting times between 272 eruptions of Old Faithful, in minutes: data set `faithful` of R. */
export const EXAMPLE = [
  43, 45, 45, 45, 46, 46, 46, 46, 46, 47, 47, 47, 47, 48, 48, 48, 49, 49, 49, 49, 49, 50, 50, 50, 50, 50, 51,
  51, 51, 51, 51, 51, 52, 52, 52, 52, 52, 53, 53, 53, 53, 53, 53, 53, 54, 54, 54, 54, 54, 54, 54, 54, 54, 55,
  55, 55, 55, 55, 55, 56, 56, 56, 56, 57, 57, 57, 58, 58, 58, 58, 59, 59, 59, 59, 59, 59, 59, 60, 60, 60, 60,
  60, 60, 62, 62, 62, 62, 63, 63, 63, 64, 64, 64, 64, 65, 65, 65, 66, 66, 67, 68, 69, 69, 70, 70, 70, 70, 71,
  71, 71, 71, 71, 72, 73, 73, 73, 73, 73, 73, 73, 74, 74, 74, 74, 74, 74, 75, 75, 75, 75, 75, 75, 75, 75, 76,
  76, 76, 76, 76, 76, 76, 76, 76, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 77, 78, 78, 78, 78, 78, 78, 78,
  78, 78, 78, 78, 78, 78, 78, 78, 79, 79, 79, 79, 79, 79, 79, 79, 79, 79, 80, 80, 80, 80, 80, 80, 80, 80, 81,
  81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 82, 82, 82, 82, 82, 82, 82, 82, 82, 82, 82, 82, 83, 83, 83,
  83, 83, 83, 83, 83, 83, 83, 83, 83, 83, 83, 84, 84, 84, 84, 84, 84, 84, 84, 84, 84, 85, 85, 85, 85, 85, 85,
  86, 86, 86, 86, 86, 86, 87, 87, 88, 88, 88, 88, 88, 88, 89, 89, 89, 90, 90, 90, 90, 90, 90, 91, 92, 93, 93,
  94, 96,
];

export default function yourData(stage) {
  const {begin} = stage;
  const source = stage.put(new Source({text: EXAMPLE.join("\n"), changed: read}));
  const column = stage.select({label: "column", options: {0: "all numbers"}, value: "0", changed: take});
  const activation = stage.choice({
    label: "neurons:", options: {relu: "ReLU", abs: "absolute value"}, value: begin.activation ?? "relu",
    changed: choose,
  });
  const skip = stage.toggle({label: "skip connection", changed: choose});
  const beta = stage.slider({
    label: "weight decay β", min: 1, max: 100, value: 5, log: true, changed: () => (how = " "),
  });
  stage.button({label: "Choose β by cross-validation", pressed: choose});
  const xlabel = "your numbers";
  const score = stage.chart({title: "the optimal score", x: [0, 1], y: [-1, 1], xlabel, ylabel: "score"});
  const density = stage.chart({title: "its density", x: [0, 1], y: [0, 1], xlabel, ylabel: "density"});
  const python = stage.copy({label: "The same in Python"});
  let columns = [], notes = [], x = [], how = " ", top = {score: 1, density: 1};
  read();

  /** Read what is in the box; while it cannot be read, the last picture stays. */
  function read() {
    const found = source.told(() => readColumns(source.text, {decimalComma: source.decimalComma}));
    if (!found) return;
    columns = found.columns;
    if (columns.length > 1) source.node.after(column.node);
    else column.node.remove();
    column.input.replaceChildren(...columns.map(({name}, k) => element("option", {value: k}, name)));
    notes = found.notes;
    take();
  }

  function take() {
    const chosenColumn = columns[Number(column.value)];
    if (!source.told(() => checked(chosenColumn.values))) return;
    x = chosenColumn.values;
    source.note([...notes, missingIn(chosenColumn)]);
    const ends = around(x, 0.15, 1e-9 * Math.max(...x.map(Math.abs), 1e-9));
    for (const chart of [score, density]) stage.show(chart, {x: ends});
    top = {score: 0, density: 0};
    choose();
  }

  /** Try candidates on folds; where no fit has a density, judge by the score. */
  function choose() {
    const network = {activation: activation.value, skip: skip.value};
    const critical = criticalWeightDecay({x, ...network});
    beta.range(critical, Math.max(2 * critical, x.length));
    if (x.length < 2 * FOLDS) {
      beta.value = Math.sqrt(critical * beta.max);
      how = ` (from the middle: it takes ${2 * FOLDS} numbers to choose) `;
    } else {
      const judged = (criterion) => chooseWeightDecay(x, {...network, folds: FOLDS, criterion}).best;
      const best = source.told(() => judged("likelihood") ?? judged("score"));
      how = best ? ", chosen by cross-validation, " : " ";
      beta.value = best ? Number(best.toPrecision(3)) : Math.sqrt(critical * beta.max);
    }
    stage.redraw();
  }

  function drawScore(fit) {
    const places = withCorners(score.x, fit.knots);
    const [low, high] = [fit.knots[0], fit.knots[fit.knots.length - 1]];
    top.score = steady(top.score, Math.max(1e-6, ...scoreAt(fit, grid(low, high, 201)).map(Math.abs)));
    stage.show(score, {y: [-top.score, top.score]});
    score.line("score", places, scoreAt(fit, places), {label: "optimal network"});
    score.dots("kinks", fit.kinks, scoreAt(fit, fit.kinks), {label: "its kinks"});
  }

  function drawDensity(fit) {
    const bars = grid(...density.x, 1 + Math.min(60, Math.max(12, Math.round(3 * Math.sqrt(x.length)))));
    const heights = histogram(x, bars), places = withCorners(density.x, fit.knots);
    const {logDensity, reason} = densityOf(fit, places), p = logDensity?.map(Math.exp) ?? [];
    top.density = steady(top.density, Math.max(...heights, ...p));
    stage.show(density, {y: [0, top.density]});
    density.bars("histogram", bars, heights, {role: "plain", label: "your numbers"});
    if (p.length) density.line("density", places, p, {label: "density of the network"});
    else density.clear("density");
    density.rug("data", x);
    if (p.length) return [];
    return [" This score has no density: ", rounded(reason), "; try another weight decay, or a skip connection."];
  }

  function summary(fit) {
    return [stage.number("count", x.length), " numbers. With β = ", stage.number("beta", beta.value), how,
      "the smallest loss is ", stage.number("value", fit.value, 6), ", ", ...verdict(fit.certificate), ". The score has ",
      stage.number("kinks", fit.kinks.length), ` kink${fit.kinks.length === 1 ? "" : "s"}. There is an optimum from β = `,
      stage.number("critical", fit.criticalWeightDecay), " on."];
  }

  stage.draw(() => {
    if (!x.length) return;
    const problem = {x, beta: beta.value, activation: activation.value, skip: skip.value};
    python.write(() => asPython(problem));
    const fit = fitScore(problem);
    if (!fit.finite) {
      stage.say([element("span", {class: "live-warns"}, "No network is optimal: "), rounded(fit.reason), "."]);
      return;
    }
    drawScore(fit);
    stage.say([...summary(fit), ...drawDensity(fit)]);
  });
}

/** A box for text, which takes files, too, and says what is wrong with it. */
class Source {
  constructor({text, changed}) {
    this.changed = changed;
    this.fault = element("p", {class: "live-fault", role: "alert", id: "your-data-fault"});
    this.notes = element("p", {class: "live-help", "aria-live": "polite"});
    this.area = element("textarea", {
      id: "your-data-text", rows: 6, spellcheck: "false", autocomplete: "off", "aria-describedby": "your-data-fault",
      oninput: () => this.soon(),
    });
    this.area.value = text;
    this.comma = element("input", {type: "checkbox", role: "switch", onchange: () => changed()});
    const file = element("input", {type: "file", id: "your-data-file", onchange: () => this.open(file.files[0])});
    this.node = element("div", {class: "live-control live-source"},
      element("label", {for: "your-data-text"}, "Your numbers: paste a column or a table, or drop a file"),
      this.area, this.fault, this.notes,
      element("div", {class: "live-controls"},
        element("label", {for: "your-data-file"}, "or choose a file "), file,
        element("label", {}, this.comma, " comma is the decimal sign")));
    this.node.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.node.classList.add("live-over");
    });
    this.node.addEventListener("dragleave", () => this.node.classList.remove("live-over"));
    this.node.addEventListener("drop", (event) => this.dropped(event));
  }

  get text() {
    return this.area.value;
  }

  get decimalComma() {
    return this.comma.checked;
  }

  /** Wait until the reader has paused. */
  soon() {
    clearTimeout(this.pause);
    this.pause = setTimeout(this.changed, 400);
  }

  dropped(event) {
    this.node.classList.remove("live-over");
    const [file] = event.dataTransfer.files;
    if (!file) return; // a text, which the box takes by itself
    event.preventDefault();
    this.open(file);
  }

  async open(file) {
    if (!file) return;
    const text = await file.text();
    if (text.includes("\u0000")) return this.say(`“${file.name}” is not a text; save it as CSV or as text first.`);
    this.area.value = text;
    this.changed();
  }

  note(sentences) {
    this.notes.textContent = sentences.join(" ");
  }

  say(fault) {
    this.fault.textContent = fault && `${fault} The pictures still show the numbers before.`;
    this.area.toggleAttribute("aria-invalid", fault !== "");
    if (fault) this.note([]);
  }

  /** Do something; what it throws is said, and then there is no result. */
  told(act) {
    try {
      const result = act();
      this.say("");
      return result;
    } catch (error) {
      this.say(`${error.message[0].toUpperCase()}${error.message.slice(1)}`);
      return null;
    }
  }
}

/** Whether these are few and different enough. */
function checked(values) {
  if (values.length > MOST) {
    throw new Error(`These are ${values.length} numbers, and this page takes up to ${MOST}. The library takes millions.`);
  }
  if (values.every((value) => value === values[0])) {
    const what = values.length === 1 ? "This is one number" : `All ${values.length} numbers are ${written(values[0])}`;
    throw new Error(`${what}: a law needs at least two different ones.`);
  }
  criticalWeightDecay({x: values}); // which names what else the solver does not take
  return values;
}

/** The same, as five lines of Python. */
function asPython({x, beta, activation, skip}) {
  return ["from convexdiff_lib import score_matching", `x = [${x.join(", ")}]`,
    `fit = score_matching(x, beta=${beta}, activation="${activation}", skip=${skip ? "True" : "False"})`,
    "print(fit.value, fit.knots, fit.certificate)", "fit.plot()"].join("\n");
}

function withCorners([low, high], knots) {
  return [...grid(low, high, 401), ...knots.filter((t) => t > low && t < high)].sort((a, b) => a - b);
}
