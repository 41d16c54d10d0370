// Is a claimed score the optimal one?  Found out from the data and the claim alone, in numbers of 32 digits.
//
// The loss of the claimed network is an upper bound on the optimum.  The lower bound is the dual: with z = target
// minus score, g_j = sum_i z_i (x_i - x_j)_+ is a beam, which has to stay in a tube (chapter 7).  Where the score
// bends, the beam of the optimum is on the wall.  What it misses there is made up for by moving it onto the wall,
// which changes z at the points of contact only, by defects r.  The beam is feasible then.  So the score is the
// optimum for targets that differ by r, and its distance from the optimum at the data is at most the norm of r,
// together with what its neurons cost above the price that the beam pays for them.

import {ZERO, minus, over, pair, plus, scaled, size, sum, times} from "./double_double.mjs";
import {InputError, problemOf, thresholdOf} from "./problem.mjs";

/** @typedef {import("./double_double.mjs").Pair} Pair */
/** @typedef {import("./problem.mjs").Problem} Problem */

/**
 * @typedef {object} Claim A score: straight between its knots, which are data points, and outside them.
 * @property {ArrayLike<number>} knots Increasing; the smallest and the largest point among them.
 * @property {ArrayLike<number>} values The score there.
 * @property {number} leftSlope Before the first knot.
 * @property {number} rightSlope After the last.
 * @property {ArrayLike<number>} [valueRests] What rounding has cut off from the values; zeros if left out.
 * @property {number} [leftRest] The same of the slopes.
 * @property {number} [rightRest]
 */

/**
 * @typedef {object} Certificate
 * @property {boolean} holds Whether the claim is the optimum, to the tolerances.
 * @property {string} reason Why not; empty if it holds.
 * @property {number} primal Training loss of the claimed network.
 * @property {number} dual Value of the dual at the beam: a lower bound on the optimal loss.
 * @property {number} gap primal - dual.
 * @property {number} scale What the gap is compared with: the size of the loss, or that of a simple fit.
 * @property {number} infeasibility By how much the beam of the claim leaves its tube, over n (score matching) or
 *   over half the width of the tube (denoising).
 * @property {number} scoreError Bound on the error of the score at its knots, compared with the score there or
 *   with what is natural around it: one over the distance to the further neighbouring knot (score matching), the
 *   root mean square of the targets between those knots (denoising).
 * @property {{gap: number, infeasibility: number, scoreError: number}} tolerance Largest gap / scale, and so on.
 */

const TOLERANCE = Object.freeze({gap: 1e-8, infeasibility: 1e-9, scoreError: 1e-6});
const ROUNDING = 2e-31; // of a few operations with pairs
const NEAR = 1e-2; // of the weight decay: a kink so near to the wall is meant to be on it
const SNAP = 1e-9; // of the weight decay: an end of the beam so near to a bound is meant to be held there
const SAME = 1e-12;
const WIDE = 1e16; // of the longest distance over the shortest: what digits are lost is then of this size

/**
 * Examine a claim.
 * @param {import("./problem.mjs").Question} question
 * @param {Claim} claim
 * @returns {Certificate}
 */
export function certify(question, claim) {
  const problem = problemOf(question), critical = thresholdOf(problem);
  if (problem.beta < critical) return verdict({reason: `there is an optimum from beta = ${critical} on only`});
  const spline = splineOf(problem, claim);
  if (typeof spline === "string") return verdict({reason: spline + tooWide(problem)});
  if (problem.points.length === 1) return ofOnePoint(problem, spline);
  const found = examined(problem, spline);
  return found.holds ? found : {...found, reason: found.reason + tooWide(problem)};
}

/** What may be the matter: the score is compared with its size at every knot, and known to so many digits in all. */
function tooWide({points}) {
  const shortest = points.reduce((least, point, i) => (i > 0 ? Math.min(least, point - points[i - 1]) : least), Infinity);
  const ratio = (points[points.length - 1] - points[0]) / shortest;
  if (!(ratio > WIDE)) return "";
  return `; the longest distance between points is ${ratio.toPrecision(2)} times the shortest, for which 32 digits may be too few`;
}

