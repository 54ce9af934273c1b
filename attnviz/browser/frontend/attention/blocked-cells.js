/* blocked-cells.js: a mask painted by hand, as a sorted list of blocked (query, key) pairs of tokens and as a
   bitmap. No DOM. */
import { MOST_PAINTED } from "../core/contract.js";

/** @typedef {[number, number]} Pair a query and a key */

/** The painted pairs of a T × S bitmap, in order. @returns {Pair[]} */
export function paintedPairs(bits, S) {
  const pairs = [];
  for (let at = bits.indexOf(1); at >= 0; at = bits.indexOf(1, at + 1)) pairs.push([(at / S) | 0, at % S]);
  return pairs;
}

/** @type {WeakMap<Pair[], {bits: Uint8Array, T: number, S: number}>} list of pairs → its bitmap */
const paintedBitmaps = new WeakMap();

/** The T × S bitmap of a list of pairs; remembered, for every frame asks for it. Not to be written to. */
export function paintedBits(cells, T, S) {
  const known = paintedBitmaps.get(cells);
  if (known && known.T === T && known.S === S) return known.bits;
  const bits = new Uint8Array(T * S);
  for (const [i, j] of cells) if (i < T && j < S) bits[i * S + j] = 1;
  rememberBits(cells, bits, T, S);
  return bits;
}

/** Tells which bitmap belongs to a list that was made from it. */
export function rememberBits(cells, bits, T, S) {
  paintedBitmaps.set(cells, { bits, T, S });
}

/** Cells [q, k] on the way from one to another, without the first. */
export function cellsBetween([q0, k0], [q1, k1]) {
  const n = Math.max(Math.abs(q1 - q0), Math.abs(k1 - k0));
  return Array.from({ length: n }, (_, i) => [
    Math.round(q0 + ((q1 - q0) * (i + 1)) / n),
    Math.round(k0 + ((k1 - k0) * (i + 1)) / n),
  ]);
}

/** How much is painted, or how to begin. */
export function paintedText({ painted: { length } }) {
  if (!length) return "drag over cells to block them";
  const full = length === MOST_PAINTED ? ", no more fit" : "";
  return `${length.toLocaleString("en")} ${length === 1 ? "cell" : "cells"} blocked${full}`;
}
