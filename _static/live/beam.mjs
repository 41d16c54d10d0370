/** Beam in a tube: the dual of score matching for the reader's points, while they and the weight decay change. */

import {fitScore, scoreAt} from "./solver.mjs";
import {around, asPython, element, grid, steady, verdict, written} from "./stage.mjs";

// Forty points of two Gaussians at −2 and 2.
const START = [
  -4.33, -3.25, -3.01, -2.74, -2.7, -2.67, -2.65, -2.62, -2.55, -2.54, -2.46, -2.16, -2.13, -1.87, -1.79, -1.59, -1.36,
  -1.22, -1.1, -0.7, 0.73, 1.08, 1.27, 1.68, 1.78, 1.79, 1.86, 1.87, 2.04, 2.09, 2.1, 2.22, 2.34, 2.35, 2.36, 2.54,
  2.95, 3.04, 3.37, 3.49,
];
const exact = (t) => 2 * Math.tanh(2 * t) - t; // their score
const MOST = 120;
const STEPS = 90; // of the weight decay, along the path
const SLICE = 8; // milliseconds of a frame for the path

export default function beamInATube(stage) {
  const beta = stage.slider({
    label: "weight decay β", min: 1.02, max: 40, value: 6, log: true,
  });
  const activation = stage.choice({label: "neurons:", options: {relu: "ReLU", abs: "absolute value"}, value: "relu"});
  const skip = stage.toggle({label: "skip connection"});
  stage.player({
    label: "weight decay falls by itself",
    perSecond: 15,
    step: () => {
      const last = beta.value <= beta.min;
      beta.value = last ? beta.max : beta.value / 1.03;
      return beta.value > beta.min;
    },
  });
  stage.button({label: "The first points again", pressed: () => put(START)});
  const beam = stage.chart({title: "the beam in its tube", x: [-5, 5], y: [-20, 60], xlabel: "x", ylabel: "height"});
  const score = stage.chart({title: "the score", x: [-5, 5], y: [-5, 5], xlabel: "x", ylabel: "s(x)"});
  const path = stage.chart({
    title: "the kinks for every weight decay", x: [1.02, 40], y: [-5, 5], xlabel: "weight decay β", ylabel: "kinks",
    logx: true, wide: true, shape: 0.3,
  });
  const points = stage.points({chart: beam, values: START, most: MOST, typed: () => put(points.values)});
  const list = stage.numbers({label: "all points", entered: put});
  const python = stage.copy({label: "The same in Python"});
  const walk = new Walk(stage);
  let top = 5;
  path.onDrag((x) => {
    beta.value = Number(x.toPrecision(3));
    stage.redraw();
  });

  function put(values) {
    if (values.length < 2 || values.length > MOST) throw new Error(`Two to ${MOST} points, please; these are ${values.length}.`);
    points.values = values;
    const x = around(values, 0.1, 2);
    for (const chart of [beam, score]) stage.show(chart, {x});
    stage.show(path, {y: x});
    points.step = (x[1] - x[0]) / 1000;
  }

  function drawBeam(fit) {
    const {position, centre, lower, upper, height, contacts} = fit.beam;
    const n = points.values.length;
    stage.show(beam, {y: [-n / 2, 1.5 * n]});
    beam.band("tube", position, lower, upper, {label: "tube"});
    beam.line("rank", position, centre, {role: "plain", label: "rank line"});
    beam.line("beam", position, height, {label: "beam"});
    const pushes = contacts.filter(({index}) => index > 0 && index < position.length - 1); // the ends bend nothing
    const at = pushes.map((push) => push.position);
    const feet = pushes.map((push) => push.height);
    const tails = pushes.map(({force}, k) => feet[k] + Math.sign(force) * 0.5 * n * Math.sqrt(Math.abs(force) / (Math.abs(force) + 2)));
    beam.arrows("pushes", at, tails, at, feet, {label: "push of the wall"});
    beam.dots("contacts", at, feet, {role: "printed", size: 4});
    return pushes;
  }

  function drawScore(fit) {
    const [low, high] = score.x;
    const x = [...grid(low, high, 201), ...fit.knots.filter((t) => t > low && t < high)].sort((a, b) => a - b);
    const s = scoreAt(fit, x);
    top = steady(top, Math.max(...scoreAt(fit, fit.beam.position).map(Math.abs)));
    stage.show(score, {y: [-top, top]});
    if (String(points.values) === String(START)) score.line("exact", x, x.map(exact), {role: "exact", label: "exact"});
    else score.clear("exact");
    score.line("score", x, s, {label: "optimal network"});
    score.dots("kinks", fit.kinks, scoreAt(fit, fit.kinks), {role: "printed", label: "its kinks"});
    score.rug("data", fit.beam.position, {label: "points"});
  }

  stage.draw(() => {
    const problem = {x: points.values, activation: activation.value, skip: skip.value};
    list.write(problem.x);
    python.write(() => asPython({...problem, beta: beta.value}));
    points.draw();
    const fit = fitScore({...problem, beta: beta.value});
    walk.follow(problem, path.x);
    walk.draw(path);
    path.rules("now", {x: [beta.value], role: "printed", label: "β now: drag it"});
    if (fit.finite) {
      const pushes = drawBeam(fit);
      drawScore(fit);
      stage.say(told(stage, fit, pushes));
    } else {
      for (const name of ["tube", "beam", "pushes", "contacts"]) beam.clear(name);
      for (const name of ["score", "kinks"]) score.clear(name);
      stage.say([element("span", {class: "live-warns"}, "No beam fits: "), `at β = ${written(beta.value)} the tube is closed. It opens at `,
        stage.number("critical", fit.criticalWeightDecay), ", the critical weight decay of these points; below it no network is optimal."]);
    }
  });
}

/** The kinks of the optimal score along the path, found a few in each frame so that the page answers meanwhile. */
class Walk {
  constructor(stage) {
    this.stage = stage;
    this.key = "";
  }

  follow(problem, [low, high]) {
    const key = JSON.stringify(problem);
    if (key === this.key) return;
    this.key = key;
    this.problem = problem;
    this.betas = grid(Math.log(high), Math.log(low), STEPS).map(Math.exp);
    this.found = [];
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.go(), 60); // not while a point is being dragged
  }

  go() {
    const until = performance.now() + SLICE;
    while (this.found.length < this.betas.length && performance.now() < until) {
      const fit = fitScore({...this.problem, beta: this.betas[this.found.length]});
      this.found.push(fit.finite ? fit.kinks : []);
    }
    this.stage.redraw();
    if (this.found.length < this.betas.length) this.timer = setTimeout(() => this.go());
  }

  draw(chart) {
    const half = Math.sqrt(this.betas[0] / this.betas[1]);
    const [x, y] = [[], []];
    this.found.forEach((knots, k) => {
      for (const t of knots) {
        x.push(this.betas[k] * half, this.betas[k] / half, NaN);
        y.push(t, t, NaN);
      }
    });
    chart.line("kinks", x, y, {label: "a kink of the optimal network"});
  }
}

function told(stage, fit, pushes) {
  const total = pushes.reduce((sum, {force}) => sum + Math.abs(force), 0);
  return ["Inside the data the walls push at ", stage.number("contacts", pushes.length), " points, with ", stage.number("pushes", total),
    " in all, which is how much the score bends. Smallest loss: ", stage.number("value", fit.value, 6), ", ",
    ...verdict(fit.certificate), ". Critical weight decay: ", stage.number("critical", fit.criticalWeightDecay), "."];
}