function verdict(facts) {
  const {primal = NaN, dual = NaN, scale = NaN, infeasibility = NaN, scoreError = NaN, reason = ""} = facts;
  const gap = facts.gap ?? primal - dual;
  const wrong = [
    reason,
    Math.abs(gap) <= TOLERANCE.gap * scale ? "" : `the bounds on the loss are ${gap} apart`,
    infeasibility <= TOLERANCE.infeasibility ? "" : `the beam leaves its tube, by ${infeasibility} of its size`,
    scoreError <= TOLERANCE.scoreError ? "" : `the score may be wrong by ${scoreError} of its size`,
  ].filter(Boolean);
  return {
    holds: wrong.length === 0, reason: wrong[0] ?? "",
    primal, dual, gap, scale, infeasibility, scoreError, tolerance: TOLERANCE,
  };
}

/** Read a claim, in numbers of 32 digits; a sentence if it is none about these data. */
function splineOf({points, meanTarget}, claim) {
  const {knots, values, valueRests = [], leftSlope, leftRest = 0, rightSlope, rightRest = 0} = claim;
  const all = [knots, values, valueRests, [leftSlope, leftRest, rightSlope, rightRest]].flatMap((list) => Array.from(list));
  if (!all.every(Number.isFinite)) return "the claim has numbers that are not finite";
  if (knots.length !== values.length) throw new InputError("a claim needs one value for each of its knots");
  const places = new Map(Array.from(points, (point, i) => [point, i]));
  const at = Array.from(knots, (knot) => places.get(knot) ?? -1);
  const stray = at.indexOf(-1);
  if (stray >= 0) return `the knot ${knots[stray]} is no data point`;
  if (at[0] !== 0 || at[at.length - 1] !== points.length - 1 || at.some((i, k) => k > 0 && i <= at[k - 1])) {
    return "the knots must increase, from the smallest point to the largest";
  }
  const shifted = Array.from(values, (value, k) => minus(sum(value, valueRests[k] ?? 0), pair(meanTarget)));
  return {at, values: shifted, left: sum(leftSlope, leftRest), right: sum(rightSlope, rightRest)};
}

/** @typedef {Exclude<ReturnType<typeof splineOf>, string>} Spline */

/** All points are the same: constants are compared only. */
function ofOnePoint({n, spread, meanTarget}, {values: [value], left, right}) {
  if (left.hi || right.hi) return verdict({reason: "around a single point the score must be constant"});
  const noise = 8 * Number.EPSILON * Math.abs(meanTarget);
  const error = Math.max(0, Math.abs(value.hi) - noise);
  const primal = 0.5 * n * error ** 2 + spread;
  const size = Math.sqrt((2 * spread) / n) || error;
  return verdict({primal, dual: spread, scale: primal, infeasibility: 0, scoreError: error && error / size});
}

/** Where the end of the beam is near to a bound, it may be meant to be held there, or not: what is better counts. */
function examined(problem, spline) {
  const beam = follow(problem, spline.at, spline.values);
  const verdicts = offsetsOf(problem, beam).map((offset) => examinedAt(problem, spline, beam, offset));
  return verdicts.reduce((best, other) => (other.scoreError < best.scoreError ? other : best));
}

function examinedAt(problem, spline, beam, offset) {
  const kinks = kinksOf(spline, beam.slopes);
  const network = networkOf(problem, spline, kinks, offset);
  if (network.reason) return verdict({reason: network.reason});
  const contacts = contactsOf(problem, spline, kinks, beam, offset);
  const defects = defectsOf(problem, contacts.at, contacts.misses, beam.moment);
  const noise = noiseOf(problem, contacts.at, beam);
  let squares = 0;
  contacts.at.forEach((i, k) => (squares += (Math.abs(defects[k].hi) + noise[k]) ** 2 / problem.counts[i]));
  const distance = Math.sqrt(squares + 2 * (network.penalty + contacts.penalty));
  const primal = lossOf(problem, spline, kinks, beam, network.extra);
  const dual = dualValue(problem, beam, contacts.at, defects);
  return verdict({
    primal: primal.hi,
    dual: dual.hi,
    gap: minus(primal, dual).hi,
    scale: Math.max(Math.abs(primal.hi), lossOfSimpleFit(problem)),
    infeasibility: contacts.outside / (problem.level || problem.radius[0].hi),
    scoreError: relativeError(problem, spline, distance),
  });
}

