// The last digits of an optimal spline, and what touches by a hair: Newton's method in numbers of 32 digits.
//
// With the same points of contact the problem is linear, so that a step or two takes away what the beam misses on
// the walls.  What then bends to the wrong side, or is outside the tube, leaves or enters.

import {solveTridiagonal, squaresOf} from "./active_set.mjs";
import {defectsOf, follow, tilt, wall} from "./certificate.mjs";
import {ZERO, minus, pair, plus, scaled} from "./double_double.mjs";

/** @typedef {import("./double_double.mjs").Pair} Pair */
/** @typedef {import("./problem.mjs").Problem} Problem */

/**
 * @typedef {object} Draft A spline, and where its beam touches the tube.
 * @property {number[]} at Indices of the contacts, from the first point to the last.
 * @property {number[]} sides For each between them +1 at the top of the tube, -1 at the bottom.
 * @property {Pair[]} values The score at the contacts, less the mean target.
 * @property {Pair} offset Height of the beam's end above its level.
 * @property {string} held What holds it there: "low", "level", "high", or "" for nothing.
 * @property {number} lean For ReLU the sign of the offset; 0 where the end is held level.
 */

const [ROUNDS, CAREFUL, STEPS] = [60, 20, 4];
const NUDGE = 1e-6; // of the weight decay: how far the end of the beam goes first when it comes free
const ROUNDING = 1e-29; // of a few thousand operations with pairs

/**
 * @param {Problem} problem
 * @param {import("./active_set.mjs").Solution} solution
 * @returns {Draft}
 */
export function sharpened(problem, {spline, end, values, offset}) {
  /** @type {Draft} */
  let draft = {
    at: spline.knots, sides: spline.sign, values: values.map((value) => pair(value)),
    offset: end.held ? boundOf(problem, end.held) : pair(offset), held: end.held, lean: end.lean,
  };
  for (let round = 0; round < ROUNDS; round++) {
    draft = newton(problem, draft);
    const next = changed(problem, draft, round > CAREFUL);
    if (!next) break;
    draft = next;
  }
  return draft;
}

function boundOf({low, high}, held) {
  return held === "low" ? low : held === "high" ? high : ZERO;
}

/** The beam of a draft, what it misses at its contacts, and the slope left for neurons at the two ends. */
function lookAt(problem, {at, sides, values, offset, lean}) {
  const beam = follow(problem, at, values);
  const misses = at.map((i, k) => minus(wall(problem, i, sides[k - 1], offset, lean), beam.heights[i]));
  return {beam, misses, farthest: misses.reduce((most, miss) => Math.max(most, Math.abs(miss.hi)), 0)};
}

/**
 * The slope that is left for neurons at the two ends, and how it depends on the knot values.
 * @param {Problem} problem @param {Draft} draft @param {Pair[]} slopes @param {number} lean
 */
export function liftOf(problem, {at, sides}, slopes, lean) {
  const last = at.length - 1;
  const tilts = at.map((_, k) => (k === 0 ? 1 : k === last ? 0 : tilt(problem, sides[k - 1], lean)));
  const perValue = new Float64Array(at.length);
  let lift = ZERO, noise = 0;
  slopes.forEach((slope, p) => {
    const fall = tilts[p] - tilts[p + 1], perSlope = fall / (problem.points[at[p + 1]] - problem.points[at[p]]);
    lift = plus(lift, scaled(slope, fall));
    noise += ROUNDING * Math.abs(slope.hi * fall);
    perValue[p] -= perSlope;
    perValue[p + 1] += perSlope;
  });
  return {lift, perValue, noise};
}

