/* kernel.js: the blocks of the matrix product in WebAssembly, four numbers at a time, where the browser has it: written
   here instruction by instruction, and compiled when a model is opened. No DOM.

   product(x, w, out, n, m, k): out = x wᵀ for n even, m and k multiples of 4; places in bytes. As in matrix.js a block
   is 2 rows of x by 4 rows of w; here its 8 sums are of four lanes each. */

const PAGE = 65_536; // bytes
const PASSAGE = 8_000_000; // bytes

const [I32, V128] = [0x7f, 0x7b];
const NUMBER = 4; // bytes
const LANES = 16; // bytes

/** An integer in as few bytes as it needs (LEB128), with a sign as `i32.const` takes it. */
function leb(value, signed = false) {
  const bytes = [];
  for (;;) {
    const byte = value & 0x7f;
    value >>= 7;
    const done = signed ? (value === 0 && !(byte & 0x40)) || (value === -1 && byte & 0x40) : value === 0;
    bytes.push(done ? byte : byte | 0x80);
    if (done) return bytes;
  }
}

const get = (local) => [0x20, ...leb(local)];
const set = (local, ...value) => [...value.flat(), 0x21, ...leb(local)];
const constant = (value) => [0x41, ...leb(value, true)];
const add = (a, b) => [...a, ...b, 0x6a];
const times = (a, b) => [...a, ...b, 0x6c];
const below = (a, b) => [...a, ...b, 0x49];
const load = (at) => [...at, 0xfd, 0x00, 0x02, 0x00]; // v128, at addresses of whole numbers
const mulAdd = (sum, a, b) => set(sum, get(sum), get(a), get(b), [0xfd, 0xe6, 0x01], [0xfd, 0xe4, 0x01]);
const lane = (local, number) => [...get(local), 0xfd, 0x1f, number];
const loopWhile = (body, condition) => [0x03, 0x40, ...body.flat(), ...condition, 0x0d, 0x00, 0x0b];

/** The lanes of a sum, added, stored at an address and an offset. */
const storeSum = (at, offset, sum) =>
  [
    get(at),
    lane(sum, 0),
    lane(sum, 1),
    [0x92],
    lane(sum, 2),
    lane(sum, 3),
    [0x92],
    [0x92],
    [0x38, 0x02, ...leb(offset)],
  ].flat();

function kernelCode() {
  const [X, W, OUT, N, M, K] = [0, 1, 2, 3, 4, 5];
  const [J, I, XROW, WROW, PA, PB, Q0, Q1, Q2, Q3, END, ROW, AT] = Array.from({ length: 13 }, (_, i) => 6 + i);
  const [U, V, C] = [19, 20, 21];
  const sums = Array.from({ length: 8 }, (_, i) => 22 + i); // of the first row of x, then of the second
  const zero = [0xfd, 0x0c, ...new Array(LANES).fill(0)];
  const rows = [Q0, Q1, Q2, Q3];
  const inner = [
    set(U, load(get(PA))),
    set(V, load(get(PB))),
    ...rows.flatMap((q, r) => [set(C, load(get(q))), mulAdd(sums[r], U, C), mulAdd(sums[4 + r], V, C)]),
    ...[PA, PB, ...rows].map((pointer) => set(pointer, add(get(pointer), constant(LANES)))),
  ];
  const block = [
    ...sums.map((sum) => set(sum, zero)),
    set(PA, get(XROW)),
    set(END, add(get(XROW), get(ROW))),
    set(PB, get(END)),
    set(Q0, get(WROW)),
    ...[Q1, Q2, Q3].map((q, r) => set(q, add(get(rows[r]), get(ROW)))),
    loopWhile(inner, below(get(PA), get(END))),
    ...[0, 1, 2, 3].map((r) => storeSum(AT, r * NUMBER, sums[r])),
    set(AT, add(get(AT), times(get(M), constant(NUMBER)))),
    ...[0, 1, 2, 3].map((r) => storeSum(AT, r * NUMBER, sums[4 + r])),
    set(AT, add(get(AT), times(get(M), constant(NUMBER)))),
    set(XROW, add(get(END), get(ROW))),
    set(I, add(get(I), constant(2))),
  ];
  const column = [
    set(I, constant(0)),
    set(XROW, get(X)),
    set(AT, add(get(OUT), times(get(J), constant(NUMBER)))),
    loopWhile(block, below(get(I), get(N))),
    set(WROW, add(get(WROW), times(get(ROW), constant(4)))),
    set(J, add(get(J), constant(4))),
  ];
  const body = [
    set(ROW, times(get(K), constant(NUMBER))),
    set(WROW, get(W)),
    loopWhile(column, below(get(J), get(M))),
    [0x0b],
  ].flat();
  return [2, 13, I32, 11, V128, ...body];
}