/**
 * The beam of a spline through the data: z = target minus score, summed twice from the right end.
 * Its heights are known to `noise`; its slope changes at each point by z, but for `blur`.
 * @param {Problem} problem
 * @param {number[]} at Indices of the knots, from the first point to the last.
 * @param {Pair[]} values At the knots, less the mean target.
 */
export function follow({points, counts, aims, level, radius}, at, values) {
  const m = points.length;
  const slopes = at.slice(1).map((end, p) => over(minus(values[p + 1], values[p]), sum(points[end], -points[at[p]])));
  /** @type {Pair[]} */
  const scores = new Array(m);
  /** @type {Pair[]} */
  const z = new Array(m);
  /** @type {Pair[]} */
  const heights = new Array(m);
  const blur = new Float64Array(m);
  let height = ZERO, moment = ZERO, reach = 0;
  for (let i = m - 1, p = slopes.length; i >= 0; i--) {
    if (i < m - 1) height = plus(height, times(moment, sum(points[i + 1], -points[i])));
    const knot = i === at[p], sizes = Math.abs(values[p].hi) + (knot ? 0 : Math.abs(values[p + 1].hi));
    if (knot) scores[i] = values[p--];
    else scores[i] = plus(values[p], times(slopes[p], sum(points[i], -points[at[p]])));
    heights[i] = height;
    z[i] = minus(pair(aims[i]), scores[i]);
    moment = plus(moment, scaled(z[i], counts[i]));
    blur[i] = ROUNDING * (Math.abs(moment.hi) + counts[i] * (sizes + Math.abs(aims[i])));
    reach += blur[i] * (points[i] - points[0]);
  }
  return {slopes, scores, z, heights, moment, blur, noise: reach + ROUNDING * (level + radius[0].hi)};
}

/** @typedef {ReturnType<typeof follow>} FollowedBeam */

/**
 * The height of a wall: the top of the tube for side +1, the bottom for -1; at the two ends where the beam ends.
 * @param {Problem} problem
 * @param {number} i Index of a point.
 * @param {number} side
 * @param {Pair} offset Of the end of the beam, above its level.
 * @param {number} lean Its sign: of ReLU's two tubes, one for each direction of neurons, the narrower side counts.
 * @returns {Pair}
 */
export function wall(problem, i, side, offset, lean) {
  if (i === 0) return plus(pair(problem.level), offset);
  if (i === problem.points.length - 1) return ZERO;
  const middle = plus(pair(problem.centre[i]), scaled(problem.radius[i], side));
  return plus(middle, scaled(offset, tilt(problem, side, lean)));
}

/**
 * By what share of the offset of the beam's end a wall is moved.
 * @param {Problem} problem @param {number} side @param {number} lean
 */
export function tilt({skip, activation}, side, lean) {
  if (skip) return 0;
  if (activation === "abs") return 0.5;
  return side * lean < 0 ? 1 : 0;
}

/**
 * What has to be added at the contacts to the changes of slope of the beam, so that it gets onto the walls.
 * @param {Problem} problem
 * @param {number[]} at Indices of the contacts, from the first point to the last.
 * @param {Pair[]} misses By how much the beam is below the wall at each.
 * @param {Pair} moment Of the whole beam: its slope at the left end, which has to be nil.
 * @returns {Pair[]} Multiplicity times the change of z at each contact.
 */
export function defectsOf({points}, at, misses, moment) {
  const falls = at.slice(1).map((i, p) => over(minus(misses[p], misses[p + 1]), sum(points[i], -points[at[p]])));
  return at.map((_, k) => {
    const before = k > 0 ? falls[k - 1] : scaled(moment, -1);
    return k < falls.length ? minus(before, falls[k]) : before;
  });
}

/** How well the defects are known: what happens far away does not matter. */
function noiseOf({points, radius, level}, at, {heights, blur}) {
  const noise = new Float64Array(at.length);
  const walls = at.length > 2 ? radius[0].hi : 0;
  for (let p = 0; p < at.length - 1; p++) {
    const [from, to] = [at[p], at[p + 1]];
    const tall = Math.abs(heights[from].hi) + Math.abs(heights[to].hi) + walls + level;
    let all = (ROUNDING * tall) / (points[to] - points[from]);
    for (let i = from; i <= to; i++) all += blur[i];
    noise[p] += all;
    noise[p + 1] += all;
  }
  return noise;
}

