/**
 * Training without biases in the plane: the wedge program, and the same with all directions.
 *
 * For given directions the problem is a group Lasso, min 1/2 ||KZ - L||^2 + lambda sum_j ||Z_j||_p, with the features
 * K_j = (X u_j)_+.  Its dual is solved by an augmented Lagrangian, the inner problems of which are smooth, strongly
 * convex, and done by Newton's method in as many unknowns as there are targets.  It does not mind directions that
 * are close to each other.  For the 2-norm the directions where the dual is violated are added until none is.
 */

import { checkedPoints, norm, unit, wedgeDirections } from "./plane.mjs";
import { lasso } from "./plane_lasso.mjs";
import { certify, peaks } from "./plane_check.mjs";

const OUTER = 60;
const NEWTON = 60;
const ROUNDS = 30;
const ENOUGH = 1e-14; // relative gap of the group Lasso to stop at
const CLOSED = 1e-12; // relative gap over all directions to stop at

const ROUNDING = 1e-15; // of a gradient

const sum = (list, f) => list.reduce((total, item, k) => total + f(item, k), 0);

/** What shrinking by t leaves of a coefficient z, and how fast that changes: [value, derivative]. */
function shrinkage(z, t) {
  const length = Math.hypot(...z);
  if (length <= t) return [[0, 0], [0, 0, 0]];
  const share = t / length;
  const [a, b] = z.map((v) => v / length);
  return [z.map((v) => v * (1 - share)), [1 - share + share * a * a, share * a * b, 1 - share + share * b * b]];
}

/** Solve H d = g for a positive definite H, given as rows and overwritten by its Cholesky factor. */
function solved(H, g) {
  const d = [...g];
  for (let i = 0; i < H.length; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = H[i][j];
      for (let k = 0; k < j; k++) rest -= H[i][k] * H[j][k];
      H[i][j] = i === j ? Math.sqrt(Math.max(rest, 1e-300)) : rest / H[j][j];
    }
    for (let k = 0; k < i; k++) d[i] -= H[i][k] * d[k];
    d[i] /= H[i][i];
  }
  for (let i = H.length - 1; i >= 0; i--) {
    for (let k = i + 1; k < H.length; k++) d[i] -= H[k][i] * d[k];
    d[i] /= H[i][i];
  }
  return d;
}

/** A group Lasso with two columns of labels; Q is a flat list, that of row k and column c at 2k + c. */
class GroupLasso {
  constructor(features, labels, lambda) {
    Object.assign(this, { features, labels, lambda });
  }

  products(Q) {
    return this.features.map((f) => {
      let [a, b] = [0, 0];
      for (let k = 0; k < f.length; k++) {
        a += f[k] * Q[2 * k];
        b += f[k] * Q[2 * k + 1];
      }
      return [a, b];
    });
  }

  /** The augmented Lagrangian at Q: its value, its gradient, the new Z, and how that changes. */
  at(Q, Z, sigma) {
    const moved = this.products(Q).map((v, j) => v.map((value, c) => Z[j][c] + sigma * value));
    const shrunk = moved.map((v) => shrinkage(v, sigma * this.lambda));
    const next = shrunk.map(([value]) => value);
    const gradient = this.missing(next).map((value, i) => Q[i] - value);
    const value = sum(Q, (q, i) => q * (0.5 * q - this.labels[i])) + sum(next, ([a, b]) => a * a + b * b) / (2 * sigma);
    return { value, gradient, next, slopes: shrunk.map(([, slope]) => slope) };
  }

  /** L - KZ. */
  missing(Z) {
    const rest = [...this.labels];
    Z.forEach(([a, b], j) => {
      if (!a && !b) return;
      this.features[j].forEach((v, k) => {
        rest[2 * k] -= v * a;
        rest[2 * k + 1] -= v * b;
      });
    });
    return rest;
  }

