/* sampling.js: the next token: its probabilities under a temperature, the likeliest, or a drawn one; as
   attnviz/generation/sampling.py has it. No DOM. */

/**
 * softmax(logits / τ) of one row. This temperature acts once, on what the model says; that of an intervention acts in
 * every attention row.
 *
 * @param {Float32Array} logits
 * @param {number} temperature
 * @returns {Float64Array}
 */
export function probabilities(logits, temperature) {
  const p = Float64Array.from(logits);
  let top = -Infinity;
  for (const value of p) if (value > top) top = value;
  let sum = 0;
  for (let i = 0; i < p.length; i++) sum += p[i] = Math.exp((p[i] - top) / temperature);
  for (let i = 0; i < p.length; i++) p[i] /= sum;
  return p;
}

/** The largest entry's index, the first of equals. @param {ArrayLike<number>} p */
export function likeliest(p) {
  let best = 0;
  for (let i = 1; i < p.length; i++) if (p[i] > p[best]) best = i;
  return best;
}

/** An index drawn with these probabilities. @param {Float64Array} p @param {() => number} random in [0, 1) */
export function drawn(p, random) {
  let left = random();
  for (let i = 0; i < p.length; i++) {
    left -= p[i];
    if (left < 0) return i;
  }
  return likeliest(p); // what rounding left over
}

/** The n likeliest, first the most. @param {Float64Array} p @param {number} n @returns {number[]} */
export function ranking(p, n) {
  const first = [];
  for (let i = 0; i < p.length; i++) {
    if (first.length === n && p[i] <= p[first[n - 1]]) continue;
    let at = first.length;
    while (at && p[first[at - 1]] < p[i]) at--;
    first.splice(at, 0, i);
    if (first.length > n) first.pop();
  }
  return first;
}
