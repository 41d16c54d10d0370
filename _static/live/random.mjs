// Random numbers from a seed, the same in every browser: xoshiro128** (Blackman and Vigna), not for secrets.

/**
 * @typedef {object} Generator
 * @property {() => number} uniform In [0, 1), with 53 bits.
 * @property {() => number} normal Standard normal, by the polar method of Marsaglia.
 * @property {(count: number) => number[]} permutation Of 0, ..., count - 1.
 */

/**
 * @param {number} seed Any integer from 0 to 2^32 - 1.
 * @returns {Generator}
 */
export function randomGenerator(seed) {
  const state = new Uint32Array(4);
  for (let k = 0, mix = seed >>> 0; k < 4; k++) state[k] = scrambled((mix = (mix + 0x9e3779b9) >>> 0));
  let spare = NaN;

  function bits() {
    const out = Math.imul(rotated(Math.imul(state[1], 5), 7), 9) >>> 0, shifted = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotated(state[3], 11);
    return out;
  }
  function uniform() {
    return ((bits() >>> 5) * 67108864 + (bits() >>> 6)) / 9007199254740992;
  }
  function normal() {
    if (!Number.isNaN(spare)) {
      const kept = spare;
      spare = NaN;
      return kept;
    }
    for (;;) {
      const u = 2 * uniform() - 1, v = 2 * uniform() - 1, square = u * u + v * v;
      if (square > 0 && square < 1) {
        const factor = Math.sqrt((-2 * Math.log(square)) / square);
        spare = v * factor;
        return u * factor;
      }
    }
  }
  function permutation(count) {
    const out = Array.from({length: count}, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = Math.floor(uniform() * (i + 1));
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  }
  return {uniform, normal, permutation};
}

function rotated(word, by) {
  return (word << by) | (word >>> (32 - by));
}

/** The mixing step of MurmurHash3. */
function scrambled(word) {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return (word ^ (word >>> 16)) >>> 0;
}
