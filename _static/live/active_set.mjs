// The optimal spline in doubles, to rounding: which points of the tube the beam touches.
//
// Once it is known what the beam touches, and on which side, the loss is a quadratic in the values of the score at
// these knots, with a tridiagonal matrix.  Each round minimises it; then points at which the beam is outside the
// tube enter, the worst between neighbouring knots on either side.  A quick way lets go of all kinks of the wrong
// sign at once, as in Remez' exchange, which mostly ends after a dozen rounds.  Where it does not, a careful one goes
// downhill: on the way to the minimum it stops where a kink would turn, which then leaves.
//
// The end of the beam has a state of its own: from below it is at its lower bound, free, level (where ReLU's two
// tubes cross), free, or at its upper bound.

/** @typedef {import("./problem.mjs").Problem} Problem */

/**
 * @typedef {object} Spline
 * @property {number[]} knots Indices of points, from the first to the last.
 * @property {number[]} sign For each knot between them +1 if the beam touches the top of the tube, -1 the bottom.
 * @property {number} state Index into the states of the beam's end.
 */

/**
 * @typedef {object} Solution
 * @property {Spline} spline
 * @property {{held: string, lean: number}} end What holds the beam's end, "low", "level", "high" or "" for nothing;
 *   and the sign of its offset, for ReLU.
 * @property {number[]} values At the knots, in the units of the data, less the mean target.
 * @property {number} offset Height of the beam's end above its level.
 */

// The careful way goes through all scales one after the other where points crowd geometrically: patience pays there.
const [MOST_ROUNDS, MOST_EXCHANGES, MOST_STALLED] = [3000, 300, 100];

/**
 * Solve a problem with at least two distinct points.
 * @param {Problem} problem
 * @param {boolean} [quickly] Whether to try the quick way first.
 * @returns {Solution}
 */
export function solve(problem, quickly = true) {
  const tube = tubeOf(problem);
  const start = {knots: [0, tube.points.length - 1], sign: [], state: tube.targets ? tube.states.length >> 1 : 0};
  const {spline, values, offset} = (quickly && exchange(tube, start)) || walk(tube, start);
  return {spline, end: tube.states[spline.state], values: Array.from(values), offset};
}

/** Change all that is wrong at once, as long as that makes less of it; null if it does not get to nothing. */
function exchange(tube, spline) {
  let fewest = Infinity, stalled = 0;
  for (let round = 0; round < MOST_EXCHANGES && stalled <= MOST_STALLED; round++) {
    const spans = spansOf(tube, spline.knots), {values, offset} = bestValues(tube, spline, spans);
    const kinks = spline.sign.length, guards = guarded(tube, spline, spans, values);
    const leaving = guards.subarray(0, kinks).map((guard) => Number(guard < 0));
    const move = moveOfFreeEnd(tube, spline, offset) || (guards[kinks] < 0 ? -1 : Number(guards[kinks + 1] < 0));
    const {worst, number} = outside(tube, spline, values, offset);
    const wrong = leaving.reduce((total, one) => total + one, number + Math.abs(move));
    if (!wrong) return {spline, values, offset};
    stalled = wrong < fewest ? 0 : stalled + 1;
    fewest = Math.min(wrong, fewest);
    spline = changed(spline, leaving, worst, move);
  }
  return null;
}

/** Go downhill from the score that is nil everywhere. */
function walk(tube, spline) {
  let values = new Float64Array(2), offset = 0;
  let caution = 4, careful = 0; // rounds left in which one thing is changed at a time
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const spans = spansOf(tube, spline.knots), best = bestValues(tube, spline, spans);
    let {step, leaving, move} = longestStep(tube, spline, spans, values, best.values);
    let entering = [];
    if (step < 1) {
      if (step === 0) {
        caution *= 2; // in the end this lasts for ever, so that no circle does
        careful = caution;
      }
      for (let k = 0; k < values.length; k++) values[k] += step * (best.values[k] - values[k]);
    } else {
      ({values, offset} = best);
      move = moveOfFreeEnd(tube, spline, offset);
      entering = outside(tube, spline, values, offset).worst;
      if (!entering.length && !move) break;
      if (careful && move) entering = []; // two changes could undo each other for ever
      if (careful && entering.length) entering = [entering.reduce((a, b) => (b.excess > a.excess ? b : a))];
      careful = Math.max(0, careful - 1);
    }
    const before = spline;
    spline = changed(before, leaving, entering, move);
    values = valuesAt(tube, before.knots, values, spline.knots);
  }
  return {spline, values, offset};
}

