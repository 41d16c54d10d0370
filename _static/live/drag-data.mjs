/** Drag the data: the optimal score of a few points, its density and exact samples, while the points move. */

import {densityOf, fitScore, randomGenerator, samplesOf, scoreAt} from "./solver.mjs";
import {around, asPython, element, grid, histogram, rounded, steady, verdict, written} from "./stage.mjs";

const DATA = {
  two: [-3.6, -3.1, -2.7, -2.5, -2.1, -1.6, 1.4, 1.9, 2.3, 2.6, 3, 3.7],
  one: [-2.2, -1.5, -1.1, -0.7, -0.4, -0.1, 0.2, 0.4, 0.8, 1.1, 1.6, 2.3],
  outlier: [-1.9, -1.4, -1, -0.6, -0.3, 0.1, 0.3, 0.7, 1, 1.5, 4.6],
  repeated: [-2, -1, -1, 0, 0.5, 0.5, 0.5, 1.5, 2.5],
};
const WORDS = {
  two: "two groups", one: "one group", outlier: "an outlier", repeated: "repeated points", own: "your own points",
};
const SAMPLES = 1000;
const BINS = 48;

export default function dragTheData(stage) {
  const responses = "responses" in stage.begin; // as chapter 3 has it
  const beta = stage.slider({
    label: "weight decay β", min: 0.5, max: 32, value: responses ? 3 : 2.5, log: true,
  });
  const activation = stage.choice({
    label: "neurons:", options: {relu: "ReLU", abs: "absolute value"}, value: responses ? "abs" : "relu",
  });
  const skip = stage.toggle({label: "skip connection"});
  const start = stage.select({
    label: "points:", options: WORDS, value: responses ? "one" : "two", changed: () => put(DATA[start.value] ?? points.values),
  });
  const score = stage.chart({title: "the optimal score", x: [-6, 6], y: [-3, 3], xlabel: "x", ylabel: "s(x)"});
  const density = stage.chart({title: "density and samples", x: [-6, 6], y: [0, 0.5], xlabel: "x", ylabel: "p(x)"});
  const points = stage.points({chart: score, values: DATA[start.value], step: 0.1, least: 1, typed: () => put(points.values)});
  const list = stage.numbers({label: "all points", entered: put});
  const python = stage.copy({label: "The same in Python"});
  const draws = randomGenerator(1).uniform;
  const uniforms = Array.from({length: SAMPLES}, (_, k) => (k + draws()) / SAMPLES); // one in each part of [0, 1]
  let ends = {score: 3, density: 0.5};

  function put(values) {
    if (values.length < 1 || values.length > points.most) {
      throw new Error(`One to ${points.most} points, please; these are ${values.length}.`);
    }
    points.values = values;
    const usual = values.every((t) => Math.abs(t) < 6);
    const x = usual ? [-6, 6] : around(values, 0.35, 1e-3);
    for (const chart of [score, density]) stage.show(chart, {x});
    points.step = 10 ** Math.round(Math.log10((x[1] - x[0]) / 100)); // coarse, so that points can be put on each other
  }

  function drawScore(fit) {
    const x = withCorners(score.x, fit.knots);
    const s = scoreAt(fit, x);
    const between = x.map((t, k) => Math.abs(s[k])).filter((_, k) => inside(x[k], points.values));
    ends.score = steady(ends.score, Math.max(0.5, ...between));
    stage.show(score, {y: [-ends.score, ends.score]});
    if (responses) drawResponses();
    score.line("score", x, s, {label: "optimal network"});
    score.dots("kinks", fit.kinks, scoreAt(fit, fit.kinks), {label: "its kinks"});
  }

  /** The numbers 1/h to the right minus 1/h to the left, of which the score is the Lasso fit. */
  function drawResponses() {
    const x = points.values.sort((a, b) => a - b);
    const ofGap = (k) => (k < 0 || k > x.length - 2 ? 0 : 1 / (x[k + 1] - x[k]));
    const r = x.map((_, k) => ofGap(k) - ofGap(k - 1));
    score.dots("responses", x, r, {role: "trained", size: 6, label: "responses"});
  }

  function drawDensity(fit) {
    const x = withCorners(density.x, fit.knots);
    const {logDensity, reason} = densityOf(fit, x);
    if (!logDensity) {
      clear(density, "samples", "density");
      return [" It has no density: ", rounded(reason), "."];
    }
    const p = logDensity.map(Math.exp);
    const edges = grid(...density.x, BINS + 1);
    ends.density = steady(ends.density, Math.max(...p));
    stage.show(density, {y: [0, ends.density]});
    density.bars("samples", edges, histogram(samplesOf(fit, uniforms), edges), {role: "learned", label: "1000 exact samples"});
    density.line("density", x, p, {label: "density"});
    return [];
  }

  stage.draw(() => {
    const x = points.values;
    const problem = {x, beta: beta.value, activation: activation.value, skip: skip.value};
    list.write(x);
    start.value = Object.keys(DATA).find((name) => String(DATA[name]) === String(x)) ?? "own";
    python.write(() => asPython(problem));
    density.rug("data", x, {label: "points"});
    const fit = fitScore(problem);
    if (fit.finite) {
      drawScore(fit);
      stage.say([...certified(stage, fit), ...drawDensity(fit)]);
    } else {
      clear(score, "score", "kinks");
      clear(density, "samples", "density");
      stage.say(unbounded(stage, problem, fit));
    }
    points.draw();
  });
}

function certified(stage, fit) {
  return ["The smallest loss is ", stage.number("value", fit.value, 6), ", ", ...verdict(fit.certificate), ". Kinks: ", stage.number("kinks", fit.kinks.length), ". There is an optimum from β = ",
    stage.number("critical", fit.criticalWeightDecay), " on."];
}

function unbounded(stage, problem, {criticalWeightDecay, reason}) {
  if (criticalWeightDecay === Infinity) return [element("span", {class: "live-warns"}, "No network is optimal: "), rounded(reason), "."];
  const most = Math.max(...problem.x.map((t) => problem.x.filter((u) => u === t).length));
  const ties = most > 1 ? ` Up to ${most} points lie on one place, where one kink earns from all of them.` : "";
  return [element("span", {class: "live-warns"}, "No network is optimal: "), `β = ${written(problem.beta)} is below `,
    stage.number("critical", criticalWeightDecay), ", the critical weight decay of these points. A neuron with its kink on a data point is paid "
    + "more for its slope than weight decay takes, so the loss falls without end as it grows.", ties];
}

function withCorners([low, high], knots) {
  return [...grid(low, high, 301), ...knots.filter((t) => t > low && t < high)].sort((a, b) => a - b);
}

function inside(t, x) {
  return t >= Math.min(...x) - 0.5 && t <= Math.max(...x) + 0.5;
}

function clear(chart, ...layers) {
  for (const layer of layers) chart.clear(layer);
}
