/* unpack.js: the message of attention_message.py becomes a model: tokens, masks and numbers, and per layer the queries
   and keys. */
import { readAligned } from "../core/framing.js";

let unpackCount = 0;

/** Bytes of one message (at any offset of their buffer) to a model; queries and keys are decoded when first asked for. */
export function unpack(bytes) {
  const { header, buffer, start } = readAligned(bytes);
  if (header.version !== 1) throw new Error(`message version ${header.version}, this view reads version 1`);
  return unpackModel(header, buffer, start);
}

function unpackModel(header, buffer, start) {
  const tokens = unpackTokens(header.tokens, header.words);
  const keys = header.keys ? unpackTokens(header.keys, header.keyWords) : tokens;
  const T = tokens.length,
    S = keys.length;
  const masks = header.masks.map((mask) => ({
    ...mask,
    keys: mask.keys && unpackBits(mask.keys, buffer, start),
    dense: mask.dense && unpackBits(mask.dense, buffer, start),
  }));
  const biases = header.biases.map((bias) => ({
    shape: bias.shape,
    values: new Float32Array(buffer, start + bias.at, bias.count),
  }));
  const layers = header.layers.map((layer) => unpackLayer(layer, { header, buffer, start, masks, biases, T, S }));
  const { scale, temperature, mask, alibi, bias } = layers[0];
  return {
    id: ++unpackCount,
    title: header.title,
    name: header.name,
    stack: header.stack,
    layers,
    layersN: layers.length,
    headsN: Math.max(...layers.map((layer) => layer.heads)),
    d: header.d,
    T,
    S,
    tokens,
    keys,
    words: header.words,
    keyWords: header.keyWords || header.words,
    sentences: header.sentences,
    keySentences: header.keySentences || header.sentences,
    mask,
    scale,
    temperature,
    alibi,
    bias,
    dir: header.dir,
    keyDir: header.keyDir || header.dir,
    cjk: header.cjk,
    dtype: header.dtype,
    finite: layers.every((layer) => !layer.broken.length),
    intervention: header.intervention,
    scores: header.scores,
    before: header.before ? unpackModel(header.before, buffer, start) : null,
  };
}

function unpackTokens(columns, words) {
  const special = new Set(columns.special),
    continues = new Set(columns.continues);
  return columns.labels.map((label, i) => ({
    t: label,
    label,
    w: columns.words[i] < 0 || columns.words[i] >= words.length ? null : columns.words[i],
    sp: special.has(i),
    cont: continues.has(i),
  }));
}

function unpackLayer(layer, { header, buffer, start, masks, biases, T, S }) {
  const { heads, at, scale, base, temperature, headScale, broken, groups = null } = layer,
    d = header.d,
    half = header.dtype === "f2";
  const size = half ? 2 : 4,
    queries = heads * T * d,
    keys = heads * S * d;
  let q = null,
    k = null;
  return {
    heads,
    scale,
    base,
    temperature,
    headScale,
    broken,
    groups,
    mask: masks[layer.mask],
    alibi: layer.alibi && Float32Array.from(layer.alibi),
    bias: layer.bias === null ? null : biases[layer.bias],
    get q() {
      return (q ||= unpackNumbers(buffer, start + at, queries, half));
    },
    get k() {
      return (k ||= unpackNumbers(buffer, start + at + queries * size, keys, half));
    },
  };
}

function unpackNumbers(buffer, at, count, half) {
  if (!half) return new Float32Array(buffer, at, count);
  const halves = new Uint16Array(buffer, at, count),
    out = new Float32Array(count),
    bits = new Uint32Array(out.buffer);
  for (let i = 0; i < count; i++) {
    const h = halves[i],
      special = (h & 0x7c00) === 0x7c00; // infinite or NaN
    bits[i] = ((h & 0x8000) << 16) | ((h & 0x7fff) << 13) | (special ? 0x7f800000 : 0);
    if (!special) out[i] *= 2 ** 112; // the exponents of the two formats differ by 112, those of subnormal numbers too
  }
  return out;
}

/** Bits of a mask to one byte per entry; its shape (heads, queries, keys) may hold 1 where all share. */
function unpackBits({ shape, at }, buffer, start) {
  const count = shape[0] * shape[1] * shape[2],
    bits = new Uint8Array(buffer, start + at, Math.ceil(count / 8)),
    values = new Uint8Array(count);
  for (let i = 0; i < count; i++) values[i] = (bits[i >> 3] >> (i & 7)) & 1;
  return { shape, values };
}