/** Whether a free end has left its interval: up, down or not. */
function moveOfFreeEnd({states}, {state}, offset) {
  const {low, high} = states[state];
  return low < high ? Number(offset > high) - Number(offset < low) : 0;
}

/** What the rounds read of a problem, in doubles. */
function tubeOf({points, counts, aims, denoising, n, skip, activation, beta, centre, radius, level, low, high}) {
  const relu = activation === "relu" && !skip;
  return {
    points, counts, centre, level, low: low.hi, high: high.hi,
    gaps: points.map((point, i) => (i > 0 ? point - points[i - 1] : 0)),
    targets: denoising ? aims : null,
    radius: Float64Array.from(radius, (half) => half.hi),
    flat: skip || relu ? 0 : 0.5,
    steep: skip ? 0 : relu ? 1 : 0.5,
    states: statesOf(low.hi, high.hi, relu),
    tolerance: denoising ? toleranceOf(points, counts, aims, beta) : 1e-10 * n,
  };
}

/** @typedef {ReturnType<typeof tubeOf>} Tube */

/** Above rounding, and below what matters: what is left is found in more digits. */
function toleranceOf(points, counts, targets, beta) {
  let height = 0, moment = 0, highest = 0, size = 0;
  for (let i = points.length - 1; i > 0; i--) {
    moment += counts[i] * targets[i];
    height += moment * (points[i] - points[i - 1]);
    highest = Math.max(highest, Math.abs(height));
    size += counts[i] * Math.abs(targets[i]);
  }
  const span = points[points.length - 1] - points[0];
  return 1e-10 * Math.min(beta, highest || beta) + 4 * Number.EPSILON * size * span;
}

/** All states of the beam's end, from low to high; ReLU kinks lean with the sign of its offset. */
function statesOf(low, high, relu) {
  const atLow = {held: "low", low, high: low, lean: relu && low < high ? -1 : 0};
  const atHigh = {held: "high", low: high, high, lean: relu ? 1 : 0};
  const free = (from, to, lean) => (from < to ? [{held: "", low: from, high: to, lean}] : []);
  if (low === high) return [atLow];
  if (!relu) return [atLow, ...free(low, high, 0), atHigh];
  return [atLow, ...free(low, 0, -1), {held: "level", low: 0, high: 0, lean: 0}, ...free(0, high, 1), atHigh];
}

/** Lengths of the pieces. */
function spansOf({points}, knots) {
  const spans = new Float64Array(knots.length - 1);
  for (let p = 0; p < spans.length; p++) spans[p] = points[knots[p + 1]] - points[knots[p]];
  return spans;
}

/** The slope that is left for the neurons at the two ends, as a vector over the knot values. */
function liftOf({flat, steep}, spans, sign, lean) {
  const pieces = spans.length, out = new Float64Array(pieces + 1);
  let before = 1;
  for (let p = 0; p < pieces; p++) {
    const after = p === pieces - 1 ? 0 : sign[p] * lean < 0 ? steep : flat;
    const perSpan = (before - after) / spans[p];
    out[p] -= perSpan;
    out[p + 1] += perSpan;
    before = after;
  }
  return out;
}

/** That slope itself. */
function liftAt({flat, steep}, spans, sign, lean, values) {
  const pieces = spans.length;
  let total = 0, before = 1;
  for (let p = 0; p < pieces; p++) {
    const after = p === pieces - 1 ? 0 : sign[p] * lean < 0 ? steep : flat;
    total += ((before - after) * (values[p + 1] - values[p])) / spans[p];
    before = after;
  }
  return total;
}