  hessian(slopes, sigma) {
    const N = this.labels.length;
    const H = Array.from({ length: N }, (_, i) => {
      const row = new Float64Array(N);
      row[i] = 1;
      return row;
    });
    slopes.forEach(([s, t, w], j) => {
      if (!s && !w) return;
      const f = this.features[j];
      for (let i = 0; i < f.length; i++) {
        if (!f[i]) continue;
        for (let k = 0; k <= i; k++) {
          const both = sigma * f[i] * f[k];
          H[2 * i][2 * k] += both * s;
          H[2 * i + 1][2 * k] += both * t;
          H[2 * i][2 * k + 1] += both * t;
          H[2 * i + 1][2 * k + 1] += both * w;
        }
      }
    });
    return H;
  }

  /** Minimise the augmented Lagrangian from Q on. */
  inner(Q, Z, sigma) {
    let here = this.at(Q, Z, sigma);
    for (let i = 0; i < NEWTON; i++) {
      const size = Math.hypot(...here.gradient);
      if (size <= ROUNDING * Math.max(1, sigma * this.lambda)) break;
      const step = solved(this.hessian(here.slopes, sigma), here.gradient);
      const slope = sum(step, (d, k) => d * here.gradient[k]);
      let found = null;
      for (let t = 1; t > 1e-4 && !found; t /= 2) {
        const there = Q.map((q, k) => q - t * step[k]);
        const tried = this.at(there, Z, sigma);
        // Where the value is all rounding, the gradient says whether a step is worth taking.
        const lower = tried.value <= here.value - 1e-4 * t * slope && slope > 1e-12 * Math.abs(here.value);
        if (lower || Math.hypot(...tried.gradient) < 0.5 * size) found = [there, tried];
      }
      if (!found) break;
      [Q, here] = found;
    }
    return [Q, here.next];
  }

  /** The loss, Q shrunk until it is feasible, and its dual value. */
  values(Q, Z) {
    const largest = Math.max(0, ...this.products(Q).map((v) => Math.hypot(...v)));
    const feasible = largest > this.lambda ? Q.map((q) => (q * this.lambda) / largest) : Q;
    return {
      primal: 0.5 * sum(this.missing(Z), (r) => r * r) + this.lambda * sum(Z, (z) => Math.hypot(...z)),
      dual: sum(feasible, (q, i) => q * (this.labels[i] - 0.5 * q)),
      feasible,
    };
  }

  solve() {
    let Q = this.labels;
    let Z = this.features.map(() => [0, 0]);
    let sigma = Math.min(1 / this.lambda, 100);
    let best = { Q, Z, primal: Infinity, dual: -Infinity };
    for (let i = 0, since = 0; i < OUTER && since < 20; i++, since++) {
      const { primal, dual, feasible } = this.values(Q, Z);
      if (primal < best.primal) best = { ...best, Z, primal, dual: best.dual };
      if (dual > best.dual) [best, since] = [{ ...best, Q: feasible, dual }, 0];
      if (best.primal - best.dual <= ENOUGH * best.primal) break;
      [Q, Z] = this.inner(Q, Z, sigma);
      sigma = Math.min(3 * sigma, Math.min(1e5 / this.lambda, 1e6));
    }
    return best;
  }
}

const largestOf = (rows) => Math.max(...rows.flat().map(Math.abs)) || 1;

/** Return the network with coefficients z for directions of p-norm one; its two layers have one p-norm. */
function networkOf(neurons, p) {
  return neurons.flatMap(({ direction, z }) => {
    const share = Math.sqrt(norm(z, p));
    return share > 0 ? [{ u: direction.map((v) => v * share), a: z.map((v) => v / share), direction }] : [];
  });
}

const valuesAt = (points, u) => points.map(([x, y]) => Math.max(x * u[0] + y * u[1], 0));

/** Solve for given directions: the neurons that are used, and Q. */
function fitted(points, targets, lambda, p, places) {
  const features = places.map((place) => valuesAt(points, place.u));
  const { Q, Z } = p === 1 ? byColumns(features, targets, lambda) : together(features, targets, lambda);
  const neurons = places.map((place, j) => ({ place, direction: place.u, z: Z[j] }));
  return { neurons: neurons.filter(({ z }) => z[0] || z[1]), Q };
}

