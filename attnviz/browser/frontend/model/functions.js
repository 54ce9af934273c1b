/* functions.js: what stands between the matrices: layer norm and the activations. No DOM. */

/**
 * (x − mean) / √(variance + ε) · weight + bias, per row. Ba et al. 2016, section 3.
 *
 * @param {Float32Array} x n × c
 * @param {{weight: Float32Array, bias: Float32Array | null} | null} norm null: x as it is
 * @param {number} eps
 * @param {number} c
 * @returns {Float32Array}
 */
export function layerNorm(x, norm, eps, c) {
  if (!norm) return x;
  const { weight, bias } = norm;
  const out = new Float32Array(x.length);
  for (let row = 0; row < x.length; row += c) {
    let mean = 0;
    for (let i = 0; i < c; i++) mean += x[row + i];
    mean /= c;
    let variance = 0;
    for (let i = 0; i < c; i++) variance += (x[row + i] - mean) ** 2;
    const by = 1 / Math.sqrt(variance / c + eps);
    for (let i = 0; i < c; i++) out[row + i] = (x[row + i] - mean) * by * weight[i] + (bias ? bias[i] : 0);
  }
  return out;
}

const ROOT_HALF = Math.sqrt(0.5);
const ROOT_2_BY_PI = Math.sqrt(2 / Math.PI);

const STEP = 1 / 128;
const FAR = 6; // from which on float64 has 1
const NODES = Array.from({ length: FAR / STEP + 1 }, (_, i) => i * STEP);
const SLOPES = Float64Array.from(NODES, (x) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x));
const VALUES = Float64Array.from(NODES, (x, i) => SLOPES[i] * seriesOf(x));

/** erf(x) / erf'(x) = Σ 2ⁿ x²ⁿ⁺¹ / (1 · 3 · … · (2n + 1)). Abramowitz and Stegun 1964, 7.1.6. */
function seriesOf(x) {
  let sum = 0;
  for (let n = 0, term = x; term > 1e-17 * sum; n++, term *= (2 * x * x) / (2 * n + 1)) sum += term;
  return sum;
}

/**
 * The error function within 1e-9, by the third-order Taylor series around the nearest node: an exponential per number
 * would take longer.
 *
 * @param {number} x
 */
export function erf(x) {
  const a = Math.abs(x);
  if (a >= FAR) return Math.sign(x);
  const i = (a / STEP + 0.5) | 0,
    node = i * STEP,
    h = a - node;
  const value = VALUES[i] + SLOPES[i] * h * (1 - h * (node - (h * (2 * node * node - 1)) / 3));
  return x < 0 ? -value : value;
}

const ACTIVATIONS = {
  relu: (x) => (x > 0 ? x : 0),
  gelu: (x) => 0.5 * x * (1 + erf(x * ROOT_HALF)), // Hendrycks and Gimpel 2016, section 2
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(ROOT_2_BY_PI * (x + 0.044715 * x * x * x))),
};

/** Applies "relu", "gelu" or "gelu_tanh" to every number, in place. @param {Float32Array} x @param {string} name */
export function activate(x, name) {
  const of = ACTIVATIONS[name];
  if (!of) throw new Error(`activation "${name}" is not one of ${Object.keys(ACTIVATIONS).join(", ")}`);
  for (let i = 0; i < x.length; i++) x[i] = of(x[i]);
  return x;
}