function dot(a, b) {
  let total = 0;
  for (let k = 0; k < a.length; k++) total += a[k] * b[k];
  return total;
}

/** The best values at given knots, and the height of the beam's end. */
function bestValues(tube, {knots, sign, state}, spans) {
  const {points, counts, targets, centre, radius, level} = tube, last = knots.length - 1;
  const end = tube.states[state];
  const {diagonal, mixed} = squaresOf(tube, knots);
  const lift = liftOf(tube, spans, sign, end.lean), values = new Float64Array(last + 1), response = lift.slice();
  let before = level;
  for (let p = 0; p < last; p++) {
    const at = knots[p + 1], after = p === last - 1 ? 0 : centre[at] + sign[p] * radius[at];
    const perSpan = (before - after) / spans[p];
    values[p] += perSpan;
    values[p + 1] -= perSpan;
    before = after;
    if (!targets) continue;
    const start = points[knots[p]], perLength = 1 / (points[at] - start);
    for (let i = knots[p]; i < at + Number(p === last - 1); i++) {
      const pull = counts[i] * targets[i], right = (points[i] - start) * perLength;
      values[p] += pull * (1 - right);
      values[p + 1] += pull * right;
    }
  }
  solveTridiagonal(diagonal, mixed, values, response);
  const offset = end.low < end.high ? dot(lift, values) / dot(lift, response) : end.low;
  for (let k = 0; k <= last; k++) values[k] -= offset * response[k];
  return {values, offset};
}

/**
 * The matrix of a spline's sum of squares in its knot values: its diagonal, and what is beside it.
 * @param {{points: Float64Array, counts: Float64Array}} data
 * @param {number[]} knots
 */
export function squaresOf({points, counts}, knots) {
  const last = knots.length - 1, diagonal = new Float64Array(last + 1), mixed = new Float64Array(last);
  for (let p = 0; p < last; p++) {
    const start = points[knots[p]], perSpan = 1 / (points[knots[p + 1]] - start), end = knots[p + 1];
    let onLeft = 0, onBoth = 0, onRight = 0;
    for (let i = knots[p]; i < end; i++) {
      const right = (points[i] - start) * perSpan, left = 1 - right;
      onLeft += counts[i] * left * left;
      onBoth += counts[i] * left * right;
      onRight += counts[i] * right * right;
    }
    diagonal[p] += onLeft;
    mixed[p] = onBoth;
    diagonal[p + 1] += onRight;
  }
  diagonal[last] += counts[knots[last]];
  return {diagonal, mixed};
}

/**
 * Overwrite two right-hand sides with the solutions of a symmetric tridiagonal system.
 * @param {ArrayLike<number>} diagonal @param {ArrayLike<number>} mixed Beside it.
 * @param {Float64Array} first @param {Float64Array} second
 */
export function solveTridiagonal(diagonal, mixed, first, second) {
  const last = first.length - 1, pivots = Float64Array.from(diagonal);
  for (let k = 1; k <= last; k++) {
    const factor = mixed[k - 1] / pivots[k - 1];
    pivots[k] -= factor * mixed[k - 1];
    first[k] -= factor * first[k - 1];
    second[k] -= factor * second[k - 1];
  }
  first[last] /= pivots[last];
  second[last] /= pivots[last];
  for (let k = last - 1; k >= 0; k--) {
    first[k] = (first[k] - mixed[k] * first[k + 1]) / pivots[k];
    second[k] = (second[k] - mixed[k] * second[k + 1]) / pivots[k];
  }
}

/** What must not become negative: kinks times their sign, then what lets a fixed end stay where it is. */
function guarded(tube, {sign, state}, spans, values) {
  const {low, high} = tube.states[state], kinks = sign.length;
  const guards = new Float64Array(kinks + 2);
  for (let k = 0; k < kinks; k++) {
    const bend = (values[k + 2] - values[k + 1]) / spans[k + 1] - (values[k + 1] - values[k]) / spans[k];
    guards[k] = sign[k] * bend;
  }
  const below = tube.states[state - 1], above = tube.states[state + 1];
  if (low === high && below) guards[kinks] = liftAt(tube, spans, sign, below.lean, values);
  if (low === high && above) guards[kinks + 1] = -liftAt(tube, spans, sign, above.lean, values);
  return guards;
}

