/**
 * A certificate for networks without biases in the plane, from the data alone.
 *
 * The loss is the sum of ||s(x_k) - l_k||^2 and lambda (||u_j||_p^2 + ||a_j||_p^2), with s(x) = sum_j a_j (x . u_j)_+.
 * It is at least 2 <Q, L> - ||Q||^2 if no direction u of p-norm one has a response ||Q'(Xu)_+|| above lambda, in the
 * dual norm.  All directions are looked at, one arc after the other.  Nothing here knows how a network was found.
 */

import {arcs, checkedPoints, norm, ofNorm} from "./plane.mjs";

const TOLERANCE = 1e-9; // relative gap that a certificate may have

/** Return X' D Q on an arc as columns, one for each coordinate of the output. */
function matrix(points, pattern, Q) {
  return [0, 1].map((c) =>
    points.reduce(
      ([a, b], [x, y], k) => (pattern[k] ? [a + x * Q[k][c], b + y * Q[k][c]] : [a, b]),
      [0, 0],
    ),
  );
}

/** Return the response to Q of a neuron with the direction u of p-norm one. */
function size(columns, u, p) {
  const [a, b] = columns.map(([x, y]) => x * u[0] + y * u[1]);
  return p === 1 ? Math.max(Math.abs(a), Math.abs(b)) : Math.hypot(a, b);
}

/** Return the unit vector u, and its opposite, for which the sum of (column . u)^2 is largest. */
function leading(columns) {
  const most = Math.max(...columns.flat().map(Math.abs)); // squares of what is left neither vanish nor overflow
  const [[a, b], [c, d]] = columns.map((column) => column.map((value) => value / most));
  const angle = 0.5 * Math.atan2(2 * (a * b + c * d), a * a + c * c - b * b - d * d);
  const u = [Math.cos(angle), Math.sin(angle)];
  return [u, u.map((value) => -value)];
}

const turn = ([a, b], [c, d]) => a * d - b * c;

/** Return the directions of an arc among which one responds most: first its ends. */
function candidates({from, to, inside}, columns, p) {
  if (!from) return [inside];
  const ends = [from.u, to.u];
  if (p === 1) return ends; // there the response is linear over linear
  return [...ends, ...leading(columns).filter((u) => turn(from.u, u) > 0 && turn(u, to.u) > 0)];
}

/**
 * Return for each arc where a neuron responds most to Q, in closed form.
 *
 * @returns {{u: number[], response: number, arc: object, atEnd: boolean}[]} with u of p-norm one
 */
export function peaks(points, Q, p) {
  return arcs(points, p).map((arc) => {
    const columns = matrix(points, arc.pattern, Q);
    return candidates(arc, columns, p)
      .map((direction) => ofNorm(direction, p))
      .map((u, i) => ({u, response: size(columns, u, p), arc, atEnd: i < 2}))
      .reduce((best, other) => (other.response > best.response ? other : best));
  });
}

/** Return the response to Q at a unit vector of the plane, scaled to p-norm one. */
export function responseAt(points, Q, p, direction) {
  const u = ofNorm(direction, p);
  const pattern = points.map(([x, y]) => x * u[0] + y * u[1] > 0);
  return size(matrix(points, pattern, Q), u, p);
}

/** Return the output of a network [{u, a}, ...] at x. */
export function output(network, [x, y]) {
  return network.reduce(
    ([s, t], {u, a}) => {
      const on = Math.max(x * u[0] + y * u[1], 0);
      return [s + a[0] * on, t + a[1] * on];
    },
    [0, 0],
  );
}

/** Return the loss of a network [{u, a}, ...]. */
export function loss(points, targets, lambda, p, network) {
  const misfit = points.reduce((sum, x, k) => {
    const s = output(network, x);
    return sum + (s[0] - targets[k][0]) ** 2 + (s[1] - targets[k][1]) ** 2;
  }, 0);
  return network.reduce((sum, {u, a}) => sum + lambda * (norm(u, p) ** 2 + norm(a, p) ** 2), misfit);
}

function checkedRows(rows, name, count) {
  if (checkedPoints(rows, name).length !== count) throw new TypeError(`${name} must be as many as points`);
}

/** Say what is wrong with a task, if anything is. */
export function checkTask(points, targets, lambda, p) {
  checkedPoints(points);
  checkedRows(targets, "targets", points.length);
  if (!(lambda > 0 && lambda < Infinity)) throw new RangeError(`lambda must be positive and finite; got ${lambda}`);
  if (p !== 1 && p !== 2) throw new RangeError(`p must be 1 or 2; got ${p}`);
}

/**
 * Certify a network.
 *
 * @param {number[][]} points
 * @param {number[][]} targets
 * @param {number} lambda - positive
 * @param {1|2} p
 * @param {{u: number[], a: number[]}[]} network - first and second weights of each neuron
 * @param {number[][]} Q - any candidate; it is shrunk until no direction responds above lambda
 * @returns {{primal: number, dual: number, gap: number, largest: number, holds: boolean}} the loss, a bound below the
 *   loss of every network, their difference relative to the larger, and the largest response before shrinking
 */
export function certify(points, targets, lambda, p, network, Q) {
  checkTask(points, targets, lambda, p);
  checkedRows(Q, "Q", points.length);
  const largest = Math.max(...peaks(points, Q, p).map((peak) => peak.response));
  const shrunk = largest <= lambda ? 1 : lambda / largest; // no number, if that is none
  const primal = loss(points, targets, lambda, p, network);
  const dual = Q.reduce((sum, q, k) => {
    const [a, b] = q.map((value) => shrunk * value);
    return sum + 2 * (a * targets[k][0] + b * targets[k][1]) - a * a - b * b;
  }, 0);
  const scale = Math.max(Math.abs(primal), Math.abs(dual));
  const gap = scale === 0 ? 0 : (primal - dual) / scale;
  return {primal, dual, gap, largest, holds: Math.abs(gap) <= TOLERANCE};
}
