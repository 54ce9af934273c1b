/* message.js: a trace as the message that the attention view reads: queries and keys, from which it derives every
   weight. As attnviz/browser/attention_message.py writes it. No DOM. */
import { BLANK } from "./characters.js";
import { interventionText } from "./intervention.js";
import { tokenColumns } from "./token-columns.js";

const VERSION = 1;
const LONGEST_NAME = 240; // characters of the text that a picture names
const ALIGNED = 8; // bytes

/** The parts that stand after a header. */
export class Payload {
  constructor() {
    this.parts = [];
    this.length = 0;
  }

  /** Appends arrays back to back and returns where they start. @param {...(Float32Array | Uint8Array)} arrays */
  add(...arrays) {
    const start = this.length;
    for (const one of arrays) {
      this.parts.push([this.length, one]);
      this.length += one.byteLength;
    }
    this.length += -this.length & (ALIGNED - 1);
    return start;
  }
}

/**
 * @typedef {object} Named a run with its tokens by name
 * @property {import("./transformer.js").Trace} trace
 * @property {import("./tokenizer.js").Encoding} encoding
 * @property {import("./tokenizer.js").Encoding} [source] the encoder's tokens
 */

/**
 * @param {Named} run
 * @param {object} about
 * @param {string} about.title the model's
 * @param {string} about.name
 * @param {Named | null} [about.before] a run of the same text to compare with
 * @param {"self" | "cross" | "encoder"} [about.stack]
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function pack(run, { title, name, before = null, stack = "self" }) {
  const payload = new Payload();
  const first = described(run, payload, { title, name, stack });
  const header = { ...first, before: before && described(before, payload, { title, name, stack }), scores: {} };
  return framed(header, payload);
}

/** A header and what stands after it as one frame, which core/framing.js reads. @param {Payload} payload */
export function framed(header, payload) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = 4 + text.length + (-(4 + text.length) & (ALIGNED - 1));
  const bytes = new Uint8Array(start + payload.length);
  new DataView(bytes.buffer).setUint32(0, start - 4, true);
  bytes.fill(32, 4, start);
  bytes.set(text, 4);
  for (const [at, part] of payload.parts)
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), start + at);
  return bytes;
}

/** @param {Named} run */
function described({ trace, encoding, source = null }, payload, { title, name, stack }) {
  const side = stack === "encoder" ? trace.source : trace;
  const own = stack === "encoder" ? source : encoding;
  const attentions = side.layers.map((layer) => (stack === "cross" ? layer.cross : layer.attention));
  const masks = new Map();
  const layers = attentions.map((attention) => layerOf(attention, payload, masks, side.intervention));
  const change = side.intervention;
  return {
    version: VERSION,
    title,
    name,
    stack,
    d: attentions[0].d,
    text: beginning(own.text),
    ...tokenColumns(own),
    ...(stack === "cross" ? tokenColumns(source, true) : {}),
    layers,
    masks: [...masks.keys()].map((text) => JSON.parse(text)),
    biases: [],
    intervention: change && interventionText(change),
    before: null,
  };
}

function layerOf(attention, payload, masks, change) {
  const { heads, d, T, q, k, scale, temperature, alibi, headScale } = attention;
  const { causal, window, length, blocked } = attention.mask;
  const mask = JSON.stringify({ causal, window, length, blocked, keys: null, dense: null, extra: 0 });
  if (!masks.has(mask)) masks.set(mask, masks.size);
  const finite = (h) => allFinite(q, h, T * d) && allFinite(k, h, k.length / heads);
  return {
    heads,
    at: payload.add(q, k),
    scale,
    base: change && !change.scaled && scale === 1 ? 1 / Math.sqrt(d) : scale,
    temperature,
    mask: masks.get(mask),
    bias: null,
    alibi: alibi && Array.from(alibi),
    softcap: null,
    sinks: null,
    headScale,
    groups: null,
    broken: [...Array(heads).keys()].filter((h) => !finite(h)),
  };
}

function allFinite(x, h, size) {
  let sum = 0;
  for (let i = h * size; i < (h + 1) * size; i++) sum += x[i] * 0; // NaN and ∞ become NaN, and stay it
  return sum === 0;
}

/** A text as a picture names it: on one line, and of a long one the beginning. */
function beginning(text) {
  const line = [...text].map((ch) => (BLANK.test(ch) ? " " : ch)).join("");
  const characters = [...line.split(/ +/).filter(Boolean).join(" ")];
  return characters.length <= LONGEST_NAME ? characters.join("") : `${characters.slice(0, LONGEST_NAME).join("")} …`;
}