/** Take away what the beam misses, for given contacts. */
function newton(problem, draft) {
  const {diagonal, mixed} = squaresOf(problem, draft.at);
  for (let step = 0; step < STEPS; step++) {
    const {beam, misses, farthest} = lookAt(problem, draft);
    const {lift, perValue, noise} = liftOf(problem, draft, beam.slopes, draft.lean);
    const offLevel = draft.held ? 0 : Math.abs(lift.hi) - noise;
    if ((step > 0 && farthest <= beam.noise && offLevel <= 0) || !Number.isFinite(farthest)) break;
    const move = Float64Array.from(defectsOf(problem, draft.at, misses, beam.moment), (defect) => -defect.hi);
    const response = perValue.slice();
    solveTridiagonal(diagonal, mixed, move, response);
    let rise = 0;
    if (!draft.held) {
      const dot = (vector) => vector.reduce((total, value, k) => total + value * perValue[k], 0);
      const along = dot(response);
      rise = along > 0 ? (lift.hi + dot(move)) / along : 0;
    }
    draft = {
      ...draft,
      values: draft.values.map((value, k) => plus(value, pair(move[k] - rise * response[k]))),
      offset: plus(draft.offset, pair(rise)),
    };
  }
  return draft;
}

/** Let go of what bends to the wrong side, take in what is outside, and move the end of the beam. */
function changed(problem, draft, careful) {
  const {at, lean, offset} = draft, {beam, farthest} = lookAt(problem, draft);
  if (!Number.isFinite(farthest)) return null;
  let entering = outside(problem, draft, beam, farthest);
  const end = movedEnd(problem, draft, beam);
  if (end && (careful || !entering.length)) return {...draft, ...end};
  const kinks = beam.slopes.slice(1).map((slope, k) => {
    const kink = minus(slope, beam.slopes[k]).hi;
    const noise = ROUNDING * (Math.abs(slope.hi) + Math.abs(beam.slopes[k].hi));
    return Math.abs(kink) > noise ? kink : 0;
  });
  if (careful && entering.length) {
    entering = [entering.reduce((worst, one) => (one.excess > worst.excess ? one : worst))];
  }
  const inner = draft.sides.flatMap((side, k) => (
    side * kinks[k] >= 0 || (careful && entering.length) ? [{i: at[k + 1], side}] : []
  ));
  if (!entering.length && !end && inner.length === draft.sides.length) return null;
  inner.push(...entering);
  inner.sort((a, b) => a.i - b.i);
  const next = [0, ...inner.map(({i}) => i), at[at.length - 1]];
  return {
    at: next, sides: inner.map(({side}) => side), values: next.map((i) => beam.scores[i]),
    offset, held: draft.held, lean, ...end,
  };
}

/** The worst places outside the tube between neighbouring contacts, on either side. */
function outside(problem, {at, offset, lean}, beam, farthest) {
  const found = [], most = Math.max(beam.noise, 2 * farthest);
  for (let p = 0; p < at.length - 1; p++) {
    for (const side of [1, -1]) {
      let worst = {i: -1, side, excess: most};
      for (let i = at[p] + 1; i < at[p + 1]; i++) {
        const excess = side * minus(beam.heights[i], wall(problem, i, side, offset, lean)).hi;
        if (excess > worst.excess) worst = {i, side, excess};
      }
      if (worst.i >= 0) found.push(worst);
    }
  }
  return found;
}

/** Where the end of the beam has to go; null if it may stay. */
function movedEnd(problem, draft, beam) {
  const {low, high, skip, activation, beta} = problem, {offset, held, lean} = draft;
  if (skip || minus(high, low).hi <= 0) return null; // it is held, whatever slope is left
  const relu = activation === "relu";
  if (!held) {
    if (minus(low, offset).hi >= 0) return {offset: low, held: "low", lean: relu ? -1 : 0};
    if (relu && offset.hi * lean <= 0) return {offset: ZERO, held: "level", lean: 0};
    if (minus(offset, high).hi >= 0) return {offset: high, held: "high", lean: relu && high.hi > 0 ? 1 : 0};
    return null;
  }
  const seen = (from, mayRise, mayFall) => {
    const {lift, noise} = liftOf(problem, draft, beam.slopes, from);
    return lift.hi > noise && mayRise ? 1 : lift.hi < -noise && mayFall ? -1 : 0;
  };
  const isLow = minus(offset, low).hi === 0, isHigh = minus(offset, high).hi === 0;
  let move = 0;
  if (relu && lean === 0) move = seen(-1, false, true) || (isHigh ? 0 : seen(1, true, false));
  else move = seen(lean, !isHigh, !isLow);
  if (!move) return null;
  return {offset: plus(offset, pair(move * NUDGE * beta)), held: "", lean: relu ? lean || move : 0};
}
