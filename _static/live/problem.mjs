// What training in one dimension asks: the data, checked, sorted and tallied, and the tube of the dual.

import {minus, pair, plus, sum} from "./double_double.mjs";

/** @typedef {import("./double_double.mjs").Pair} Pair */

/**
 * @typedef {object} Question
 * @property {ArrayLike<number>} x Data, n numbers in any order; they may repeat.
 * @property {ArrayLike<number>|null} [targets] One for each point, for denoising; null for score matching.
 * @property {number} beta Weight decay, above 0: the loss is a sum over the points.
 * @property {"relu"|"abs"} [activation]
 * @property {boolean} [skip] Whether there is a skip connection, which costs nothing.
 */

/**
 * @typedef {object} Problem A question whose data are tallied.  There are m distinct points.
 * @property {number} n Number of points.
 * @property {Float64Array} points Distinct points, m, increasing.
 * @property {Float64Array} counts How often each occurs, m.
 * @property {Float64Array} aims Mean target at each, less the mean of all, m; zeros for score matching.
 * @property {boolean} denoising
 * @property {number} meanTarget What was taken away from the targets; 0 for score matching.
 * @property {number} spread Half the sum of squares of targets about the mean at their point.
 * @property {number} beta
 * @property {"relu"|"abs"} activation
 * @property {boolean} skip
 * @property {number} turn By how much a neuron of weight one changes the slope at its kink: 1, or 2 for abs.
 * @property {number} level Height at which the end of the beam is level: n, or 0 for denoising.
 * @property {Float64Array} centre Middle of the tube at each point: how many points stand above it and half of
 *   those at it; zeros for denoising.
 * @property {Pair[]} radius Half the width of the tube at each point.
 * @property {Pair} low How far below its level the end of the beam may be, not above 0.
 * @property {Pair} high How far above.
 * @property {Pair} width What a slope costs that two neurons carry back to back, at the point where it costs least.
 */

/** Thrown for input that cannot be used; the message says what was given, and what is allowed. */
export class InputError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "InputError";
  }
}

const MOST = 5000;
const [SHORTEST, LONGEST] = [1e-70, 1e70]; // squares of lengths, and of their ratios, are then finite

/**
 * Check a list of numbers, and copy it.
 * @param {ArrayLike<number>} values
 * @param {string} name Of the argument, for messages.
 * @returns {Float64Array}
 */
export function numbers(values, name) {
  const isList = Array.isArray(values) || (ArrayBuffer.isView(values) && "length" in values);
  if (!isList) throw new InputError(`${name} must be a list of numbers; got ${kindOf(values)}`);
  if (values.length < 1 || values.length > MOST) {
    throw new InputError(`${name} must have 1 to ${MOST} numbers; got ${values.length}`);
  }
  for (let i = 0; i < values.length; i++) {
    if (typeof values[i] !== "number" || !Number.isFinite(values[i])) {
      throw new InputError(`${name} must hold finite numbers only; number ${i + 1} is ${kindOf(values[i])}`);
    }
  }
  return Float64Array.from(values);
}

function kindOf(value) {
  if (value === null || value === undefined || typeof value === "number") return String(value);
  return `${typeof value === "object" ? "an object" : JSON.stringify(value)}`;
}

/** @param {unknown} activation @param {unknown} skip */
export function checkNetwork(activation, skip) {
  if (activation !== "relu" && activation !== "abs") {
    throw new InputError(`activation must be "relu" or "abs"; got ${kindOf(activation)}`);
  }
  if (typeof skip !== "boolean") throw new InputError(`skip must be true or false; got ${kindOf(skip)}`);
}

/**
 * Check, sort and tally what was given.
 * @param {Question} question
 * @returns {Problem}
 */
export function problemOf({x, targets = null, beta, activation = "relu", skip = false}) {
  const given = numbers(x, "x");
  checkNetwork(activation, skip);
  if (typeof beta !== "number" || !(beta > 0 && beta < Infinity)) {
    throw new InputError(`beta must be a positive finite number; got ${kindOf(beta)}`);
  }
  const sample = tallied(given, targets === null ? null : labelsOf(targets, given.length));
  return {...sample, beta, activation, skip, ...tubeOf(sample, beta, activation, skip)};
}

