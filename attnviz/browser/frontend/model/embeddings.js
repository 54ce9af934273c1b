/* embeddings.js: what a transformer reads, as vectors: token ids, or the patches of an image. No DOM. */
import { layerNorm } from "./functions.js";
import { product } from "./matrix.js";
import { sinusoidal } from "./positions.js";

/**
 * Token ids to vectors, T × C.
 *
 * @param {import("./weights.js").Weights} weights
 * @param {import("./transformer.js").Config} config
 * @param {ArrayLike<number>} ids
 * @param {string} scheme
 * @param {number} start the first token's position
 * @returns {Float32Array}
 */
export function embedTokens(weights, config, ids, scheme, start) {
  const { d_model: c, vocab_size, max_len } = config;
  if (!ids.length) throw new Error("the text is empty: it gives no token to look at");
  if (start + ids.length > max_len)
    throw new Error(`${start + ids.length} tokens are more than the model's ${max_len}`);
  const table = weights.get("embed.tokens.weight");
  const x = new Float32Array(ids.length * c);
  for (let t = 0; t < ids.length; t++) {
    const id = ids[t];
    if (!(id >= 0 && id < vocab_size)) throw new Error(`token id ${id} is outside 0…${vocab_size - 1}`);
    x.set(table.subarray(id * c, (id + 1) * c), t * c);
  }
  if (config.n_types) addRows(x, weights.get("embed.types.weight").subarray(0, c));
  return placed(weights, config, x, scheme, start);
}

/**
 * An image to vectors: the special tokens, then the patches row by row. Dosovitskiy et al. 2021, section 3.1.
 *
 * @param {import("./weights.js").Weights} weights
 * @param {import("./transformer.js").Config} config
 * @param {Float32Array} pixels channels × side × side
 * @param {string} scheme
 * @returns {Float32Array} T × C
 */
export function embedPixels(weights, config, pixels, scheme) {
  const { d_model: c, channels, image_size: side, patch_size: patch } = config;
  if (pixels.length !== channels * side * side)
    throw new Error(`pixels are ${channels} × ${side} × ${side}, not ${pixels.length} numbers`);
  const special = weights.get("embed.special.weight");
  const across = side / patch,
    n = across * across,
    width = channels * patch * patch;
  const patches = new Float32Array(n * width);
  for (let p = 0; p < n; p++)
    for (let i = 0; i < width; i++) {
      const channel = Math.floor(i / (patch * patch));
      const y = Math.floor(p / across) * patch + (Math.floor(i / patch) % patch),
        x = (p % across) * patch + (i % patch);
      patches[p * width + i] = pixels[(channel * side + y) * side + x];
    }
  const made = product(patches, weights.get("embed.patches.weight"), weights.get("embed.patches.bias"), n, c, width);
  const x = new Float32Array(special.length + made.length);
  x.set(special);
  x.set(made, special.length);
  return placed(weights, config, x, scheme, 0);
}

/** The vectors with their positions added, and their norm. */
function placed(weights, config, x, scheme, start) {
  const { d_model: c, norm_eps } = config;
  const n = x.length / c;
  if (scheme === "learned") addTo(x, weights.get("embed.positions.weight").subarray(start * c, (start + n) * c));
  if (scheme === "sinusoidal") addTo(x, sinusoidal(start, n, c));
  return config.embed_norm ? layerNorm(x, weights.norm("embed.norm"), norm_eps, c) : x;
}

function addTo(x, y) {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}

function addRows(x, row) {
  for (let i = 0; i < x.length; i++) x[i] += row[i % row.length];
}
