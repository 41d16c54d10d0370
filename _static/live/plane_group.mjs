/**
 * A group Lasso with two columns of labels, min 1/2 ||KZ - L||^2 + lambda sum_j ||Z_j||.
 *
 * Its dual is solved by an augmented Lagrangian, the inner problems of which are smooth, strongly convex, and done by
 * Newton's method in as many unknowns as there are labels.  It does not mind features that are close to each other.
 */

const OUTER = 60;
const STUCK = 20; // outer steps without a better bound
const NEWTON = 60;
const ENOUGH = 1e-14; // relative gap to stop at
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

/** Solve H d = g for a positive definite H, given as rows; its lower half becomes the Cholesky factor. */
export function solved(H, g) {
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

/** The problem; labels and Q are flat lists, that of row k and column c at 2k + c. */
export class GroupLasso {
  constructor(features, labels, lambda) {
    Object.assign(this, {features, labels, lambda});
  }

  /** Q'K_j for each feature. */
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
    return {value, gradient, next, slopes: shrunk.map(([, slope]) => slope)};
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

  /** The lower half of the Hessian of the augmented Lagrangian. */
  hessian(slopes, sigma) {
    const N = this.labels.length;
    const H = Array.from({length: N}, (_, i) => {
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

  /** Solve it: the best Z, and the best Q that is feasible. */
  solve() {
    let Q = this.labels;
    let Z = this.features.map(() => [0, 0]);
    let sigma = Math.min(1 / this.lambda, 100);
    let best = {Q, Z, primal: Infinity, dual: -Infinity};
    for (let i = 0, since = 0; i < OUTER && since < STUCK; i++, since++) {
      const {primal, dual, feasible} = this.values(Q, Z);
      if (primal < best.primal) best = {...best, Z, primal, dual: best.dual};
      if (dual > best.dual) [best, since] = [{...best, Q: feasible, dual}, 0];
      if (best.primal - best.dual <= ENOUGH * best.primal) break;
      [Q, Z] = this.inner(Q, Z, sigma);
      sigma = Math.min(3 * sigma, 1e6 / this.lambda);
    }
    return best;
  }
}
