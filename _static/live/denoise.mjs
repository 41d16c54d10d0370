/** Denoise and sample: a score from noisy points, and samples that follow the scores from much noise to little. */

import {annealedStep, fitScore, randomGenerator, scoreAt} from "./solver.mjs";
import {asPython, grid, histogram, steady, verdict} from "./stage.mjs";

const LAWS = {one: {centres: [0], scale: 1}, two: {centres: [-2, 2], scale: 0.5}};
const POINTS = 150;
const CHAINS = 800;
const BINS = 50;
const EACH = 10; // Langevin steps at each level
const LEVELS = grid(Math.log(1.5), Math.log(0.05), 10).map((t) => Number(Math.exp(t).toPrecision(3)));
const SHOWN = [-5, 5];

export default function denoiseAndSample(stage) {
  const sigma = stage.slider({label: "noise σ", min: 0.05, max: 1.5, value: 0.6, log: true, changed: () => { chains = null; }});
  const beta = stage.slider({label: "weight decay β", min: 0.01, max: 100, value: 0.5, log: true, changed: () => { chains = null; }});
  const which = stage.choice({
    label: "data from:", options: {two: "two Gaussians", one: "one"}, value: "two", changed: fresh,
  });
  const sign = stage.choice({
    label: "target:", options: {minus: "−δ/σ", plus: "+δ/σ, as printed"}, value: "minus", changed: () => { chains = null; },
  });
  stage.button({label: "New noise", pressed: () => { seed += 1; fresh(); }});
  const player = stage.player({label: "annealed samples", perSecond: 12, step: go});
  const left = stage.chart({title: "noisy points, targets, score", x: SHOWN, y: [-6, 6], xlabel: "noisy x", ylabel: "target, s(x)"});
  const right = stage.chart({title: "samples", x: SHOWN, y: [0, 0.6], xlabel: "x", ylabel: "density"});
  const python = stage.copy({label: "The same in Python"});
  let seed = 1;
  let chains = null; // positions, level and number of steps; null before the first step
  let top = 6;

  function fresh() {
    chains = null;
    player.pause();
  }

  /** Clean points with noise of this size, each with its target. The same seed gives the same noise at every size. */
  function noisy(size) {
    const {normal} = randomGenerator(seed);
    const {centres, scale} = LAWS[which.value];
    const x = [];
    const targets = [];
    for (let k = 0; k < POINTS; k++) {
      const clean = centres[k % centres.length] + scale * normal();
      const delta = normal();
      x.push(clean + size * delta);
      targets.push(((sign.value === "minus" ? -1 : 1) * delta) / size);
    }
    return {x, targets};
  }

  function fitAt(size) {
    return fitScore({...noisy(size), beta: beta.value});
  }

  /** One Langevin step of all chains; the first call starts them, uniformly. */
  function go() {
    if (!chains || chains.level === LEVELS.length) {
      const draws = randomGenerator(seed + 1000);
      const x = Float64Array.from({length: CHAINS}, () => SHOWN[0] + (SHOWN[1] - SHOWN[0]) * draws.uniform());
      chains = {x, level: 0, step: 0, draws, score: fitAt(LEVELS[0])};
    }
    const eta = 0.2 * LEVELS[chains.level] ** 2;
    const noise = chains.x.map(() => chains.draws.normal());
    chains.x = annealedStep(scoreAt(chains.score, chains.x), chains.x, noise, eta);
    sigma.value = LEVELS[chains.level];
    chains.step += 1;
    if (chains.step % EACH === 0) {
      chains.level += 1;
      if (chains.level < LEVELS.length) chains.score = fitAt(LEVELS[chains.level]);
    }
    return chains.level < LEVELS.length;
  }

  stage.draw(() => {
    const law = LAWS[which.value];
    const data = noisy(sigma.value);
    const fit = fitScore({...data, beta: beta.value});
    const x = [...grid(...SHOWN, 201), ...fit.knots].sort((a, b) => a - b);
    const exact = x.map((t) => smoothedScore(law, sigma.value, t));
    top = steady(top, Math.max(3, ...exact.map(Math.abs)));
    stage.show(left, {y: [-top, top]});
    left.dots("targets", data.x, data.targets, {role: "plain", size: 3, label: "noisy targets"});
    left.line("exact", x, exact, {role: "exact", label: "exact score of the noisy law"});
    left.line("score", x, scoreAt(fit, x), {label: "optimal network"});
    left.dots("kinks", fit.kinks, scoreAt(fit, fit.kinks), {label: "its kinks"});
    drawSamples(law);
    python.write(() => asPython({...data, beta: beta.value}));
    stage.say(told(fit, data));
  });

  function drawSamples(law) {
    const x = grid(...SHOWN, 201);
    const edges = grid(...SHOWN, BINS + 1);
    if (chains) right.bars("samples", edges, histogram(chains.x, edges), {label: "samples"});
    else right.clear("samples");
    const p = x.map((t) => densityOfLaw(law, 0, t));
    stage.show(right, {y: [0, which.value === "two" ? 0.6 : 0.7]});
    right.line("law", x, p, {role: "exact", label: "density of the clean data"});
  }

  function told(fit, data) {
    const s = scoreAt(fit, data.x);
    const law = LAWS[which.value];
    const squares = data.x.map((t, k) => (s[k] - smoothedScore(law, sigma.value, t)) ** 2);
    const off = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / POINTS);
    const parts = [`${POINTS} points with noise σ = `, stage.number("sigma", sigma.value), ": the network is ", stage.number("error", off, 2),
      " from the exact score (root mean square at the noisy points), with ", stage.number("kinks", fit.kinks.length),
      " kinks. Its loss is ", stage.number("value", fit.value, 6), ", ", ...verdict(fit.certificate), "."];
    if (!chains) return [...parts, ` No samples yet: press Play.`];
    const away = chains.x.reduce((sum, t) => sum + (Math.abs(t) > SHOWN[1]), 0);
    return [...parts, " Samples: level ", stage.number("level", Math.min(chains.level + 1, LEVELS.length)), ` of ${LEVELS.length}, step `,
      stage.number("step", chains.step), ", ", stage.number("away", away), ` of ${CHAINS} beyond the axis.`];
  }
}

function densityOfLaw({centres, scale}, sigma, t) {
  const spread = Math.hypot(scale, sigma);
  const parts = centres.map((c) => Math.exp(-0.5 * ((t - c) / spread) ** 2));
  return parts.reduce((sum, part) => sum + part, 0) / (centres.length * spread * Math.sqrt(2 * Math.PI));
}

/** Score of the law of the data with noise: that of a mixture of wider Gaussians. */
function smoothedScore({centres, scale}, sigma, t) {
  const variance = scale ** 2 + sigma ** 2;
  const logs = centres.map((c) => (-0.5 * (t - c) ** 2) / variance);
  const most = Math.max(...logs);
  const weights = logs.map((log) => Math.exp(log - most));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return centres.reduce((sum, c, k) => sum + (weights[k] * (c - t)) / variance, 0) / total;
}
