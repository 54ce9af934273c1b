/* entropy.js: numbers that are read off a head's weights. No DOM. */
import { log2Of } from "./exponentials.js";

/** Bits of a row divided by its sum: 0 when it is empty, NaN when it holds NaN. */
export function entropy(a, offset, n) {
  let sum = 0,
    bits = 0;
  for (let j = 0; j < n; j++) sum += a[offset + j];
  if (sum === 0) return 0;
  if (!(sum > 0 && sum < Infinity)) return NaN;
  for (let j = 0; j < n; j++) {
    // of p = a / sum: −Σ p log p = log sum − Σ a log a / sum
    const x = a[offset + j];
    if (x > 0) bits -= x * log2Of(x);
  }
  return Math.max(0, Math.log2(sum) + bits / sum);
}

/** Index, from 0, of the largest of n values. */
export function argmax(a, offset, n) {
  let best = 0;
  for (let j = 1; j < n; j++) if (a[offset + j] > a[offset + best]) best = j;
  return best;
}

const MOST_COUNTED = 65536; // cells

/**
 * How many of n keys query i may see.
 *
 * @param {((i: number, j: number) => boolean) | null} allowed null where every query may see every key
 */
export function seenBy(allowed, i, n) {
  if (!allowed) return n;
  let seen = 0;
  for (let j = 0; j < n; j++) if (allowed(i, j)) seen++;
  return seen;
}

/**
 * The fewest and the most keys that a row may see, without those that see none; null where that is much to count.
 *
 * @param {((i: number, j: number) => boolean) | null} allowed
 * @returns {[number, number] | null}
 */
export function seenRange(allowed, nq, nk) {
  if (!allowed) return [nk, nk];
  if (nq * nk > MOST_COUNTED) return null;
  const seen = Array.from({ length: nq }, (_, i) => seenBy(allowed, i, nk)).filter(Boolean);
  return seen.length ? [Math.min(...seen), Math.max(...seen)] : null;
}

/** Mean entropy of a head's rows, in bits; rows that see nothing, or hold NaN, are left out. */
export function meanEntropy(a, nq, nk) {
  let sum = 0;
  let rows = 0;
  for (let i = 0; i < nq; i++) {
    let total = 0;
    for (let j = 0; j < nk; j++) total += a[i * nk + j];
    if (total === 0 || Number.isNaN(total)) continue;
    sum += entropy(a, i * nk, nk);
    rows++;
  }
  return rows ? sum / rows : 0;
}