/** For the 1-norm the columns of the targets are problems of their own. */
function byColumns(features, targets, lambda) {
  const [first, second] = [0, 1].map((c) => lasso(features, targets.map((row) => row[c]), lambda));
  return { Z: first.z.map((v, j) => [v, second.z[j]]), Q: first.rest.map((v, k) => [v, second.rest[k]]) };
}

function together(features, targets, lambda) {
  const { Q, Z } = new GroupLasso(features, targets.flat(), lambda).solve();
  return { Z, Q: targets.map((_, k) => [Q[2 * k], Q[2 * k + 1]]) };
}

/** Make one neuron of those inside the same arc: close to the end of the rounds they are all but one. */
function merged(neurons) {
  const kept = [];
  const inside = new Map();
  for (const neuron of neurons) {
    const { arc } = neuron.place;
    if (!arc) kept.push(neuron);
    else inside.set(arc.key, [...(inside.get(arc.key) ?? []), neuron]);
  }
  for (const some of inside.values()) {
    const weight = (c) => sum(some, ({ direction, z }) => direction[c] * Math.hypot(...z));
    const direction = unit([weight(0), weight(1)]);
    const z = [0, 1].map((c) => sum(some, (neuron) => neuron.z[c]));
    if (z[0] || z[1]) kept.push({ place: some[0].place, direction, z });
  }
  return kept;
}

/** Newton's method for few neurons of 2-norm: their coefficients, and the angles of those inside an arc. */
class Polish {
  constructor(points, targets, lambda) {
    Object.assign(this, { points, lambda, labels: targets });
  }

  /** Features of a neuron, how they change as it turns, and its coefficient. */
  state(neurons) {
    return neurons.map(({ place, direction: [a, b], z }) => {
      const on = place.arc ? place.arc.pattern : this.points.map(([x, y]) => x * a + y * b > 0);
      const f = this.points.map(([x, y], k) => (on[k] ? x * a + y * b : 0));
      const g = this.points.map(([x, y], k) => (place.arc && on[k] ? y * a - x * b : 0));
      return { f, g, z, free: Boolean(place.arc) };
    });
  }

  residual(state) {
    return this.labels.map((l, k) => l.map((value, c) => value - sum(state, ({ f, z }) => f[k] * z[c])));
  }

  loss(neurons) {
    const state = this.state(neurons);
    return sum(this.residual(state), ([a, b]) => 0.5 * (a * a + b * b)) + this.lambda * sum(state, ({ z }) => Math.hypot(...z));
  }

  /** Gradient and Hessian in (z, angle) of each neuron. */
  system(state) {
    const Q = this.residual(state);
    const times = (f) => [0, 1].map((c) => sum(f, (v, k) => v * Q[k][c]));
    const N = 3 * state.length;
    const H = Array.from({ length: N }, () => new Float64Array(N));
    const gradient = new Float64Array(N);
    state.forEach(({ f, g, z, free }, i) => {
      const length = Math.hypot(...z);
      const e = z.map((v) => v / length);
      const [along, across] = [times(f), times(g)];
      const at = 3 * i;
      for (const c of [0, 1]) {
        gradient[at + c] = this.lambda * e[c] - along[c];
        for (const d of [0, 1]) H[at + c][at + d] += (this.lambda / length) * (Number(c === d) - e[c] * e[d]);
      }
      if (free) {
        gradient[at + 2] = -(across[0] * z[0] + across[1] * z[1]);
        for (const c of [0, 1]) {
          H[at + c][at + 2] -= across[c];
          H[at + 2][at + c] -= across[c];
        }
        H[at + 2][at + 2] += along[0] * z[0] + along[1] * z[1];
      } else H[at + 2][at + 2] = 1;
      state.forEach((other, j) => {
        const to = 3 * j;
        const product = (v, w) => sum(v, (value, k) => value * w[k]);
        const ff = product(f, other.f);
        const fg = product(f, other.g);
        const gf = product(g, other.f);
        for (const c of [0, 1]) {
          H[at + c][to + c] += ff;
          H[at + c][to + 2] += fg * other.z[c];
          H[at + 2][to + c] += gf * z[c];
        }
        H[at + 2][to + 2] += product(g, other.g) * (z[0] * other.z[0] + z[1] * other.z[1]);
      });
    });
    return [gradient, H];
  }

