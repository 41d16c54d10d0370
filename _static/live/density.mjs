// The law whose score a piecewise-linear function is: a chain of truncated Gaussians.
//
// The line is cut into cells on which the log-density is almost straight, so that a short rule of Gauss finds the
// mass of each to rounding.  Beyond the data the last cell on either side reaches to infinity.

/**
 * @typedef {object} Score What a fit has: see `Fit`.
 * @property {ArrayLike<number>} knots
 * @property {ArrayLike<number>} values
 * @property {ArrayLike<number>} slopes Of all pieces, one more than knots.
 */

/**
 * @typedef {object} Cell With v the distance from `start` in direction `facing`, the log-density, but for a
 *   constant, is log + value v + slope v^2 / 2.
 * @property {number} start
 * @property {number} facing
 * @property {number} width
 * @property {number} value
 * @property {number} slope
 * @property {number} log
 */

const MOST_CELLS = 200000;
const TAIL = 9; // standard deviations after which a Gaussian tail is one cell: its mass is below 1e-18
const DROP = 40; // a cell is integrated until its log-density has dropped by this much: exp(-40) is 4e-18
const [NODES, WEIGHTS] = gaussRule(32);
/** @type {WeakMap<object, ReturnType<typeof lawOf>>} */
const known = new WeakMap();

/**
 * Why a score is that of no density; empty if it is.
 * @param {Score} score
 */
function whyNoDensity({knots, values, slopes}) {
  const last = knots.length - 1;
  const tails = [["left", -1, slopes[0], values[0]], ["right", 1, slopes[last + 1], values[last]]];
  for (const [name, outward, slope, value] of tails) {
    if (slope < 0 || (slope === 0 && +outward * +value < 0)) continue;
    const what = slope === 0 ? `is level there, with value ${value}` : `rises outwards there, with slope ${slope}`;
    return `the score does not push back towards the data on the ${name}: it ${what}`;
  }
  return "";
}

/**
 * The normalised log-density on a grid.
 * @param {Score} fit
 * @param {ArrayLike<number>} grid
 * @returns {{logDensity: Float64Array|null, reason: string}} Null, and why, if the score has no density.
 */
export function densityOf(fit, grid) {
  const {cells, ends, logTotal, reason} = law(fit);
  if (reason) return {logDensity: null, reason};
  const logDensity = Float64Array.from(grid, (place) => {
    const {start, facing, value, slope, log} = cells[countAtMost(ends, place)], v = facing * (place - start);
    return log + v * (value + (slope * v) / 2) - logTotal;
  });
  return {logDensity, reason: ""};
}

/**
 * The places below which the mass is p, each in (0, 1): the inverse of the distribution function.
 * @param {Score} fit
 * @param {number|ArrayLike<number>} p
 * @returns {number|Float64Array|null} A number for a number; null if the score has no density.
 */
export function quantile(fit, p) {
  const found = law(fit);
  if (found.reason) return null;
  return typeof p === "number" ? quantileOf(found, p) : Float64Array.from(p, (share) => quantileOf(found, share));
}

/**
 * Exact samples: one for each uniform number, in (0, 1).
 * @param {Score} fit
 * @param {ArrayLike<number>} uniforms
 * @returns {Float64Array|null} Null if the score has no density.
 */
export function samplesOf(fit, uniforms) {
  return /** @type {Float64Array|null} */ (quantile(fit, uniforms));
}

function law(fit) {
  let found = known.get(fit);
  if (!found) known.set(fit, (found = lawOf(fit)));
  return found;
}

function lawOf(score) {
  const cells = [];
  const reason = whyNoDensity(score) || cut(score, cells);
  if (reason) return {cells, ends: [], masses: [], below: [], logTotal: NaN, reason};
  const logs = cells.map(({log, value, slope, width}) => log + logMass(value, slope, width));
  const most = logs.reduce((top, one) => Math.max(top, one), -Infinity);
  const total = logs.reduce((sofar, one) => sofar + Math.exp(one - most), 0);
  const masses = logs.map((one) => Math.exp(one - most) / total);
  let sofar = 0;
  const below = masses.map((mass) => (sofar += mass) - mass);
  // Right ends of all cells but the last, which has none.
  const ends = cells.slice(0, -1).map(({start, facing, width}) => (facing > 0 ? start + width : start));
  return {cells, ends, masses, below, logTotal: most + Math.log(total), reason: ""};
}

