/**
 * Newton's method for few neurons of 2-norm: for their coefficients, and for the angles of those inside an arc.
 *
 * Once it is known on which arcs neurons are, the loss is smooth in what they are, so that a few steps reach rounding.
 */

import {solved} from "./plane_group.mjs";

const STEPS = 10; // from the wrong arcs no number of steps helps
const ROUNDING = 1e-15; // of a gradient

const sum = (list, f) => list.reduce((total, item, k) => total + f(item, k), 0);
const product = (v, w) => sum(v, (value, k) => value * w[k]);

/** A problem, and neurons {place, direction, z}, of which `place.arc` is the arc, or null where the direction stays. */
export class Polish {
  constructor(points, targets, lambda) {
    Object.assign(this, {points, lambda, labels: targets});
  }

  /** Features of a neuron, how they change as it turns, and its coefficient. */
  state(neurons) {
    return neurons.map(({place, direction: [a, b], z}) => {
      const on = place.arc ? place.arc.pattern : this.points.map(([x, y]) => x * a + y * b > 0);
      const f = this.points.map(([x, y], k) => (on[k] ? x * a + y * b : 0));
      const g = this.points.map(([x, y], k) => (place.arc && on[k] ? y * a - x * b : 0));
      return {f, g, z, free: Boolean(place.arc)};
    });
  }

  /** Labels minus outputs. */
  residual(state) {
    return this.labels.map((l, k) => l.map((value, c) => value - sum(state, ({f, z}) => f[k] * z[c])));
  }

  loss(neurons) {
    const state = this.state(neurons);
    return sum(this.residual(state), ([a, b]) => 0.5 * (a * a + b * b)) + this.lambda * sum(state, ({z}) => Math.hypot(...z));
  }

  /** Gradient and Hessian in (z, angle) of each neuron, three numbers. */
  system(state) {
    const Q = this.residual(state);
    const N = 3 * state.length;
    const H = Array.from({length: N}, () => new Float64Array(N));
    const gradient = new Float64Array(N);
    state.forEach((neuron, i) => {
      this.addOwn(H, gradient, 3 * i, neuron, Q);
      state.forEach((other, j) => addShared(H, 3 * i, 3 * j, neuron, other));
    });
    return [gradient, H];
  }

  /** What a neuron adds of its own: its weight decay, and how its features bend. */
  addOwn(H, gradient, at, {f, g, z, free}, Q) {
    const [along, across] = [f, g].map((v) => [0, 1].map((c) => sum(v, (value, k) => value * Q[k][c])));
    const length = Math.hypot(...z);
    const e = z.map((v) => v / length);
    for (const c of [0, 1]) {
      gradient[at + c] = this.lambda * e[c] - along[c];
      for (const d of [0, 1]) H[at + c][at + d] += (this.lambda / length) * (Number(c === d) - e[c] * e[d]);
    }
    if (!free) {
      H[at + 2][at + 2] += 1;
      return;
    }
    gradient[at + 2] = -(across[0] * z[0] + across[1] * z[1]);
    H[at + 2][at + 2] += along[0] * z[0] + along[1] * z[1];
    for (const c of [0, 1]) {
      H[at + c][at + 2] -= across[c];
      H[at + 2][at + c] -= across[c];
    }
  }

  /** The neurons after a step. */
  moved(neurons, step) {
    return neurons.map(({place, direction: [a, b], z}, i) => {
      const turned = -step[3 * i + 2];
      const [c, s] = [Math.cos(turned), Math.sin(turned)];
      return {place, direction: [c * a - s * b, s * a + c * b], z: z.map((v, k) => v - step[3 * i + k])};
    });
  }

  /** Go downhill from these neurons, none of which leaves its arc; return them, and Q. */
  run(neurons) {
    let here = neurons;
    let least = this.loss(here);
    for (let i = 0; i < STEPS && here.length; i++) {
      const [gradient, H] = this.system(this.state(here));
      const size = Math.hypot(...gradient);
      if (size <= ROUNDING) break;
      let found = null;
      for (let ridge = 1e-14; ridge < 10 && !found; ridge *= 100) {
        const most = Math.max(...H.map((row, k) => Math.abs(row[k])));
        const tried = H.map((row, k) => row.map((v, j) => v + (j === k ? ridge * most : 0)));
        const there = this.moved(here, solved(tried, gradient));
        const value = this.loss(there);
        if (!there.every((neuron) => stays(neuron))) continue;
        // Where the loss is all rounding, the gradient says whether a step is worth taking.
        const flatter = () => Math.hypot(...this.system(this.state(there))[0]) < 0.5 * size;
        if (value < least * (1 - 1e-15) || (value <= least * (1 + 1e-13) && flatter())) found = [there, value];
      }
      if (!found) break;
      [here, least] = found;
    }
    return {neurons: here, Q: this.residual(this.state(here))};
  }
}

/** What two neurons add because both give to the output. */
function addShared(H, at, to, {f, g, z}, other) {
  const ff = product(f, other.f);
  const fg = product(f, other.g);
  const gf = product(g, other.f);
  for (const c of [0, 1]) {
    H[at + c][to + c] += ff;
    H[at + c][to + 2] += fg * other.z[c];
    H[at + 2][to + c] += gf * z[c];
  }
  H[at + 2][to + 2] += product(g, other.g) * product(z, other.z);
}

const turn = ([a, b], [c, d]) => a * d - b * c;

/** Whether a neuron is still in its arc, with a coefficient. */
function stays({ place: {arc}, direction, z }) {
  if (!(z[0] || z[1])) return false;
  return !arc || (turn(arc.from.u, direction) >= 0 && turn(direction, arc.to.u) >= 0);
}
