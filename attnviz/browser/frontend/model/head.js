/* head.js: what a transformer says of its last vectors: the next token, or a class. No DOM. */
import { activate, layerNorm } from "./functions.js";
import { product } from "./matrix.js";

/**
 * Logits: T × V of a language model; of a classifier one row, from [CLS] or from a decoder's last real token. Null
 * without a head.
 *
 * @param {import("./weights.js").Weights} weights
 * @param {import("./transformer.js").Config} config
 * @param {Float32Array} final T × C
 * @param {number} length real tokens
 * @param {boolean} last of a language model only those of the last token: 1 × V
 * @returns {Float32Array | null}
 */
export function logitsOf(weights, config, final, length, last) {
  const { d_model: c, head, n_classes, vocab_size } = config;
  if (!head) return null;
  const row = (t) => final.subarray(t * c, (t + 1) * c);
  const scored = (x, name, n, m) => product(x, weights.get(`${name}.weight`), weights.get(`${name}.bias`), n, m, c);
  if (head === "distillation") {
    const [first, second] = [scored(row(0), "head.out", 1, n_classes), scored(row(1), "head.distilled", 1, n_classes)];
    return first.map((value, i) => (value + second[i]) / 2);
  }
  if (head === "classification")
    return scored(row(config.kind === "encoder" ? 0 : length - 1), "head.out", 1, n_classes);
  let x = last ? row(final.length / c - 1) : final;
  const n = x.length / c;
  if (config.head_transform)
    x = layerNorm(
      activate(scored(x, "head.dense", n, c), config.activation),
      weights.norm("head.norm"),
      config.norm_eps,
      c,
    );
  return scored(x, "head.out", n, vocab_size);
}
