// The exact optimum of training in one dimension: what pages call.

import {solve} from "./active_set.mjs";
import {certify, follow, sizesAt, wall} from "./certificate.mjs";
import {minus, pair, plus, scaled} from "./double_double.mjs";
import {problemOf, thresholdOf} from "./problem.mjs";
import {liftOf, sharpened} from "./sharpen.mjs";

export {annealedStep, chooseWeightDecay} from "./choose.mjs";
export {certify} from "./certificate.mjs";
export {densityOf, quantile, samplesOf} from "./density.mjs";
export {InputError} from "./problem.mjs";
export {randomGenerator} from "./random.mjs";

/** @typedef {import("./double_double.mjs").Pair} Pair */
/** @typedef {import("./problem.mjs").Problem} Problem */
/** @typedef {import("./problem.mjs").Question} Question */

const ROUNDING = 8 * Number.EPSILON;

/**
 * @typedef {object} Beam The dual optimum, chapter 7: a thin beam threaded through a tube around the centre line.
 *   Heights are counts of points for score matching, target times distance for denoising.
 * @property {Float64Array} position Distinct points, m, increasing, in the units of x.
 * @property {Float64Array} centre Middle of the tube, m: the rank line, half of the points at each counted; zeros
 *   for denoising.
 * @property {Float64Array} lower Bottom of the tube, m.  At the first point the lowest place for the beam's end, at
 *   the last point 0, where the beam ends.
 * @property {Float64Array} upper Top of the tube.
 * @property {Float64Array} height The beam.  It bends by z = target minus score at each point.
 * @property {number} offset Height of the beam's left end above its level, which is n, or 0 for denoising.
 * @property {{index: number, position: number, height: number, side: 1|-1, force: number}[]} contacts Where a wall
 *   pushes: the point, whether the top (+1) or the bottom (-1) pushes, and the force, which is the change of slope
 *   of the score there; at the first and the last point the part that neurons there make.
 */

/**
 * @typedef {object} Fit An optimal score.  K knots; slopes are score units over units of x.
 * @property {true} finite
 * @property {number} criticalWeightDecay Smallest beta with a finite optimum; 0 for denoising.
 * @property {number} value Optimal training loss.
 * @property {Float64Array} knots Increasing, K: where the score bends, and the smallest and largest point.
 * @property {Float64Array} values The score there, K.
 * @property {number} leftSlope Slope before the first knot.
 * @property {number} rightSlope Slope after the last.
 * @property {Float64Array} slopes Of all K + 1 pieces, from left to right.
 * @property {Float64Array} kinks The knots at which the score bends.
 * @property {number} gap Upper minus lower bound on the loss, from the certificate.
 * @property {number} scoreError Bound on the error of the score, compared with its size; from the certificate.
 * @property {import("./certificate.mjs").Certificate} certificate Recomputed from the data and the claim alone.
 * @property {import("./certificate.mjs").Claim} claim What is certified: all points of contact, to 32 digits.
 * @property {Beam} beam
 * @property {{beta: number, activation: "relu"|"abs", skip: boolean, denoising: boolean, n: number}} question
 */

/**
 * @typedef {object} NotFinite Score matching below the critical weight decay: the loss has no lower bound.
 * @property {false} finite
 * @property {number} criticalWeightDecay Infinity where no weight decay is enough.
 * @property {number} value -Infinity.
 * @property {string} reason A sentence that says why, and what to do.
 */

/**
 * Train a two-layer network on the line to the global optimum: score matching, or with targets denoising.
 * @param {Question} question
 * @returns {Fit|NotFinite}
 */
export function fitScore(question) {
  const problem = problemOf(question);
  const critical = thresholdOf(problem);
  if (problem.beta < critical) return notFinite(problem, critical);
  const one = problem.points.length === 1;
  const {claim, score, contacts, offset, heights} = one ? constantFit(problem) : trained(problem);
  const certificate = certify(question, claim);
  return {
    finite: true,
    criticalWeightDecay: critical,
    value: certificate.primal,
    ...score,
    gap: certificate.gap,
    scoreError: certificate.scoreError,
    certificate,
    claim,
    beam: beamOf(problem, heights, offset, contacts),
    question: {
      beta: problem.beta, activation: problem.activation, skip: problem.skip, denoising: problem.denoising,
      n: problem.n,
    },
  };
}

