/* positions.js: the positional encodings, as attnviz/nn/positions.py has them. No DOM. */

const BASE = 10_000;

export const SCHEMES = ["none", "sinusoidal", "learned", "rope", "alibi"];

/**
 * PE[p, 2i] = sin(p / base^(2i/C)), PE[p, 2i+1] = cos(p / base^(2i/C)). Vaswani et al. 2017, section 3.5.
 *
 * @param {number} start the first position
 * @param {number} n
 * @param {number} c even
 * @returns {Float32Array} n × c
 */
export function sinusoidal(start, n, c) {
  const table = new Float32Array(n * c);
  for (let t = 0; t < n; t++)
    for (let i = 0; i < c; i += 2) {
      const angle = (start + t) * BASE ** -(i / c);
      table[t * c + i] = Math.sin(angle);
      table[t * c + i + 1] = Math.cos(angle);
    }
  return table;
}

/** The newest table of angles: every layer of a run turns by the same. */
let turns = { key: "", cos: new Float32Array(0), sin: new Float32Array(0) };

/** cos and sin of p / base^(2i/D), position by position. */
function turnsOf(n, d, start) {
  const key = [n, d, start].join();
  if (turns.key === key) return turns;
  const half = d / 2;
  const [cos, sin] = [new Float32Array(n * half), new Float32Array(n * half)];
  for (let i = 0; i < half; i++) {
    const frequency = BASE ** -((2 * i) / d);
    for (let t = 0; t < n; t++) {
      cos[t * half + i] = Math.cos((start + t) * frequency);
      sin[t * half + i] = Math.sin((start + t) * frequency);
    }
  }
  return (turns = { key, cos, sin });
}

/**
 * Turns each pair (x[2i], x[2i+1]) at position p by the angle p / base^(2i/D), in place. Su et al. 2021, section 3.2.2.
 *
 * @param {Float32Array} x heads × n × d
 * @param {number} heads
 * @param {number} n
 * @param {number} d even
 * @param {number} start the first position
 */
export function rotate(x, heads, n, d, start) {
  const { cos, sin } = turnsOf(n, d, start);
  const pairs = (n * d) / 2;
  for (let h = 0; h < heads; h++)
    for (let pair = 0, at = h * n * d; pair < pairs; pair++, at += 2) {
      const even = x[at],
        odd = x[at + 1];
      x[at] = even * cos[pair] - odd * sin[pair];
      x[at + 1] = even * sin[pair] + odd * cos[pair];
    }
}

/**
 * 2^(−8(h+1)/H) for H a power of two, the paper's interpolation otherwise. Press et al. 2022, section 3 and its code.
 *
 * @param {number} heads
 * @returns {Float32Array} a slope per head
 */
export function alibiSlopes(heads) {
  const power = 2 ** Math.floor(Math.log2(heads));
  const slope = (h) => (h < power ? 2 ** ((-8 * (h + 1)) / power) : 2 ** ((-4 * (2 * (h - power) + 1)) / power));
  return Float32Array.from({ length: heads }, (_, h) => slope(h));
}

/**
 * Refuses a scheme that a model cannot run with.
 *
 * @param {string} scheme
 * @param {import("./transformer.js").Config} config
 */
export function checkScheme(scheme, config) {
  if (!SCHEMES.includes(scheme)) throw new Error(`positions "${scheme}" is not one of ${SCHEMES.join(", ")}`);
  const width = config.d_model / config.n_heads;
  if (scheme === "rope" && width % 2) throw new Error(`head width ${width} is not divisible by rotary pairs of 2`);
  if (scheme === "sinusoidal" && config.d_model % 2)
    throw new Error(`d_model=${config.d_model} is not divisible by sin and cos pairs of 2`);
  if (scheme === "learned" && config.positions !== "learned")
    throw new Error("this model has no learned positions to switch to");
}