function labelsOf(targets, n) {
  const labels = numbers(targets, "targets");
  if (labels.length !== n) {
    throw new InputError(`targets must have one number per point; got ${labels.length} for ${n} points`);
  }
  const largest = labels.reduce((most, label) => Math.max(most, Math.abs(label)), 0);
  if (largest > LONGEST) {
    throw new InputError(`targets must be at most ${LONGEST} in size; the largest is ${largest}: rescale them`);
  }
  return labels;
}

function tallied(x, labels) {
  const n = x.length, order = Array.from(x.keys()).sort((i, j) => x[i] - x[j]);
  const meanTarget = labels ? mean(labels) : 0;
  const starts = order.flatMap((i, rank) => (rank === 0 || x[i] > x[order[rank - 1]] ? [rank] : []));
  const points = Float64Array.from(starts, (rank) => x[order[rank]]);
  checkDistances(points);
  const counts = Float64Array.from(starts, (rank, j) => (starts[j + 1] ?? n) - rank);
  const aims = new Float64Array(points.length);
  let spread = 0;
  if (labels) {
    starts.forEach((rank, j) => {
      const tied = Float64Array.from(order.slice(rank, rank + counts[j]), (i) => labels[i] - meanTarget);
      aims[j] = mean(tied);
      for (const label of tied) spread += 0.5 * (label - aims[j]) ** 2;
    });
  }
  return {n, points, counts, aims, denoising: labels !== null, meanTarget, spread};
}

function mean(values) {
  return values.reduce((total, value) => total + value, 0) / values.length;
}

function checkDistances(points) {
  let shortest = Infinity;
  for (let i = 1; i < points.length; i++) shortest = Math.min(shortest, points[i] - points[i - 1]);
  const longest = points[points.length - 1] - points[0];
  if (points.length > 1 && !(shortest >= SHORTEST && longest <= LONGEST)) {
    throw new InputError(
      `distances between distinct points must lie between ${SHORTEST} and ${LONGEST}; these go from ` +
      `${shortest} to ${longest}: rescale x, or merge points`
    );
  }
}

/** The tube: see the properties of a Problem with these names. */
function tubeOf({n, counts, denoising}, beta, activation, skip) {
  const relu = activation === "relu", turn = relu ? 1 : 2, m = counts.length;
  const share = denoising ? 0 : 1;
  const half = relu ? beta : beta / 2;
  const radius = Array.from(counts, (count) => sum(half, (-share * count) / 2));
  let above = n;
  const centre = Float64Array.from(counts, (count) => {
    above -= count;
    return denoising ? 0 : above + count / 2;
  });
  let low = pair(-beta), high = sum(beta, -share * turn * Math.max(counts[0], counts[m - 1]));
  const width = sum(2 * beta, -share * counts.subarray(1, -1).reduce((most, k) => Math.max(most, k), 0));
  if (relu && m > 2) {
    // Beyond this the two walls of ReLU networks, one for each direction, would cross.
    if (plus(width, low).hi < 0) low = pair(-width.hi, -width.lo);
    if (minus(width, high).hi < 0) high = width;
  }
  if (skip) low = high = pair(0);
  return {turn, level: denoising ? 0 : n, centre, radius, low, high, width};
}

/**
 * The smallest weight decay at which score matching has a finite optimum: with k the largest number of times
 * that a point occurs and e that of the two end points, max(k/2, e) for ReLU, max(k, e) for the absolute value,
 * max(k, 2e) for that with a skip connection.  A skip connection needs two distinct points: Infinity.
 * Denoising always has an optimum: 0.
 * @param {Pick<Problem, "counts" | "denoising" | "activation" | "skip">} problem
 * @returns {number}
 */
export function thresholdOf({counts, denoising, activation, skip}) {
  if (denoising) return 0;
  if (skip && counts.length < 2) return Infinity;
  const most = Math.max(...counts), ends = Math.max(counts[0], counts[counts.length - 1]);
  return activation === "relu" ? Math.max(most / 2, ends) : Math.max(most, skip ? 2 * ends : ends);
}