  moved(neurons, step, t) {
    return neurons.map(({ place, direction: [a, b], z }, i) => {
      const turned = -t * step[3 * i + 2];
      const [c, s] = [Math.cos(turned), Math.sin(turned)];
      return { place, direction: [c * a - s * b, s * a + c * b], z: z.map((v, k) => v - t * step[3 * i + k]) };
    });
  }

  run(neurons) {
    let here = neurons;
    let least = this.loss(here);
    for (let i = 0; i < NEWTON && here.length; i++) {
      const [gradient, H] = this.system(this.state(here));
      const size = Math.hypot(...gradient);
      if (size <= ROUNDING) break;
      let found = null;
      for (let ridge = 1e-14; ridge < 10 && !found; ridge *= 100) {
        const most = Math.max(...H.map((row, k) => Math.abs(row[k])));
        const tried = H.map((row, k) => row.map((v, j) => v + (j === k ? ridge * most : 0)));
        const there = this.moved(here, solved(tried, gradient), 1);
        const value = this.loss(there);
        if (!there.every((neuron) => stays(neuron))) continue;
        const slower = Math.hypot(...this.system(this.state(there))[0]) < 0.5 * size;
        if (value < least * (1 - 1e-15) || (value <= least * (1 + 1e-13) && slower)) found = [there, value];
      }
      if (!found) break;
      [here, least] = found;
    }
    return { neurons: here, Q: this.residual(this.state(here)) };
  }
}

const turn = ([a, b], [c, d]) => a * d - b * c;

/** Whether a neuron is still in its arc, with a coefficient. */
function stays({ place: { arc }, direction, z }) {
  if (!(z[0] || z[1])) return false;
  return !arc || (turn(arc.from.u, direction) >= 0 && turn(direction, arc.to.u) >= 0);
}

/** Go through the rounds for all directions, from what the wedge directions gave. */
function withAll(points, targets, lambda, wedges) {
  const polish = new Polish(points, targets, lambda);
  let places = wedges;
  let best = null;
  for (let i = 0; i < ROUNDS; i++) {
    const rough = fitted(points, targets, lambda, 2, places);
    for (const { neurons, Q } of [polish.run(merged(rough.neurons)), rough]) {
      const network = networkOf(neurons, 2);
      const certificate = certify(points, targets, lambda, 2, network, Q);
      if (!best || certificate.gap < best.certificate.gap) best = { network, Q, certificate };
      if (certificate.gap <= CLOSED) return best;
      places = [...places, ...newPlaces(points, Q, lambda)];
    }
  }
  return best;
}

/** Return where neurons respond above lambda, each with its arc if it is inside one. */
function newPlaces(points, Q, lambda) {
  return peaks(points, Q, 2)
    .map((peak, key) => ({ ...peak, key }))
    .filter((peak) => peak.response > lambda && !peak.atEnd)
    .map(({ u, arc, key }) => ({ u, arc: { ...arc, key } }));
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
export function train(points, targets, lambda, { p = 1, all = true } = {}) {
  checkedPoints(points);
  checkedPoints(targets, "targets");
  const [length, height] = [largestOf(points), largestOf(targets)];
  const X = points.map((row) => row.map((value) => value / length));
  const L = targets.map((row) => row.map((value) => value / height));
  const small = lambda / (length * height);
  const places = wedgeDirections(points, p).map(({ u }) => ({ u, arc: null }));
  const found = p === 2 && all ? withAll(X, L, small, places) : null;
  let { network, Q } = found ?? {};
  if (!found) {
    const fit = fitted(X, L, small, p, places);
    [network, Q] = [networkOf(fit.neurons, p), fit.Q];
  }
  const share = Math.sqrt(height / length);
  network = network.map(({ u, a, direction }) => ({
    u: u.map((v) => v * share),
    a: a.map((v) => v * share),
    direction,
  }));
  Q = Q.map((row) => row.map((value) => value * height));
  return { network, Q, certificate: certify(points, targets, lambda, p, network, Q) };
}
