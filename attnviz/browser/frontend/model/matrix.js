/* matrix.js: the one matrix product of the model. Matrices are Float32Arrays, row by row. No DOM. */
import { kernelOf } from "./kernel.js";

/**
 * out = x wᵀ + b.
 *
 * Where w, or `near`, lies in a kernel's memory, the kernel computes it, in float32; else it is computed here, in
 * float64, each sum rounded once. Blocks of 2 × 4 sums stay in registers: each number that is read serves 2 or 4 of
 * them. The four rows of w are read by all rows of x before the next four, so they stay in the first cache.
 *
 * @param {Float32Array} x n × k
 * @param {Float32Array} w m × k
 * @param {Float32Array | null} b m
 * @param {number} n
 * @param {number} m
 * @param {number} k
 * @param {Float32Array} [out] n × m
 * @param {Float32Array} [near]
 * @returns {Float32Array} out
 */
export function product(x, w, b, n, m, k, out = new Float32Array(n * m), near = w) {
  const fullColumns = m - (m % 4);
  const give = (from, rows, values) => takeRows(values, fullColumns, b, from, rows, m, out);
  if (!kernelOf(near)?.product(x, w, n, m, k, give)) blocks(x, w, b, n, m, k, out);
  for (let j = fullColumns; j < m; j++) for (let i = 0; i < n; i++) out[i * m + j] = dot(x, w, b, i, j, k);
  return out;
}

/** Rows of the kernel's sums, each of `columns` numbers, with b added. */
function takeRows(values, columns, b, from, rows, m, out) {
  if (!b && columns === m) return out.set(values.subarray(0, rows * m), from * m);
  for (let i = 0; i < rows; i++) {
    const at = (from + i) * m,
      v = i * columns;
    if (b) for (let j = 0; j < columns; j++) out[at + j] = values[v + j] + b[j];
    else for (let j = 0; j < columns; j++) out[at + j] = values[v + j];
  }
}

/** All full blocks of four columns. */
function blocks(x, w, b, n, m, k, out) {
  const evenRows = n - (n % 2);
  for (let j = 0; j + 4 <= m; j += 4) {
    for (let i = 0; i < evenRows; i += 2) block2x4(x, w, b, i, j, m, k, out);
    if (evenRows < n) for (let one = j; one < j + 4; one++) out[evenRows * m + one] = dot(x, w, b, evenRows, one, k);
  }
}

function block2x4(x, w, b, i, j, m, k, out) {
  const x0 = i * k,
    x1 = x0 + k;
  const w0 = j * k,
    w1 = w0 + k,
    w2 = w1 + k,
    w3 = w2 + k;
  let a00 = 0,
    a01 = 0,
    a02 = 0,
    a03 = 0,
    a10 = 0,
    a11 = 0,
    a12 = 0,
    a13 = 0;
  for (let p = 0; p < k; p++) {
    const u = x[x0 + p],
      v = x[x1 + p];
    const c0 = w[w0 + p],
      c1 = w[w1 + p],
      c2 = w[w2 + p],
      c3 = w[w3 + p];
    a00 += u * c0;
    a01 += u * c1;
    a02 += u * c2;
    a03 += u * c3;
    a10 += v * c0;
    a11 += v * c1;
    a12 += v * c2;
    a13 += v * c3;
  }
  const b0 = b ? b[j] : 0,
    b1 = b ? b[j + 1] : 0,
    b2 = b ? b[j + 2] : 0,
    b3 = b ? b[j + 3] : 0;
  const first = i * m + j,
    second = first + m;
  out[first] = a00 + b0;
  out[first + 1] = a01 + b1;
  out[first + 2] = a02 + b2;
  out[first + 3] = a03 + b3;
  out[second] = a10 + b0;
  out[second + 1] = a11 + b1;
  out[second + 2] = a12 + b2;
  out[second + 3] = a13 + b3;
}

function dot(x, w, b, i, j, k) {
  let sum = b ? b[j] : 0;
  for (let p = 0, u = i * k, v = j * k; p < k; p++) sum += x[u + p] * w[v + p];
  return sum;
}

/**
 * The columns of a matrix as rows.
 *
 * @param {Float32Array} x n × m
 * @returns {Float32Array} m × n
 */
export function transposed(x, n, m) {
  const out = new Float32Array(x.length);
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) out[j * n + i] = x[i * m + j];
  return out;
}

/** The sum of two arrays of one length. @param {Float32Array} x @param {Float32Array} y */
export function sumOf(x, y) {
  const out = new Float32Array(x.length);
  for (let i = 0; i < x.length; i++) out[i] = x[i] + y[i];
  return out;
}