/** The height of the beam's end above its level, within its bounds; and that of a bound, or zero, if one is near. */
function offsetsOf({level, low, high, beta}, {heights, noise}) {
  const offset = minus(heights[0], pair(level)), near = Math.max(SNAP * beta, noise);
  const own = minus(offset, low).hi < 0 ? low : minus(high, offset).hi < 0 ? high : offset;
  const held = [low, high, ZERO].filter((height) => (
    Math.abs(minus(offset, height).hi) <= near && minus(height, low).hi >= 0 && minus(high, height).hi >= 0
  ));
  return [...held, own];
}

/** Changes of slope at all knots, from outside to outside. */
function kinksOf({left, right}, slopes) {
  return [...slopes, right].map((slope, k) => minus(slope, k > 0 ? slopes[k - 1] : left));
}

/**
 * What the neurons at the two ends cost above what the beam pays for them, and those that carry a slope that the
 * others cannot.
 */
function networkOf(problem, {at, values, left, right}, kinks, offset) {
  const {beta, denoising, counts, points, turn, skip, activation, width} = problem;
  const last = kinks.length - 1, lean = Math.sign(offset.hi);
  const sizes = sizesAt(problem, at, values.map((value) => value.hi));
  let steep = 0; // slopes, or what is natural if the score is nothing but rounding
  for (let p = 0; p < last; p++) steep += (sizes[p] + sizes[p + 1]) / (points[at[p + 1]] - points[at[p]]);
  const end = (kink, i) => {
    const count = denoising ? 0 : turn * counts[i];
    const room = kink > 0 ? minus(sum(beta, -count), offset) : plus(pair(beta), offset);
    return (Math.abs(kink) / turn) * Math.max(0, room.hi);
  };
  const penalty = end(kinks[0].hi, 0) + end(-kinks[last].hi, points.length - 1);
  if (skip) return {penalty, extra: ZERO, reason: ""};
  if (activation === "abs") {
    const beyond = Math.abs(plus(left, right).hi);
    if (beyond > SAME * steep) return {penalty, extra: ZERO, reason: "the outer slopes are not opposite"};
    return {penalty: penalty + 2 * beta * Math.max(0, beyond - ROUNDING * steep), extra: ZERO, reason: ""};
  }
  let facingLeft = kinks[last], free = [ZERO, ZERO];
  at.forEach((i, k) => {
    if (k === 0 || k === last) return;
    const side = Math.sign(kinks[k].hi);
    if (lean === 0) free = free.map((total, s) => (side === 2 * s - 1 ? plus(total, kinks[k]) : total));
    else if (tilt(problem, side, lean)) facingLeft = plus(facingLeft, kinks[k]);
  });
  // The slope of a pair back to back, one facing right and one facing left.
  const slope = plus(left, facingLeft), ends = free.map((total) => plus(slope, total));
  const spare = ends[0].hi > 0 ? ends[0] : ends[1].hi < 0 ? ends[1] : ZERO;
  const room = minus(width, scaled(offset, Math.sign(spare.hi)));
  const beyond = Math.max(0, Math.abs(spare.hi) - ROUNDING * steep);
  return {penalty: penalty + beyond * Math.max(0, room.hi), extra: times(size(spare), width), reason: ""};
}

/** Where the beam is on the wall, or meant to be; and what kinks elsewhere cost above what the beam pays for them. */
function contactsOf(problem, {at}, kinks, beam, offset) {
  const lean = Math.sign(offset.hi), last = problem.points.length - 1;
  const forces = new Map(at.map((i, k) => [i, kinks[k].hi]));
  const near = NEAR * problem.beta;
  const found = [];
  let most = beam.noise, outside = 0, far = 0, loose = 0;
  for (let i = 0; i <= last; i++) {
    const inner = i > 0 && i < last, force = inner ? forces.get(i) ?? 0 : 0;
    const misses = (inner ? [1, -1] : [1]).map((side) => minus(wall(problem, i, side, offset, lean), beam.heights[i]));
    const rooms = misses.map((miss, k) => (inner ? (k ? -miss.hi : miss.hi) : -Math.abs(miss.hi)));
    outside = Math.max(outside, ...rooms.map((room) => -room));
    // A kink asks for one of the walls.  If that is far away, its neuron costs more than the beam pays.
    const asked = force > 0 ? 0 : force < 0 ? 1 : -1, there = asked >= 0 && rooms[asked] <= near;
    if (asked >= 0 && !there) {
      far += Math.abs(force) * rooms[asked];
      loose += Math.abs(force);
    }
    const which = there ? asked : rooms.length > 1 && rooms[1] < rooms[0] ? 1 : 0, room = rooms[which];
    const meant = there || !inner;
    if (meant || room < 0) most = Math.max(most, Math.abs(room));
    found.push({i, miss: misses[which], room, meant});
  }
  // The beam is moved by `most` at most: where it has no more room than that, it is put on the wall, too.
  const touching = found.filter(({meant, room}) => meant || room <= most);
  return {
    at: touching.map(({i}) => i), misses: touching.map(({miss}) => miss),
    outside: Math.max(0, outside - beam.noise), penalty: far + loose * most,
  };
}

