/* attention.js: scaled dot-product attention, all heads of one layer. Vaswani et al. 2017, section 3.2. No DOM. */
import { changedMask, keepOf, maskOf } from "./masks.js";
import { product, transposed } from "./matrix.js";
import { rotate } from "./positions.js";

/**
 * Everything one attention computed; q, k, v and z stand head by head.
 *
 * @typedef {object} Attention
 * @property {number} heads
 * @property {number} d width of a head
 * @property {number} T queries
 * @property {number} S keys
 * @property {Float32Array} q heads × T × d, turned if positions turn them
 * @property {Float32Array} k heads × S × d
 * @property {Float32Array} v heads × S × d
 * @property {Float32Array} z heads × T × d, weights · v, times headScale
 * @property {Float32Array} near an array in the memory where the products are computed
 * @property {Float32Array} out T × C, what it adds to the stream
 * @property {import("./masks.js").AttentionMask} mask
 * @property {Float32Array | null} alibi slopes
 * @property {number} scale
 * @property {number} temperature
 * @property {number[] | null} headScale
 */

/**
 * @typedef {object} AttentionWeights
 * @property {Float32Array} inProj 3C × C: W_Q, W_K and W_V one above the other
 * @property {Float32Array | null} inBias
 * @property {Float32Array} outProj C × C
 * @property {Float32Array | null} outBias
 */

/**
 * @typedef {object} AttentionOptions
 * @property {Partial<import("./masks.js").AttentionMask>} mask
 * @property {boolean} [rotary]
 * @property {Float32Array | null} [alibi]
 * @property {import("./intervention.js").Change | null} [change]
 * @property {Attention | null} [past] the same attention's run on the tokens before
 */

/**
 * Attention of x to itself, or to what the encoder made of the source.
 *
 * @param {AttentionWeights} weights
 * @param {Float32Array} x T × C
 * @param {Float32Array | null} memory S × C
 * @param {{heads: number, c: number}} sizes
 * @param {AttentionOptions} options
 * @returns {Attention}
 */
export function attend(weights, x, memory, { heads, c }, { mask, rotary, alibi = null, change = null, past = null }) {
  const T = x.length / c,
    d = c / heads;
  const part = (input, number) => {
    const w = weights.inProj.subarray(number * c * c, (number + 1) * c * c);
    const b = weights.inBias && weights.inBias.subarray(number * c, (number + 1) * c);
    const n = input.length / c;
    return headByHead(product(input, w, b, n, c, c), n, heads, d);
  };
  const q = part(x, 0);
  let k, v;
  if (past && memory) ({ k, v } = past);
  else {
    k = part(memory ?? x, 1);
    v = part(memory ?? x, 2);
    const start = past ? past.S : 0;
    if (rotary) for (const x of [q, k]) rotate(x, heads, T, d, start);
    if (past) {
      k = longer(past.k, k, heads);
      v = longer(past.v, v, heads);
    }
  }
  const S = k.length / c;
  const scale = change && !change.scaled ? 1 : 1 / Math.sqrt(d);
  const temperature = change ? change.temperature : 1;
  const near = weights.inProj;
  const run = { heads, d, T, S, q, k, v, near, mask: changedMask(maskOf(mask), change), alibi, scale, temperature };
  const headScale = factorsOf(change, heads);
  const z = summed(run, headScale);
  const out = product(sideBySide(z, T, heads, d), weights.outProj, weights.outBias, T, c, c);
  return { ...run, z, out, headScale };
}

/** weights · v per head, times the head's factor: heads × T × d. */
function summed(run, headScale) {
  const { heads, d, T, S, v } = run;
  const z = new Float32Array(heads * T * d);
  const keep = keepOf(run.mask, T, S);
  for (let h = 0; h < heads; h++) {
    const own = z.subarray(h * T * d, (h + 1) * T * d);
    const turned = transposed(v.subarray(h * S * d, (h + 1) * S * d), S, d);
    product(headWeights(run, h, keep(h)), turned, null, T, d, S, own, run.near);
    if (headScale && headScale[h] !== 1) for (let i = 0; i < own.length; i++) own[i] *= headScale[h];
  }
  return z;
}

/** The weights of one head, T × S. @param {Attention} attention @param {number} h */
export const weightsOf = (attention, h) =>
  headWeights(attention, h, keepOf(attention.mask, attention.T, attention.S)(h));

/** softmax((q · k · scale − slope · |i − j|) / τ) over what is kept; a row that keeps nothing is 0. */
function headWeights({ q, k, T, S, d, scale, temperature, alibi, mask, near }, h, keep) {
  const [own, others] = [q.subarray(h * T * d, (h + 1) * T * d), k.subarray(h * S * d, (h + 1) * S * d)];
  const scores = product(own, others, null, T, S, d, new Float32Array(T * S), near);
  const slope = alibi ? alibi[h] : 0;
  for (let t = 0; t < T; t++) {
    const row = t * S,
      i = mask.start + t;
    let top = -Infinity;
    for (let j = 0; j < S; j++) {
      if (!keep[row + j]) continue;
      const score = scores[row + j] * scale - slope * Math.abs(i - j);
      scores[row + j] = score;
      if (score > top) top = score;
    }
    let sum = 0;
    for (let j = 0; j < S; j++) {
      const weight = keep[row + j] ? Math.exp((scores[row + j] - top) / temperature) : 0;
      scores[row + j] = weight;
      sum += weight;
    }
    if (sum > 0) for (let j = 0; j < S; j++) scores[row + j] /= sum;
  }
  return scores;
}

function factorsOf(change, heads) {
  if (!change || !change.headScale.length) return null;
  const factors = new Array(heads).fill(1);
  for (const [head, factor] of change.headScale) factors[head] *= factor;
  return factors;
}

/** n × (heads · d) → heads × n × d. */
function headByHead(x, n, heads, d) {
  const out = new Float32Array(x.length);
  for (let t = 0; t < n; t++)
    for (let h = 0; h < heads; h++) out.set(x.subarray((t * heads + h) * d, (t * heads + h + 1) * d), (h * n + t) * d);
  return out;
}

/** heads × n × d → n × (heads · d). */
function sideBySide(z, n, heads, d) {
  const out = new Float32Array(z.length);
  for (let h = 0; h < heads; h++)
    for (let t = 0; t < n; t++) out.set(z.subarray((h * n + t) * d, (h * n + t + 1) * d), (t * heads + h) * d);
  return out;
}

/** Remembered keys or values with the new ones after them, in each head. */
function longer(before, now, heads) {
  const first = before.length / heads,
    second = now.length / heads;
  const out = new Float32Array(before.length + now.length);
  for (let h = 0; h < heads; h++) {
    out.set(before.subarray(h * first, (h + 1) * first), h * (first + second));
    out.set(now.subarray(h * second, (h + 1) * second), h * (first + second) + first);
  }
  return out;
}