/**
 * Smallest weight decay with a finite optimum; see `thresholdOf`.
 * @param {Omit<Question, "beta">} question
 * @returns {number}
 */
export function criticalWeightDecay(question) {
  return thresholdOf(problemOf({...question, beta: 1}));
}

function notFinite({beta, activation, skip, counts}, critical) {
  const most = Math.max(...counts);
  const reason = critical === Infinity
    ? "a skip connection needs at least two distinct points: with one, its slope lowers the loss without limit"
    : `beta = ${beta} is below ${critical}, the smallest weight decay at which the training loss of the ` +
      `${activation} network ${skip ? "with" : "without"} skip connection has a finite minimum on these data` +
      (most > 1 ? ` (points repeat, up to ${most} times, which raises it)` : "") +
      ": below it the loss goes to minus infinity";
  return {finite: false, criticalWeightDecay: critical, value: -Infinity, reason};
}

/** All points are the same: the score is nil there, or the mean of the targets. */
function constantFit({points, meanTarget, level}) {
  const knots = points.slice(), values = Float64Array.of(meanTarget);
  const outer = {leftSlope: 0, rightSlope: 0};
  return {
    claim: {knots, values, ...outer},
    score: {knots, values, ...outer, slopes: new Float64Array(2), kinks: new Float64Array(0)},
    contacts: [], offset: -level, heights: new Float64Array(1),
  };
}

function trained(problem) {
  const draft = sharpened(problem, solve(problem));
  const beam = follow(problem, draft.at, draft.values);
  const sizes = sizesAt(problem, draft.at, draft.values.map((value) => value.hi));
  // How well slopes are known in doubles.
  const blur = beam.slopes.map((_, p) => {
    const span = problem.points[draft.at[p + 1]] - problem.points[draft.at[p]];
    return ((ROUNDING / 2) * (sizes[p] + sizes[p + 1])) / span;
  });
  const ends = endsOf(problem, draft, beam.slopes);
  const outer = {
    left: minus(beam.slopes[0], scaled(ends.first, problem.turn)),
    right: plus(beam.slopes[blur.length - 1], scaled(ends.last, problem.turn)),
  };
  const kinks = beam.slopes.slice(1).map((slope, k) => {
    const kink = minus(slope, beam.slopes[k]).hi;
    return Math.abs(kink) > blur[k] + blur[k + 1] ? kink : 0;
  });
  const total = blur.reduce((sofar, one) => sofar + one, 0);
  const shown = Math.abs(minus(ends.first, ends.last).hi) > total;
  return {
    claim: claimOf(problem, draft, outer),
    score: scoreOf(problem, draft, kinks, {left: shown && ends.first.hi, right: shown && ends.last.hi}, outer, sizes),
    contacts: [
      {i: 0, side: 0, force: shown ? ends.first.hi * problem.turn : 0},
      ...kinks.map((force, k) => ({i: draft.at[k + 1], side: draft.sides[k], force})),
      {i: problem.points.length - 1, side: 0, force: shown ? ends.last.hi * problem.turn : 0},
    ].filter(({force}) => force !== 0),
    offset: draft.offset.hi,
    heights: Float64Array.from(beam.heights, (height) => height.hi),
  };
}

/**
 * The weights of the neurons at the first and at the last point, facing inwards, that carry the slope which no others
 * make. Together they cost least; a pair back to back, where a point inside repeats, may cost less still.
 */
function endsOf(problem, draft, slopes) {
  const {activation, skip, low, high, counts, denoising, beta, points, width} = problem;
  const none = {first: pair(0), last: pair(0)};
  const atLow = minus(draft.offset, low).hi === 0, atHigh = minus(draft.offset, high).hi === 0;
  if (skip || !(atLow || atHigh)) return none;
  const level = activation === "relu" && draft.lean === 0;
  const {lift} = liftOf(problem, draft, slopes, level ? 1 : draft.lean);
  if (level && lift.hi <= 0) return none;
  const m = points.length, far = Math.abs(draft.offset.hi);
  if (activation === "relu" && m > 2 && far < beta && far === width.hi) return none;
  if (lift.hi > 0 && counts[0] !== counts[m - 1] && !denoising) {
    // Of two ends with different numbers of points the one with more lowers the loss more.
    return counts[0] > counts[m - 1] ? {...none, first: lift} : {...none, last: scaled(lift, -1)};
  }
  return {first: scaled(lift, 0.5), last: scaled(lift, -0.5)};
}

