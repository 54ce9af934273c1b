/* picture.js: what a model of images makes of a drawing: the message that the view of its patches reads, and what it
   gives each class. As attnviz/web/components/patch_view.py packs it. No DOM. */
import { weightsOf } from "./attention.js";
import { product, transposed } from "./matrix.js";
import { Payload, framed } from "./message.js";
import { probabilities } from "./sampling.js";

const DRAWN_INK = 16; // of a full cell
const SPECIAL = [
  ["[CLS]", "the class token"],
  ["[DIST]", "the distillation token"],
];

/**
 * How the model reads pictures: (255 · scale · brightness − mean) / std.
 *
 * @typedef {{scale: number, mean: number, std: number}} Reader
 */

/** The brightness from 0 to 1 of a drawing, a character from 0 to g per cell. @param {string} drawing */
export const brightnessOf = (drawing) => Float32Array.from(drawing, (one) => parseInt(one, DRAWN_INK + 1) / DRAWN_INK);

/** @param {Float32Array} brightness @param {Reader} reader @returns {Float32Array} what the model reads */
export const pixelsOf = (brightness, { scale, mean, std }) => brightness.map((x) => (255 * scale * x - mean) / std);

/**
 * The message of a run.
 *
 * @param {import("./transformer.js").Trace} trace
 * @param {Float32Array} brightness
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function packPicture(trace, brightness) {
  const { n_layers: layers, n_heads: heads, image_size: size, patch_size: patch, distilled } = trace.config;
  const special = 1 + Number(distilled);
  const tokens = trace.layers[0].attention.T;
  const header = {
    layers,
    heads,
    tokens,
    special,
    names: SPECIAL.slice(0, special),
    side: size / patch,
    queries: [...Array(tokens).keys()],
    picture: [size, size, 1],
  };
  const payload = new Payload();
  payload.add(
    rowsOf(trace),
    Uint8Array.from(brightness, (x) => Math.round(255 * x)),
  );
  return framed(header, payload);
}

/** Of each layer the weights of its heads, then its rollout: layers × (heads + 1) × T × T. */
function rowsOf(trace) {
  const { attention } = trace.layers[0];
  const { heads, T } = attention;
  const size = T * T;
  const all = new Float32Array(trace.layers.length * (heads + 1) * size);
  let rolled = null;
  for (const [l, { attention }] of trace.layers.entries()) {
    const start = l * (heads + 1) * size;
    for (let h = 0; h < heads; h++) all.set(weightsOf(attention, h), start + h * size);
    const mixed = withResidual(all.subarray(start, start + heads * size), heads, T);
    rolled = rolled ? product(mixed, transposed(rolled, T, T), null, T, T, T) : mixed;
    all.set(rolled, start + heads * size);
  }
  return all;
}

/** Heads averaged, and the residual stream as an equal share. Abnar and Zuidema 2020, section 3. */
function withResidual(weights, heads, T) {
  const mixed = new Float32Array(T * T);
  for (let i = 0; i < T; i++) {
    let sum = 0;
    for (let j = 0; j < T; j++) {
      for (let h = 0; h < heads; h++) mixed[i * T + j] += weights[(h * T + i) * T + j];
      mixed[i * T + j] = mixed[i * T + j] / heads + Number(i === j);
      sum += mixed[i * T + j];
    }
    for (let j = 0; j < T; j++) mixed[i * T + j] /= sum;
  }
  return mixed;
}

/**
 * Classes with their probabilities as trained and now.
 *
 * @param {string[]} classes
 * @param {import("./transformer.js").Trace} plain
 * @param {import("./transformer.js").Trace} now
 * @returns {[string, number, number][]}
 */
export function answersOf(classes, plain, now) {
  if (!plain.logits) return [];
  const [before, after] = [plain, now].map(({ logits }) => probabilities(logits, 1));
  return Array.from(before, (p, i) => [classes[i] ?? `class ${i}`, p, after[i]]);
}
