/**
 * A small Lasso, min 1/2 ||sum_j z_j f_j - l||^2 + lambda sum_j |z_j|, by an active set: exact but for rounding.
 *
 * Each feature counts twice, with both signs, so that coefficients are positive and the penalty is linear.  Features
 * join one by one where the dual is violated most, and leave where their coefficient would change its sign.
 */

const STEPS = 400;
const DEPENDENT = 1e-11; // what is left of a feature beside the others, as a share of it
const SLACK = 1e-14; // of a response, relative to what it is made of

const dot = (v, w) => {
  let total = 0;
  for (let k = 0; k < v.length; k++) total += v[k] * w[k];
  return total;
};
const plus = (v, w, t) => v.map((value, k) => value + t * w[k]);

/** Solve R x = b for an upper triangle given by columns. */
function backwards(columns, b) {
  const x = [...b];
  for (let i = x.length - 1; i >= 0; i--) {
    x[i] /= columns[i][i];
    for (let k = 0; k < i; k++) x[k] -= columns[i][k] * x[i];
  }
  return x;
}

/** Solve R'x = b. */
function forwards(columns, b) {
  const x = [];
  b.forEach((value, i) => x.push((value - dot(x, columns[i])) / columns[i][i]));
  return x;
}

/** Return an orthonormal basis, the triangle R by columns, and R's last column alone if the last one is dependent. */
function factors(vectors) {
  const [basis, columns] = [[], []];
  for (const vector of vectors) {
    let rest = vector;
    const column = basis.map(() => 0);
    for (let pass = 0; pass < 2; pass++) {
      basis.forEach((e, i) => {
        const part = dot(e, rest);
        column[i] += part;
        rest = plus(rest, e, -part);
      });
    }
    const length = Math.sqrt(dot(rest, rest));
    if (length <= DEPENDENT * Math.sqrt(dot(vector, vector))) return {basis, columns, dependent: column};
    basis.push(rest.map((value) => value / length));
    columns.push([...column, length]);
  }
  return {basis, columns, dependent: null};
}

/** Return how coefficients change: to the optimum of those in use, or along features that cancel. */
function direction(used, labels, lambda) {
  const {basis, columns, dependent} = factors(used.map(({f}) => f));
  if (dependent) return {step: [...backwards(columns, dependent).map((c) => -c), 1], whole: Infinity};
  const penalty = forwards(columns, used.map(() => lambda));
  const best = backwards(columns, basis.map((e, i) => dot(e, labels) - penalty[i]));
  return {step: best.map((y, i) => y - used[i].y), whole: 1};
}

/** Go to the optimum of the features in use; those whose coefficient reaches zero leave.  Return those that stay. */
function settled(used, labels, lambda) {
  while (used.length) {
    const {step, whole} = direction(used, labels, lambda);
    const room = used.map(({y}, i) => (step[i] < 0 ? y / -step[i] : Infinity));
    const t = Math.min(whole, ...room);
    if (t === Infinity) return used.slice(0, -1); // nothing but rounding
    used = used.map((one, i) => ({...one, y: one.y + t * step[i]})).filter((_, i) => room[i] > t);
    if (t === 1) break;
  }
  return used;
}

/** Return the labels minus the best fit: orthogonal to the features in use but for the penalty. */
function remainder(used, labels, lambda) {
  const {basis, columns} = factors(used.map(({f}) => f));
  const penalty = forwards(columns, used.map(() => lambda));
  return basis.reduce((rest, e, i) => plus(rest, e, penalty[i] - dot(e, labels)), labels);
}

/**
 * Solve a Lasso.
 *
 * @param {number[][]} features - as rows
 * @param {number[]} labels
 * @param {number} lambda - positive
 * @returns {{z: number[], rest: number[]}} coefficients, and the labels minus the fit: the dual variable
 */
export function lasso(features, labels, lambda) {
  let used = [];
  let rest = labels;
  const size = Math.sqrt(dot(labels, labels));
  const slack = features.map((f) => SLACK * (lambda + size * Math.sqrt(dot(f, f))));
  for (let i = 0; i < STEPS; i++) {
    const response = features.map((f) => dot(f, rest));
    const excess = response.map((r, j) => (Math.abs(r) - lambda > slack[j] ? Math.abs(r) - lambda : 0));
    const j = excess.indexOf(Math.max(...excess));
    const sign = Math.sign(response[j]);
    if (!excess[j] || used.some((one) => one.j === j && one.sign === sign)) break;
    const f = features[j].map((value) => sign * value);
    used = settled([...used, {j, sign, f, y: 0}], labels, lambda);
    rest = remainder(used, labels, lambda);
  }
  const z = features.map(() => 0);
  for (const {j, sign, y} of used) z[j] += sign * y;
  return {z, rest};
}
