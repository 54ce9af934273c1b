/* safetensors.js: a file of weights: 8 bytes, the length of the JSON that follows, then the numbers. Every size is
   checked before memory is taken. No DOM. */
import { roomFor } from "./kernel.js";

const MAX_HEADER = 10_000_000;
const MAX_NUMBERS = 100_000_000; // 400 MB as float32
const BYTES = { F16: 2, BF16: 2, F32: 4 };

/** @typedef {{dtype: string, shape: number[], from: number, to: number}} Entry bytes of the file */

/**
 * What a file says of its tensors, by name. Errors: one sentence.
 *
 * @param {Uint8Array} bytes
 * @returns {Map<string, Entry>}
 */
export function readHeader(bytes) {
  if (bytes.length < 8) throw new Error(`This is not a file of weights: it has ${bytes.length} bytes.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > MAX_HEADER) throw new Error("This is not a file of weights: it does not begin as a safetensors file.");
  if (8 + length > bytes.length) throw new Error("The file of weights is cut off: it ends in its header.");
  const header = parsed(bytes.subarray(8, 8 + length));
  /** @type {Map<string, Entry>} */
  const entries = new Map();
  let ends = 0,
    numbers = 0;
  for (const [name, given] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const entry = entryOf(name, given, 8 + length);
    ends = Math.max(ends, entry.to);
    numbers += (entry.to - entry.from) / BYTES[entry.dtype];
    entries.set(name, entry);
  }
  if (ends !== bytes.length)
    throw new Error(`The file of weights is not whole: it has ${bytes.length} bytes where its header names ${ends}.`);
  if (numbers > MAX_NUMBERS)
    throw new Error(`The file holds ${numbers} numbers, more than the ${MAX_NUMBERS} allowed.`);
  return entries;
}

function parsed(bytes) {
  let header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    header = null;
  }
  if (header === null || typeof header !== "object" || Array.isArray(header))
    throw new Error("This is not a file of weights: its header is not a JSON object.");
  return header;
}

const isSize = (n) => Number.isSafeInteger(n) && n >= 0;

/** @returns {Entry} */
function entryOf(name, given, start) {
  const { dtype, shape, data_offsets: offsets } = given ?? {};
  const lists = Array.isArray(shape) && shape.every(isSize) && Array.isArray(offsets) && offsets.every(isSize);
  if (!lists || offsets.length !== 2) throw new Error(`The file of weights does not say where ${name} is.`);
  if (!Object.hasOwn(BYTES, dtype))
    throw new Error(`${name} is ${dtype}; only ${Object.keys(BYTES).join(", ")} weights are read.`);
  const size = shape.reduce((a, b) => a * b, 1) * BYTES[dtype];
  if (offsets[1] - offsets[0] !== size)
    throw new Error(
      `The file of weights gives ${name} ${offsets[1] - offsets[0]} bytes where its shape needs ${size}.`,
    );
  return { dtype, shape, from: start + offsets[0], to: start + offsets[1] };
}

/**
 * The tensors as float32, each converted once. Errors: one sentence for what is NaN or infinite.
 *
 * @param {Uint8Array} bytes
 * @param {Map<string, Entry>} entries
 * @returns {Map<string, Float32Array>}
 */
export function readTensors(bytes, entries) {
  const sizes = [...entries.values()].map(({ dtype, from, to }) => (to - from) / BYTES[dtype]);
  const room = roomFor(sizes.reduce((sum, n) => sum + n, 0));
  const tensors = new Map();
  for (const [name, { dtype, from, to }] of entries) {
    const values = room((to - from) / BYTES[dtype]);
    READERS[dtype](bytes.slice(from, to).buffer, values);
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[i];
    if (!Number.isFinite(sum)) throw new Error(`${name} holds NaN or infinite numbers.`); // finite terms, finite sum
    tensors.set(name, values);
  }
  return tensors;
}

/** @type {Record<string, (buffer: ArrayBuffer, values: Float32Array) => void>} */
const READERS = {
  F32: (buffer, values) => values.set(new Float32Array(buffer)),
  BF16: (buffer, values) => {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    new Uint16Array(buffer).forEach((half, i) => (bits[i] = half << 16));
  },
  F16: (buffer, values) => {
    const table = halfTable();
    const halves = new Uint16Array(buffer);
    for (let i = 0; i < halves.length; i++) values[i] = table[halves[i]];
  },
};

/** @type {Float32Array | null} */
let halves = null;

/** The number of each of the 65,536 halves. IEEE 754-2008, binary16. */
function halfTable() {
  if (halves) return halves;
  halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31,
      fraction = bits & 1023;
    let value = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
    if (exponent === 31) value = fraction ? NaN : Infinity;
    halves[bits] = bits >> 15 ? -value : value;
  }
  return halves;
}