/** The training loss of the claimed network. */
function lossOf({counts, points, beta, turn, denoising, spread}, {at, left, right}, kinks, beam, extra) {
  let total = pair(spread), weight = ZERO;
  for (let i = 0, p = 0; i < points.length; i++) {
    const off = beam.z[i];
    let term = scaled(times(off, off), 0.5);
    if (!denoising) {
      const knot = i === at[p];
      const before = p > 0 ? beam.slopes[p - 1] : left, after = p < beam.slopes.length ? beam.slopes[p] : right;
      // At a kink the loss counts the smaller of the two slopes: that neuron may act at the point or beyond it.
      term = plus(term, knot && minus(after, before).hi < 0 ? after : before);
      if (knot) p++;
    }
    total = plus(total, scaled(term, counts[i]));
  }
  for (const kink of kinks) weight = plus(weight, size(kink));
  return plus(plus(total, scaled(weight, beta / turn)), extra);
}

/** The value of the dual at the beam that has been moved onto its walls. */
function dualValue({counts, aims, spread}, beam, at, defects) {
  const moved = beam.z.slice();
  at.forEach((i, k) => (moved[i] = plus(moved[i], over(defects[k], pair(counts[i])))));
  let total = pair(spread);
  moved.forEach((z, i) => {
    const gain = minus(scaled(z, aims[i]), scaled(times(z, z), 0.5));
    total = plus(total, scaled(gain, counts[i]));
  });
  return total;
}

/** The size of the loss of the fitted Gaussian, n / (2 variance); for denoising of the best constant. */
function lossOfSimpleFit({n, points, counts, aims, spread, denoising}) {
  const total = (values) => values.reduce((sofar, value, i) => sofar + counts[i] * value, 0);
  if (denoising) return 0.5 * total(aims.map((aim) => aim ** 2)) + spread;
  const away = points.map((point) => point - points[0]), centre = total(away) / n;
  return n ** 2 / (2 * total(away.map((place) => (place - centre) ** 2)));
}

/** The error at every knot, compared with the score there, and with what is natural around it. */
function relativeError(problem, {at, values}, distance) {
  const sizes = sizesAt(problem, at, values.map((value) => value.hi));
  const rounding = (value) => 2 * Number.EPSILON * Math.abs(value.hi);
  const errors = values.map((value, k) => distance / Math.sqrt(problem.counts[at[k]]) + rounding(value));
  return Math.max(...errors.map((error, k) => (error === 0 ? 0 : error / sizes[k])));
}

/**
 * With what an error of the score at each knot is compared: see `scoreError` of a Certificate.
 * @param {Problem} problem
 * @param {number[]} at Indices of the knots.
 * @param {number[]} values
 * @returns {number[]}
 */
export function sizesAt({points, counts, aims, denoising}, at, values) {
  const last = at.length - 1;
  if (!denoising) {
    const span = (k) => (k >= 0 && k < last ? points[at[k + 1]] - points[at[k]] : 0);
    return values.map((value, k) => Math.max(Math.abs(value), 1 / Math.max(span(k), span(k - 1))));
  }
  const rms = (from, end) => {
    let mass = 0, squares = 0;
    for (let i = from; i < end; i++) {
      mass += counts[i];
      squares += counts[i] * aims[i] ** 2;
    }
    return Math.sqrt(squares / mass);
  };
  const all = rms(0, counts.length);
  const around = (p) => (p >= 0 && p < last ? rms(at[p], at[p + 1] + Number(p === last - 1)) : 0);
  return values.map((value, k) => Math.max(Math.abs(value), Math.max(around(k - 1), around(k)) || all));
}
