// Numbers of about 32 digits: unevaluated sums of two doubles, after Dekker (1971) and Knuth (1969).
// The rounding error of a sum or of a product of two doubles is itself a double, which is kept beside it.
// All functions here take pairs and give pairs, but `pair` and `sum`, which take doubles.

/**
 * @typedef {object} Pair A number hi + lo, where lo is below the last digit of hi.
 * @property {number} hi
 * @property {number} lo
 */

const SPLITTER = 134217729; // 2^27 + 1 cuts 53 bits in two halves

export function pair(hi, lo = 0) {
  return {hi, lo};
}

export const ZERO = pair(0);

/** The sum of two doubles. */
export function sum(a, b) {
  const hi = a + b, part = hi - a;
  return {hi, lo: a - (hi - part) + (b - part)};
}

export function plus(a, b) {
  const total = a.hi + b.hi, part = total - a.hi;
  const error = a.hi - (total - part) + (b.hi - part) + a.lo + b.lo;
  const hi = total + error;
  return {hi, lo: error - (hi - total)};
}

export function minus(a, b) {
  const total = a.hi - b.hi, part = total - a.hi;
  const error = a.hi - (total - part) - (b.hi + part) + a.lo - b.lo;
  const hi = total + error;
  return {hi, lo: error - (hi - total)};
}

export function times(a, b) {
  const total = a.hi * b.hi;
  const scaledA = SPLITTER * a.hi, a1 = scaledA - (scaledA - a.hi), a2 = a.hi - a1;
  const scaledB = SPLITTER * b.hi, b1 = scaledB - (scaledB - b.hi), b2 = b.hi - b1;
  const error = a1 * b1 - total + a1 * b2 + a2 * b1 + a2 * b2 + a.hi * b.lo + a.lo * b.hi;
  const hi = total + error;
  return {hi, lo: error - (hi - total)};
}

export function scaled(a, factor) {
  return times(a, pair(factor));
}

export function over(a, b) {
  const first = a.hi / b.hi;
  const rest = minus(a, scaled(b, first));
  const second = rest.hi / b.hi;
  const hi = first + second;
  return {hi, lo: second - (hi - first)};
}

export function size(a) {
  return a.hi < 0 ? pair(-a.hi, -a.lo) : a;
}
