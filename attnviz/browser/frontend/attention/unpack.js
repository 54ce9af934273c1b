/* unpack.js: the message of attention_message.py becomes a model: tokens, masks and numbers, per layer queries and
   keys. */
import { shortened } from "../core/format.js";
import { readAligned } from "../core/framing.js";

/**
 * `w` is its word; whether it is special; whether it continues a word.
 *
 * @typedef {{full: string, label: string, w: number | null, sp: boolean, cont: boolean}} Token
 */
/** @typedef {{shape: number[], values: Uint8Array}} Bits a byte per entry; the shape may hold 1 where all share */

/**
 * @typedef {object} Mask
 * @property {boolean} causal
 * @property {number | null} window
 * @property {number | null} length keys that are real, from the first
 * @property {number} extra keys beyond the text, which every query sees
 * @property {Bits | null} keys
 * @property {Bits | null} dense
 * @property {number[][]} blocked [head or null, query, key]
 */

/**
 * @typedef {object} Layer
 * @property {number} heads
 * @property {Float32Array} q heads × T × d
 * @property {Float32Array} k heads × S × d
 * @property {number} scale what the layer multiplied with
 * @property {number} base the same while the factor is on
 * @property {number} temperature
 * @property {Mask} mask
 * @property {Float32Array | null} alibi
 * @property {{shape: number[], values: Float32Array} | null} bias
 * @property {number | null} softcap c, where scores are c · tanh(score / c) before a bias is added
 * @property {number[] | null} sinks a head's score of a place beyond the keys, which takes its part of every row
 * @property {number[]} broken heads with values that are not finite
 * @property {number[] | null} groups of heads that share keys
 */

/**
 * One run, of T queries by S keys.
 *
 * @typedef {object} Model
 * @property {number} id
 * @property {string} title
 * @property {string} name
 * @property {string} stack
 * @property {Layer[]} layers
 * @property {number} layersN
 * @property {number} headsN most heads of a layer
 * @property {number} d
 * @property {number} T
 * @property {number} S
 * @property {Token[]} tokens
 * @property {Token[]} keys the same object as `tokens` unless the keys are another text's
 * @property {string[]} words
 * @property {string[]} keyWords
 * @property {number[][]} sentences [from, to) in tokens
 * @property {number[][]} keySentences
 * @property {Mask} mask of the first layer, as the fields below
 * @property {number} scale
 * @property {number} temperature
 * @property {Float32Array | null} alibi
 * @property {{shape: number[], values: Float32Array} | null} bias
 * @property {"ltr" | "rtl"} dir
 * @property {"ltr" | "rtl"} keyDir
 * @property {boolean} cjk
 * @property {boolean} finite
 * @property {string} text or its beginning
 * @property {string | null} intervention
 * @property {Record<string, (number | null)[][]> | null} scores that the page gives
 * @property {Model | null} before the run as trained, where this one has a change
 */

let unpackCount = 0;

/**
 * Bytes of one message (at any offset of their buffer) to a model; queries and keys are decoded when first asked for.
 *
 * @returns {Model}
 */
export function unpack(bytes) {
  const { header, buffer, start } = readAligned(bytes);
  if (header.version !== 1) throw new Error(`message version ${header.version}, this view reads version 1`);
  return unpackModel(header, buffer, start);
}

/** @returns {Model} */
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
    finite: layers.every((layer) => !layer.broken.length),
    text: header.text,
    intervention: header.intervention,
    scores: header.scores,
    before: header.before ? unpackModel(header.before, buffer, start) : null,
  };
}

function unpackTokens(columns, words) {
  const special = new Set(columns.special),
    continues = new Set(columns.continues);
  return columns.labels.map((label, i) => ({
    full: label,
    label: shortened(label),
    w: columns.words[i] < 0 || columns.words[i] >= words.length ? null : columns.words[i],
    sp: special.has(i),
    cont: continues.has(i),
  }));
}

function unpackLayer(layer, { header, buffer, start, masks, biases, T, S }) {
  const { heads, at, scale, base, temperature, headScale, softcap, sinks, broken, groups = null } = layer,
    d = header.d;
  const queries = heads * T * d,
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
    softcap,
    sinks,
    get q() {
      return (q ||= new Float32Array(buffer, start + at, queries));
    },
    get k() {
      return (k ||= new Float32Array(buffer, start + at + queries * 4, keys));
    },
  };
}

/** Bits of a mask to one byte per entry; its shape (heads, queries, keys) may hold 1 where all share. */
function unpackBits({ shape, at }, buffer, start) {
  const count = shape[0] * shape[1] * shape[2],
    bits = new Uint8Array(buffer, start + at, Math.ceil(count / 8)),
    values = new Uint8Array(count);
  for (let i = 0; i < count; i++) values[i] = (bits[i >> 3] >> (i & 7)) & 1;
  return { shape, values };
}