function claimOf({points, meanTarget}, {at, values}, {left, right}) {
  const shifted = values.map((value) => plus(value, pair(meanTarget)));
  return {
    knots: Float64Array.from(at, (i) => points[i]),
    values: Float64Array.from(shifted, (value) => value.hi),
    valueRests: Float64Array.from(shifted, (value) => value.lo),
    leftSlope: left.hi, leftRest: left.lo, rightSlope: right.hi, rightRest: right.lo,
  };
}

/** The score in doubles, without kinks that are nothing but rounding. */
function scoreOf({points, meanTarget}, {at, values}, kinks, bends, outer, sizes) {
  const last = at.length - 1;
  const kept = at.map((_, k) => k).filter((k) => k === 0 || k === last || kinks[k - 1] !== 0);
  const knots = Float64Array.from(kept, (k) => points[at[k]]);
  const heights = Float64Array.from(kept, (k) => plus(values[k], pair(meanTarget)).hi);
  const inner = Array.from(kept.slice(1), (_, p) => (heights[p + 1] - heights[p]) / (knots[p + 1] - knots[p]));
  // What rounding leaves of a level tail would decide whether there is a density.
  const tail = (end, piece, slope) => {
    const outside = slope ? slope.hi : inner[piece], own = slope ? Math.abs(slope.hi - inner[piece]) : 0;
    const scale = 2 * Math.abs(meanTarget) + sizes[kept[piece]] + sizes[kept[piece + 1]];
    const noise = (ROUNDING * scale) / (knots[piece + 1] - knots[piece]) + ROUNDING * own;
    if (Math.abs(outside) > noise) return outside;
    if (!own) heights[end] = heights[end === 0 ? 1 : end - 1];
    return 0;
  };
  const leftSlope = tail(0, 0, bends.left && outer.left);
  const rightSlope = tail(knots.length - 1, inner.length - 1, bends.right && outer.right);
  const slopes = Float64Array.of(leftSlope, ...knots.subarray(1).map((knot, p) => (
    (heights[p + 1] - heights[p]) / (knot - knots[p])
  )), rightSlope);
  const bent = knots.filter((_, k) => slopes[k] !== slopes[k + 1]);
  return {knots, values: heights, leftSlope, rightSlope, slopes, kinks: bent};
}

function beamOf(problem, height, offset, contacts) {
  const {points, centre, level, low, high} = problem, last = points.length - 1;
  const lean = Math.sign(offset), end = pair(offset);
  const side = (sign, bound) => Float64Array.from(points, (_, i) => (
    i > 0 && i < last ? wall(problem, i, sign, end, lean).hi : i < last ? level + bound.hi : 0
  ));
  return {
    position: points, centre, lower: side(-1, low), upper: side(1, high), height, offset,
    contacts: contacts.map(({i, side: wallSide, force}) => ({
      index: i, position: points[i], height: height[i], side: wallSide || (offset > 0 ? 1 : -1), force,
    })),
  };
}

/**
 * The score at some places.
 * @param {{knots: ArrayLike<number>, values: ArrayLike<number>, slopes: ArrayLike<number>}} fit
 * @param {number|ArrayLike<number>} t
 * @returns {number|Float64Array} A number for a number, else one for each.
 */
export function scoreAt({knots, values, slopes}, t) {
  if (typeof t !== "number") return Float64Array.from(t, at);
  return at(t);

  function at(place) {
    let low = 0, high = knots.length; // the number of knots at or below the place
    while (low < high) {
      const middle = (low + high) >> 1;
      if (knots[middle] <= place) low = middle + 1;
      else high = middle;
    }
    // From the end with the smaller value: from the other, if it is much larger, digits would be lost.
    const inside = low > 0 && low < knots.length;
    const from = inside && Math.abs(values[low]) < Math.abs(values[low - 1]) ? low : Math.max(low - 1, 0);
    return values[from] + slopes[low] * (place - knots[from]);
  }
}
