/**
 * Training without biases in the plane: the wedge program, and the same with all directions.
 *
 * For given directions the problem is a group Lasso, min 1/2 ||KZ - L||^2 + lambda sum_j ||Z_j||_p, with the features
 * K_j = (X u_j)_+.  For the 1-norm the wedge directions are all that is needed.  For the 2-norm the directions where the
 * dual is violated are added until none is.
 */

import {norm, unit, wedgeDirections} from "./plane.mjs";
import {certify, checkTask, peaks} from "./plane_check.mjs";
import {GroupLasso} from "./plane_group.mjs";
import {lasso} from "./plane_lasso.mjs";
import {Polish} from "./plane_polish.mjs";

const ROUNDS = 30;
const CLOSED = 1e-12; // relative gap over all directions to stop at

const sum = (list, f) => list.reduce((total, item, k) => total + f(item, k), 0);
const largestOf = (rows) => Math.max(...rows.flat().map(Math.abs)) || 1;

/** Return the network with coefficients z for directions of p-norm one; its two layers have one p-norm. */
function networkOf(neurons, p) {
  return neurons.flatMap(({direction, z}) => {
    const share = Math.sqrt(norm(z, p));
    return share > 0 ? [{u: direction.map((v) => v * share), a: z.map((v) => v / share), direction}] : [];
  });
}

const valuesAt = (points, u) => points.map(([x, y]) => Math.max(x * u[0] + y * u[1], 0));

/** Solve for given directions: the neurons that are used, and Q. */
function fitted(points, targets, lambda, p, places) {
  const features = places.map((place) => valuesAt(points, place.u));
  const {Q, Z} = p === 1 ? byColumns(features, targets, lambda) : together(features, targets, lambda);
  const neurons = places.map((place, j) => ({place, direction: place.u, z: Z[j]}));
  return {neurons: neurons.filter(({z}) => z[0] || z[1]), Q};
}

/** For the 1-norm the columns of the targets are problems of their own. */
function byColumns(features, targets, lambda) {
  const [first, second] = [0, 1].map((c) => lasso(features, targets.map((row) => row[c]), lambda));
  return {Z: first.z.map((v, j) => [v, second.z[j]]), Q: first.rest.map((v, k) => [v, second.rest[k]])};
}

/** For the 2-norm they are one. */
function together(features, targets, lambda) {
  const {Q, Z} = new GroupLasso(features, targets.flat(), lambda).solve();
  return {Z, Q: targets.map((_, k) => [Q[2 * k], Q[2 * k + 1]])};
}

/** Make one neuron of those inside the same arc: close to the end of the rounds they are all but one. */
function merged(neurons) {
  const kept = [];
  const inside = new Map();
  for (const neuron of neurons) {
    const {arc} = neuron.place;
    if (!arc) kept.push(neuron);
    else inside.set(arc.key, [...(inside.get(arc.key) ?? []), neuron]);
  }
  for (const some of inside.values()) {
    const weight = (c) => sum(some, ({direction, z}) => direction[c] * Math.hypot(...z));
    const direction = unit([weight(0), weight(1)]);
    const z = [0, 1].map((c) => sum(some, (neuron) => neuron.z[c]));
    if (z[0] || z[1]) kept.push({place: some[0].place, direction, z});
  }
  return kept;
}

/** Go through the rounds for all directions, from what the wedge directions gave. */
function withAll(points, targets, lambda, wedges) {
  const polish = new Polish(points, targets, lambda);
  let places = wedges;
  let best = null;
  for (let i = 0; i < ROUNDS; i++) {
    const rough = fitted(points, targets, lambda, 2, places);
    places = [...wedges, ...rough.neurons.map(({place}) => place).filter(({arc}) => arc)];
    for (const {neurons, Q} of [polish.run(merged(rough.neurons)), rough]) {
      const network = networkOf(neurons, 2);
      const certificate = certify(points, targets, lambda, 2, network, Q);
      if (!best || certificate.gap < best.certificate.gap) best = {network, Q, certificate};
      if (certificate.gap <= CLOSED) return best;
      places = [...places, ...newPlaces(points, Q, lambda)];
    }
  }
  return best;
}

/** Return where neurons respond above lambda, each with its arc if it is inside one. */
function newPlaces(points, Q, lambda) {
  return peaks(points, Q, 2)
    .map((peak, key) => ({...peak, key}))
    .filter((peak) => peak.response > lambda && !peak.atEnd)
    .map(({u, arc, key}) => ({ u, arc: {...arc, key} }));
}

/**
 * Train a network.
 *
 * @param {number[][]} points - at most a few dozen pairs
 * @param {number[][]} targets - as many pairs
 * @param {number} lambda - positive weight decay, on the squared p-norms of both layers
 * @param {{p?: 1|2, all?: boolean}} options - the norm; and for p = 2 whether all directions are candidates, or the
 *   wedge directions only (for p = 1 it is the same)
 * @returns {{network: {u: number[], a: number[], direction: number[]}[], Q: number[][], certificate: object}}
 *   neurons whose two layers have one p-norm, the dual variable, and the certificate for all directions
 */
export function train(points, targets, lambda, {p = 1, all = true} = {}) {
  checkTask(points, targets, lambda, p);
  const [length, height] = [largestOf(points), largestOf(targets)];
  const X = points.map((row) => row.map((value) => value / length));
  const L = targets.map((row) => row.map((value) => value / height));
  const small = lambda / (length * height);
  const places = wedgeDirections(points, p).map(({u}) => ({u, arc: null}));
  const found = p === 2 && all ? withAll(X, L, small, places) : null;
  let {network, Q} = found ?? {};
  if (!found) {
    const fit = fitted(X, L, small, p, places);
    [network, Q] = [networkOf(fit.neurons, p), fit.Q];
  }
  const share = Math.sqrt(height / length);
  network = network.map(({u, a, direction}) => ({
    u: u.map((v) => v * share),
    a: a.map((v) => v * share),
    direction,
  }));
  Q = Q.map((row) => row.map((value) => value * height));
  return {network, Q, certificate: certify(points, targets, lambda, p, network, Q)};
}
