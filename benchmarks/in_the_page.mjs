// How long the solver of the pages takes for problems of one size, in milliseconds; timed where it runs.

import {fitScore, randomGenerator} from "../_static/live/solver.mjs";

const TIMES_CRITICAL = [1, 1.02, 1.5, 4, 20]; // weight decays of score matching, over the smallest possible one
const SHARES = [1e-3, 0.01, 0.1, 1, 5]; // weight decays of denoising, over the square root of the number of points

/** Samples of many kinds: normal, with heavy tails, in two groups, skewed, rounded. */
function samples(n, seed) {
  const {normal, uniform} = randomGenerator(seed);
  const kinds = [
    () => normal(),
    () => Math.tan(Math.PI * (uniform() - 0.5)),
    () => 0.3 * normal() + (uniform() < 0.5 ? -4 : 4),
    () => Math.exp(normal()),
    () => Math.round(20 * normal()) / 20,
  ];
  return kinds.map((draw) => Array.from({length: n}, draw));
}

function questions({n, activation, skip, denoising, repeats}) {
  const {normal} = randomGenerator(n);
  const noisy = (x) => x.map((point) => normal() - point);
  const critical = (x) => fitScore({x, beta: 1e-6, activation, skip}).criticalWeightDecay;
  return Array.from({length: repeats}, (_, seed) => samples(n, seed)).flat().flatMap((x) => (denoising
    ? SHARES.map((share) => ({x, targets: noisy(x), beta: share * Math.sqrt(n), activation, skip}))
    : TIMES_CRITICAL.map((times) => ({x, beta: times * critical(x), activation, skip}))));
}

/** Median and largest time of a fit with its certificate, each the best of seven, once all code is compiled. */
export function timed(options) {
  const asked = questions(options);
  for (const question of asked) fitScore(question);
  const times = asked.map((question) => {
    let best = Infinity, fit;
    for (let run = 0; run < 7; run++) {
      const begin = performance.now();
      fit = fitScore(question);
      best = Math.min(best, performance.now() - begin);
    }
    if (!fit.certificate.holds) throw new Error(`not certified: ${JSON.stringify({...question, x: "…"})}`);
    return best;
  });
  times.sort((a, b) => a - b);
  return {problems: times.length, median: times[times.length >> 1], worst: times[times.length - 1]};
}
