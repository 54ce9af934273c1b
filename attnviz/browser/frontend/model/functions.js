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

/**
 * The error function, off by at most 3e-7, without an exponential. Abramowitz and Stegun 1964, 7.1.28.
 *
 * @param {number} x
 */
function erf(x) {
  const a = Math.abs(x);
  const high = 0.0001520143 + a * (0.0002765672 + a * 0.0000430638);
  let power = 1 + a * (0.0705230784 + a * (0.0422820123 + a * (0.0092705272 + a * high)));
  for (let i = 0; i < 4; i++) power *= power; // to the sixteenth
  const value = 1 - 1 / power;
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
