// The choice of the weight decay without knowing the truth, and one step of sampling.

import {densityOf} from "./density.mjs";
import {InputError, checkNetwork, numbers} from "./problem.mjs";
import {randomGenerator} from "./random.mjs";
import {criticalWeightDecay, fitScore, scoreAt} from "./solver.mjs";

const DOUBT = 1.5; // standard errors that one or two points cannot make

/**
 * @typedef {object} Choice
 * @property {Float64Array} betas Candidates, increasing, without those refused.
 * @property {Float64Array} heldOut For each the mean over the points of minus the log-density, or of s^2/2 + s', of
 *   the fit that has not seen the point.
 * @property {Float64Array} standardError Of that mean.
 * @property {number|null} best The candidate with the smallest mean; null if all are refused.
 * @property {number|null} cautious The largest candidate, and from there a smaller one only if its mean is lower by
 *   more than 1.5 standard errors of the difference.
 * @property {{beta: number, reason: string}[]} refused Candidates with a fit that has no density, or no certificate.
 */

/**
 * Choose the weight decay of score matching by cross-validation.  A fit on m of n points uses beta m / n.
 * @param {ArrayLike<number>} x
 * @param {object} [options]
 * @param {"relu"|"abs"} [options.activation]
 * @param {boolean} [options.skip]
 * @param {number} [options.folds] From 2 to n.
 * @param {number} [options.seed] Deals the points into folds.
 * @param {"likelihood"|"score"} [options.criterion] What fits are judged by at points that they have not seen.
 * @param {ArrayLike<number>|null} [options.betas] Candidates; without them twelve from the smallest possible one up.
 * @returns {Choice}
 */
export function chooseWeightDecay(x, options = {}) {
  const {activation = "relu", skip = false, folds = 5, seed = 0, criterion = "likelihood", betas = null} = options;
  const sample = numbers(x, "x"), n = sample.length;
  checkNetwork(activation, skip);
  if (!Number.isInteger(folds) || folds < 2 || folds > n) {
    throw new InputError(`folds must be a whole number from 2 to the number of points, ${n}; got ${folds}`);
  }
  if (criterion !== "likelihood" && criterion !== "score") {
    throw new InputError(`criterion must be "likelihood" or "score"; got ${JSON.stringify(criterion)}`);
  }
  const parts = dealt(sample, folds, randomGenerator(seed));
  const smallest = Math.max(...parts.map(({seen}) => (
    (criticalWeightDecay({x: seen, activation, skip}) * n) / seen.length
  )));
  const candidates = candidatesOf(betas, smallest, n);
  const losses = [], refused = [];
  for (const beta of candidates) {
    const row = new Float64Array(n);
    const reason = parts.map(({seen, unseen, places}) => {
      const fit = fitScore({x: seen, beta: (beta * seen.length) / n, activation, skip});
      if (!fit.finite) return fit.reason;
      if (!fit.certificate.holds) return fit.certificate.reason;
      const why = criterion === "likelihood" ? densityOf(fit, []).reason : "";
      if (!why) judged(fit, unseen, criterion).forEach((loss, k) => (row[places[k]] = loss));
      return why;
    }).find(Boolean);
    if (reason) refused.push({beta, reason});
    else losses.push({beta, row});
  }
  return chosen(losses, refused);
}

function dealt(sample, folds, generator) {
  const order = generator.permutation(sample.length);
  return Array.from({length: folds}, (_, fold) => {
    const places = order.filter((_, k) => k % folds === fold), mine = new Set(places);
    return {places, unseen: places.map((i) => sample[i]), seen: sample.filter((_, i) => !mine.has(i))};
  });
}

function candidatesOf(betas, smallest, n) {
  if (smallest === Infinity) {
    throw new InputError("a skip connection needs two distinct points in all folds but one; take fewer folds");
  }
  if (!betas) {
    const low = 1.25 * smallest, high = Math.max(2 * low, 0.6 * n), count = 12;
    return Float64Array.from({length: count}, (_, k) => low * (high / low) ** (k / (count - 1)));
  }
  const given = numbers(betas, "betas").sort();
  if (given[0] < smallest) {
    throw new InputError(`betas must be at least ${smallest} here, so that fits without a fold have an optimum; ` +
      `got ${given[0]}`);
  }
  return given;
}

/** How bad a fit is at points that it has not seen. */
function judged(fit, unseen, criterion) {
  if (criterion === "likelihood") return densityOf(fit, unseen).logDensity.map((log) => -log);
  return scoreAt(fit, unseen).map((score, k) => {
    const before = fit.slopes[fit.knots.filter((knot) => knot < unseen[k]).length];
    const after = fit.slopes[fit.knots.filter((knot) => knot <= unseen[k]).length];
    return 0.5 * score ** 2 + 0.5 * (before + after);
  });
}

function chosen(losses, refused) {
  const means = losses.map(({row}) => summary(row));
  let best = 0, taken = losses.length - 1;
  means.forEach(({mean}, k) => (best = mean < means[best].mean ? k : best));
  for (let lower = taken - 1; lower >= 0; lower--) {
    const gain = summary(losses[taken].row.map((loss, i) => loss - losses[lower].row[i]));
    if (gain.mean > DOUBT * gain.error) taken = lower;
  }
  return {
    betas: Float64Array.from(losses, ({beta}) => beta),
    heldOut: Float64Array.from(means, ({mean}) => mean),
    standardError: Float64Array.from(means, ({error}) => error),
    best: losses[best]?.beta ?? null,
    cautious: losses[taken]?.beta ?? null,
    refused,
  };
}

/** Mean, and its standard error. */
function summary(row) {
  const n = row.length, mean = row.reduce((total, value) => total + value, 0) / n;
  const squares = row.reduce((total, value) => total + (value - mean) ** 2, 0);
  return {mean, error: Math.sqrt(squares / (n - 1) / n)};
}

/**
 * One step of Langevin dynamics: position + step score + sqrt(2 step) noise.
 * @param {ArrayLike<number>} scores At the positions, k.
 * @param {ArrayLike<number>} positions
 * @param {ArrayLike<number>} noise Standard normal numbers, k.
 * @param {number} stepSize
 * @returns {Float64Array}
 */
export function annealedStep(scores, positions, noise, stepSize) {
  const wide = Math.sqrt(2 * stepSize);
  return Float64Array.from(positions, (position, k) => position + stepSize * scores[k] + wide * noise[k]);
}
