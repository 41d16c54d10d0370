/**
 * Chambers of the plane: how points cut the directions of a neuron's weights.
 *
 * A point x is on for the weights u if x . u >= 0.  The lines x . u = 0 cut the circle of directions into arcs, the
 * chambers.  Which lines are the same, and in which order they come, is decided by cross products of whole numbers:
 * a double is a fraction, so that parallel and opposite points are merged rightly, and others never are.
 */

const bits = new DataView(new ArrayBuffer(8));
const FRACTION = (1n << 52n) - 1n;

/** Return a double as [m, e] with the whole number m and the value m 2^e. */
function parts(value) {
  bits.setFloat64(0, Math.abs(value));
  const word = bits.getBigUint64(0);
  const exponent = Number(word >> 52n);
  const digits = exponent ? (word & FRACTION) | (1n << 52n) : word;
  return [value < 0 ? -digits : digits, Math.max(exponent, 1) - 1075];
}

/** Return a row as whole numbers, scaled by a power of two. */
function whole(row) {
  const [[a, e], [b, f]] = row.map(parts);
  const least = a && b ? Math.min(e, f) : a ? e : f;
  return [a && a << BigInt(e - least), b && b << BigInt(f - least)];
}

const cross = ([a, b], [c, d]) => a * d - b * c;
const dot = ([a, b], [c, d]) => a * c + b * d;
const signOf = (value) => (value > 0n) - (value < 0n);
const half = ([a, b]) => (b > 0n || (b === 0n && a > 0n) ? 0 : 1);

/** Compare two directions by their angle from the first axis, in [0, 360). */
const byAngle = (v, w) => half(v) - half(w) || -signOf(cross(v, w));

/** Return a row as pairs of numbers, or say what is wrong with it. */
export function checkedPoints(points, name = "points") {
  if (!Array.isArray(points) || !points.length) throw new TypeError(`${name} must be a list of at least one pair`);
  points.forEach((row, k) => {
    if (!Array.isArray(row) || row.length !== 2 || !row.every(Number.isFinite)) {
      throw new TypeError(`${name}: entry ${k + 1} must be two finite numbers; got ${JSON.stringify(row) ?? row}`);
    }
  });
  return points;
}

/** Return a vector at length one. */
export function unit([a, b]) {
  const most = Math.max(Math.abs(a), Math.abs(b));
  const length = Math.hypot(a / most, b / most);
  return [a / most / length, b / most / length];
}

/** Return the angle of a direction in degrees, from 0 up to 360; for looking at, not for comparing. */
export function degrees([a, b]) {
  const angle = (Math.atan2(b, a) * 180) / Math.PI;
  return angle < 0 ? angle + 360 : angle;
}

/**
 * Return the distinct directions orthogonal to rows, counterclockwise from the first axis.
 *
 * Each has its unit vector u, the whole numbers v that say exactly where it points, and the rows orthogonal to it.
 */
function raysOf(rows) {
  const found = [];
  rows.forEach((row, k) => {
    const [a, b] = whole(row);
    if (!a && !b) return;
    const [c, d] = unit(row);
    found.push({v: [-b, a], u: [-d, c], rows: [k]}, {v: [b, -a], u: [d, -c], rows: [k]});
  });
  found.sort((r, s) => byAngle(r.v, s.v) || r.rows[0] - s.rows[0]);
  const rays = [];
  for (const ray of found) {
    const last = rays.at(-1);
    if (last && byAngle(last.v, ray.v) === 0) last.rows.push(...ray.rows);
    else rays.push(ray);
  }
  return rays;
}

/** Return the sign of a row just after a ray, counterclockwise: exact. */
const signAfter = (row, ray) => signOf(dot(row, ray.v)) || signOf(cross(ray.v, row));

/** Return a unit vector inside the chamber between two rays. */
function between(from, to) {
  const [a, b] = from.u;
  const sum = [a + to.u[0], b + to.u[1]];
  return signOf(cross(from.v, to.v)) === 0 ? [-b, a] : unit(sum);
}

/** Return what is between neighbouring rays, one arc for each; the whole circle if there is none. */
function arcsOf(points, rays) {
  const rows = points.map(whole);
  if (!rays.length) return [{from: null, to: null, inside: [1, 0], pattern: rows.map(() => true)}];
  return rays.map((from, i) => {
    const to = rays[(i + 1) % rays.length];
    return {from, to, inside: between(from, to), pattern: rows.map((row) => signAfter(row, from) >= 0)};
  });
}

/**
 * List the chambers of points, counterclockwise.
 *
 * @param {number[][]} points - pairs of finite numbers
 * @returns {{rays: object[], chambers: object[], lines: number, formula: number, zeros: number[], merged: number[][]}}
 *   rays {u, rows}; chambers {from, to, inside, pattern}, of which pattern[k] says whether point k is on (a point at
 *   zero always is); the number of distinct lines; the number of chambers in general position; the points at zero;
 *   and groups of points on one line through zero.
 */
export function arrangement(points) {
  checkedPoints(points);
  const rays = raysOf(points);
  return {
    rays,
    chambers: arcsOf(points, rays),
    lines: rays.length / 2,
    formula: 2 * points.length,
    zeros: points.flatMap(([a, b], k) => (a || b ? [] : [k])),
    merged: rays.slice(0, rays.length / 2).filter((ray) => ray.rows.length > 1).map((ray) => ray.rows),
  };
}

/**
 * Return the arcs on which the response of a neuron has one formula: chambers, cut at the axes for the 1-norm.
 *
 * @param {number[][]} points
 * @param {1|2} p
 */
export function arcs(points, p) {
  return arcsOf(points, raysOf(p === 1 ? [...points, [1, 0], [0, 1]] : points));
}

/** Return the p-norm of a vector. */
export const norm = ([a, b], p) => (p === 1 ? Math.abs(a) + Math.abs(b) : Math.hypot(a, b));

/** Return a vector at p-norm one. */
export const ofNorm = (u, p) => u.map((value) => value / norm(u, p));

/**
 * Return the wedge directions: rows turned by a right angle, both ways, of p-norm one.
 *
 * For p = 1 the axes count as rows.  For p = 2 a vector orthogonal to all rows does, if they do not span.
 *
 * @param {number[][]} points
 * @param {1|2} p
 * @returns {{u: number[], rows: number[]}[]} counterclockwise, each direction once; rows from points.length on are
 *   those that were added
 */
export function wedgeDirections(points, p) {
  checkedPoints(points);
  const rays = raysOf(points);
  const axes = [[1, 0], [0, 1]];
  const missing = rays.length === 0 ? axes : rays.length === 2 ? [rays[0].u] : [];
  return raysOf([...points, ...(p === 1 ? axes : missing)]).map(({u, rows}) => ({u: ofNorm(u, p), rows}));
}
