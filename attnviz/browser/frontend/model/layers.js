/* layers.js: one layer: attention, attention to the encoder if there is one, feed-forward; pre- or post-norm.
   No DOM. */
import { attend } from "./attention.js";
import { activate, layerNorm } from "./functions.js";
import { product, sumOf } from "./matrix.js";

/**
 * @typedef {object} LayerWeights
 * @property {import("./attention.js").AttentionWeights} attention
 * @property {import("./attention.js").AttentionWeights | null} cross
 * @property {({weight: Float32Array, bias: Float32Array | null} | null)[]} norms
 * @property {{w1: Float32Array, b1: Float32Array | null, w2: Float32Array, b2: Float32Array | null} | null} feedForward
 */

/**
 * What one layer computed; the residual stream is T × C.
 *
 * @typedef {object} LayerRun
 * @property {Float32Array} residPre
 * @property {import("./attention.js").Attention} attention
 * @property {Float32Array} residMid
 * @property {import("./attention.js").Attention | null} cross
 * @property {Float32Array | null} residCross
 * @property {Float32Array} residPost
 */

/**
 * @param {LayerWeights} weights
 * @param {Float32Array} x T × C
 * @param {Float32Array | null} memory S × C, of a decoder with an encoder
 * @param {import("./transformer.js").Config} config
 * @param {import("./attention.js").AttentionOptions} own
 * @param {import("./attention.js").AttentionOptions} toSource
 * @returns {LayerRun}
 */
export function runLayer(weights, x, memory, config, own, toSource) {
  const { d_model: c, n_heads: heads, norm_first: first, norm_eps: eps } = config;
  const sizes = { heads, c };
  const [norm1, norm2, norm3] = weights.norms;
  const into = (stream, norm) => (first ? layerNorm(stream, norm, eps, c) : stream);
  const after = (stream, norm) => (first ? stream : layerNorm(stream, norm, eps, c));
  const attention = attend(weights.attention, into(x, norm1), null, sizes, own);
  const mid = after(sumOf(x, attention.out), norm1);
  let cross = null,
    crossed = null,
    stream = mid;
  if (weights.cross) {
    cross = attend(weights.cross, into(mid, norm2), memory, sizes, toSource);
    stream = crossed = after(sumOf(mid, cross.out), norm2);
  }
  const last = weights.cross ? norm3 : norm2;
  const fed = weights.feedForward && feedForward(weights.feedForward, into(stream, last), config);
  const post = fed ? after(sumOf(stream, fed), last) : stream;
  return { residPre: x, attention, residMid: mid, cross, residCross: crossed, residPost: post };
}

/** W₂ σ(W₁ x + b₁) + b₂, per position. Vaswani et al. 2017, equation 2. */
function feedForward({ w1, b1, w2, b2 }, x, { d_model: c, d_ff: f, activation }) {
  const n = x.length / c;
  return product(activate(product(x, w1, b1, n, f, c), activation), w2, b2, n, c, f);
}