/** The module: one function, which works in the memory that it is given. */
function kernelModule() {
  const section = (id, bytes) => [id, ...leb(bytes.length), ...bytes];
  const name = (text) => [text.length, ...[...text].map((ch) => ch.charCodeAt(0))];
  const code = kernelCode();
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 6, ...new Array(6).fill(I32), 0]),
    ...section(2, [1, ...name("page"), ...name("memory"), 0x02, 0x00, 0]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name("product"), 0, 0]),
    ...section(10, [1, ...leb(code.length), ...code]),
  ]);
}

/**
 * The kernel with its memory: tensors lie in the first part, and what a product reads and writes beside them passes
 * through the rest.
 */
export class Kernel {
  /** @param {number} numbers room for so many. Errors: whatever the browser lacks. */
  constructor(numbers) {
    this.taken = 0; // bytes
    this.passage = numbers * NUMBER;
    const pages = Math.ceil((this.passage + PASSAGE) / PAGE);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(kernelModule()), { page: { memory } });
    this.buffer = memory.buffer;
    /** @type {(x: number, w: number, out: number, n: number, m: number, k: number) => void} */
    this.multiply = /** @type {any} */ (exports.product);
  }

  /** An array of n numbers in the first part. @param {number} n */
  take(n) {
    const array = new Float32Array(this.buffer, this.taken, n);
    this.taken += n * NUMBER;
    return array;
  }

  /**
   * x wᵀ for the first m − m % 4 rows of w, handed out a few rows at a time; false where it does not fit.
   *
   * @param {Float32Array} x n × k
   * @param {Float32Array} w m × k, in the first part or anywhere
   * @param {number} n
   * @param {number} m
   * @param {number} k
   * @param {(from: number, rows: number, values: Float32Array) => void} give
   */
  product(x, w, n, m, k, give) {
    const columns = m - (m % 4);
    const own = w.buffer === this.buffer;
    if (!columns || (own && k % 4)) return false;
    const width = k + (-k & 3); // with zeros, where a row is no multiple of four
    const first = this.passage + (own ? 0 : columns * width * NUMBER);
    const free = Math.floor((this.buffer.byteLength - first) / NUMBER / (width + columns));
    const rows = Math.min(n + (n % 2), free - (free % 2));
    if (rows < 2) return false;
    if (!own) copyRows(w, columns, k, new Float32Array(this.buffer, this.passage, columns * width));
    const into = new Float32Array(this.buffer, first, rows * width);
    const out = new Float32Array(this.buffer, first + rows * width * NUMBER, rows * columns);
    for (let from = 0; from < n; from += rows) {
      const here = Math.min(rows, n - from);
      copyRows(x.subarray(from * k, (from + here) * k), here, k, into);
      // of an odd number of rows the last one is multiplied with whatever lies there, and not handed out
      this.multiply(first, own ? w.byteOffset : this.passage, out.byteOffset, here + (here % 2), columns, width);
      give(from, here, out);
    }
    return true;
  }
}

/** The first n rows of k numbers, each filled up with zeros to a multiple of four. */
function copyRows(x, n, k, into) {
  const width = k + (-k & 3);
  if (width === k) return into.set(x.subarray(0, n * k));
  for (let i = 0; i < n; i++) {
    into.set(x.subarray(i * k, (i + 1) * k), i * width);
    into.fill(0, i * width + k, (i + 1) * width);
  }
}

/** @type {WeakMap<ArrayBufferLike, Kernel>} */
const kernels = new WeakMap();

/** The kernel in whose memory an array lies. @param {Float32Array} array */
export const kernelOf = (array) => kernels.get(array.buffer);

/**
 * Arrays for so many numbers in all: in a kernel's memory where the browser has one.
 *
 * @param {number} numbers
 * @returns {(n: number) => Float32Array}
 */
export function roomFor(numbers) {
  try {
    const kernel = new Kernel(numbers);
    kernels.set(kernel.buffer, kernel);
    return (n) => kernel.take(n);
  } catch {
    return (n) => new Float32Array(n); // an old browser: matrix.js computes the same by itself
  }
}