/** Cut the line so that |slope| width^2 <= 1; a sentence if that is too much. */
function cut({knots, values, slopes}, cells) {
  const last = knots.length - 1;
  let log = 0;
  addTail(cells, {start: knots[0], facing: -1, value: -values[0], slope: slopes[0], log});
  for (let p = 0; p < last; p++) {
    const length = knots[p + 1] - knots[p], slope = slopes[p + 1];
    const pieces = Math.max(1, Math.ceil(length * Math.sqrt(Math.abs(slope)))), width = length / pieces;
    if (!(cells.length + pieces <= MOST_CELLS)) return "the density is too rough to normalise";
    for (let k = 0; k < pieces; k++) {
      const v = k * width;
      const start = knots[p] + v, value = values[p] + slope * v;
      cells.push({start, facing: 1, width, value, slope, log: log + v * (values[p] + (slope * v) / 2)});
    }
    log += 0.5 * (values[p] + values[p + 1]) * length;
  }
  addTail(cells, {start: knots[last], facing: 1, value: values[last], slope: slopes[last + 1], log});
  return cells.length <= MOST_CELLS ? "" : "the density is too rough to normalise";
}

function addTail(cells, {start, facing, value, slope, log}) {
  const width = slope < 0 ? 1 / Math.sqrt(-slope) : Infinity;
  // The peak may lie beyond the last knot.
  const count = slope < 0 ? Math.min(Math.ceil(Math.max(0, value * width) + TAIL) + 1, MOST_CELLS + 1) : 1;
  const tail = Array.from({length: count}, (_, k) => {
    const v = k > 0 ? k * width : 0;
    return {
      start: start + facing * v, facing, width: k < count - 1 ? width : Infinity,
      value: value + slope * v, slope, log: log + v * (value + (slope * v) / 2),
    };
  });
  cells.push(...(facing > 0 ? tail : tail.reverse()));
}

/** Log of the integral of exp(value v + slope v^2 / 2) from 0 to width. */
function logMass(value, slope, width) {
  const finite = width === Infinity ? 0 : width, far = value + slope * finite;
  const reach = Math.min(width, (2 * DROP) / Math.max(Math.abs(value), Math.abs(far)));
  // From the higher end, as far as the log-density matters.
  const rise = Math.max(value * finite + 0.5 * slope * finite ** 2, 0), first = rise > 0 ? -far : value;
  let total = 0;
  for (let k = 0; k < NODES.length; k++) {
    const v = 0.5 * reach * (NODES[k] + 1);
    total += WEIGHTS[k] * Math.exp(first * v + 0.5 * slope * v * v);
  }
  return rise + Math.log(0.5 * reach * total);
}

function quantileOf({cells, masses, below, logTotal}, p) {
  if (!(p > 0 && p < 1)) return p === 0 ? -Infinity : p === 1 ? Infinity : NaN;
  const at = Math.max(0, countAtMost(below, p) - 1), cell = cells[at], mass = masses[at];
  const share = Math.min(Math.max(p - below[at], 0), mass);
  const {start, facing, width, value, slope, log} = cell;
  const last = width === Infinity;
  // The mass from the start of the cell; in a tail, beyond.
  const goal = facing > 0 ? (last ? mass - share : share) : last ? share : mass - share;
  if (goal <= 0) return last ? facing * Infinity : start;
  const logGoal = Math.log(goal) - log + logTotal;
  let low = 0, high = width, v = last ? 0 : width * (facing > 0 ? share / mass : 1 - share / mass);
  for (let step = 0; step < 100; step++) {
    const here = v * (value + (slope * v) / 2);
    const held = last ? here + logMass(value + slope * v, slope, Infinity) : logMass(value, slope, v);
    const excess = (last ? logGoal - held : held - logGoal); // rises with v
    if (excess <= 0) low = v;
    if (excess >= 0) high = v;
    const next = v - excess * Math.exp(held - here);
    const middle = high < Infinity ? 0.5 * (low + high) : 2 * v + 1 / Math.abs(value || Math.sqrt(-slope));
    const before = v;
    v = next >= low && next <= high ? next : middle;
    if (Math.abs(v - before) <= 4e-16 * Math.max(v, Math.abs(start))) break;
  }
  return start + facing * v;
}

/** How many of these increasing numbers are at most a given one. */
function countAtMost(increasing, one) {
  let low = 0, high = increasing.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (increasing[middle] <= one) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Nodes in (-1, 1) and weights of Gauss and Legendre's rule, by Newton's method. */
function gaussRule(count) {
  const nodes = [], weights = [];
  for (let k = 0; k < count; k++) {
    let x = Math.cos((Math.PI * (k + 0.75)) / (count + 0.5)), slope = 1;
    for (let step = 0; step < 8; step++) {
      let before = 1, now = x;
      for (let j = 2; j <= count; j++) [before, now] = [now, ((2 * j - 1) * x * now - (j - 1) * before) / j];
      slope = (count * (x * now - before)) / (x * x - 1);
      x -= now / slope;
    }
    nodes.push(x);
    weights.push(2 / ((1 - x * x) * slope * slope));
  }
  return [nodes, weights];
}