/** How far one can go before a kink or the end changes sign; which kinks stop it, or where the end has to go. */
function longestStep(tube, spline, spans, values, goal) {
  const kinks = spline.sign.length;
  const room = guarded(tube, spline, spans, values), then = guarded(tube, spline, spans, goal);
  let step = 1;
  for (let k = 0; k < room.length; k++) {
    const now = Math.max(room[k], 0);
    room[k] = then[k] < 0 ? now / (now - then[k]) : Infinity;
    step = Math.min(step, room[k]);
  }
  if (step === 1) return {step, leaving: null, move: 0};
  const move = room[kinks] <= step ? -1 : room[kinks + 1] <= step ? 1 : 0;
  return {step, leaving: room.subarray(0, kinks).map((one) => Number(one <= step)), move};
}

/**
 * Where the beam is outside its tube: the worst place between neighbouring knots on either side, from right to left;
 * and the number of all places.
 */
function outside(tube, {knots}, values, offset) {
  const {points, counts, targets, centre, radius, gaps} = tube;
  const held = Math.min(Math.max(offset, tube.low), tube.high);
  const ceiling = Math.min(tube.flat * held, tube.steep * held), floor = Math.max(tube.flat * held, tube.steep * held);
  const worst = [];
  let height = 0, moment = 0, number = 0;
  for (let p = knots.length - 2; p >= 0; p--) {
    const start = points[knots[p]];
    const incline = (values[p + 1] - values[p]) / (points[knots[p + 1]] - start);
    let above = tube.tolerance, below = tube.tolerance, highest = -1, lowest = -1;
    for (let i = knots[p + 1] - 1; i >= knots[p]; i--) {
      const score = values[p] + incline * (points[i + 1] - start);
      moment += counts[i + 1] * ((targets ? targets[i + 1] : 0) - score);
      height += gaps[i + 1] * moment;
      if (i === knots[p]) break;
      const off = height - centre[i];
      const over = off - ceiling - radius[i], under = floor - radius[i] - off;
      if (over > tube.tolerance || under > tube.tolerance) number++;
      if (over > above) {
        above = over;
        highest = i;
      }
      if (under > below) {
        below = under;
        lowest = i;
      }
    }
    const top = {at: highest, side: 1, excess: above}, bottom = {at: lowest, side: -1, excess: below};
    for (const one of highest > lowest ? [top, bottom] : [bottom, top]) if (one.at >= 0) worst.push(one);
  }
  return {worst, number};
}

/** Drop the knots that are marked, and let others in, which are in falling order. */
function changed({knots, sign, state}, leaving, entering, move) {
  const next = {knots: [0], sign: [], state: state + move};
  let e = entering.length - 1;
  for (let k = 1; k < knots.length; k++) {
    for (; e >= 0 && entering[e].at < knots[k]; e--) {
      next.knots.push(entering[e].at);
      next.sign.push(entering[e].side);
    }
    if (k < knots.length - 1 && !leaving?.[k - 1]) {
      next.knots.push(knots[k]);
      next.sign.push(sign[k - 1]);
    }
  }
  next.knots.push(knots[knots.length - 1]);
  return next;
}

/** The values of a spline at other knots. */
function valuesAt({points}, knots, values, others) {
  const out = new Float64Array(others.length);
  for (let k = 0, p = 0; k < others.length; k++) {
    const at = others[k];
    while (p < knots.length - 2 && knots[p + 1] <= at) p++;
    const start = points[knots[p]], share = (points[at] - start) / (points[knots[p + 1]] - start);
    out[k] = at === knots[p] ? values[p] : at === knots[p + 1] ? values[p + 1]
      : values[p] * (1 - share) + values[p + 1] * share;
  }
  return out;
}
