/* selectors-why.js: why a weight is what it is: the pair of tokens behind a cell, its products, and the way from their
   sum to the share. Pure, no DOM. */
import { number, percent } from "../core/format.js";
import { explain, products } from "./maths.js";
import { headOf, headShown, layerOf, settingsOf, sourceOf } from "./selectors.js";

/**
 * @typedef {object} Why
 * @property {number[]} pair query and key token
 * @property {number[]} parts the d products, whose sum is q·k
 * @property {boolean} finite
 * @property {number} up how many of them raise the score
 * @property {boolean} allowed whether the mask lets the query see the key
 * @property {number} weight
 * @property {ReturnType<typeof explain>} steps
 * @property {(vectors: "q" | "k", c: number) => number} factor a query's or key's number in one dimension
 */

/**
 * The pair of tokens behind the cell in focus: of joined words, the pair with the largest weight.
 *
 * @param {import("./items.js").Items} items
 * @param {import("./selectors-scene.js").Focus} focus
 * @param {Float32Array} full the weights of tokens by S tokens
 * @returns {number[] | null}
 */
export function pairOf({ queries, keys }, { q, k }, full, S) {
  if (q < 0 || k < 0) return null;
  let best = [queries.list[q].toks[0], keys.list[k].toks[0]];
  for (const i of queries.list[q].toks)
    for (const j of keys.list[k].toks) if (full[i * S + j] > full[best[0] * S + best[1]]) best = [i, j];
  return best;
}

/** @param {import("./selectors.js").Snapshot} at @param {number[]} pair @returns {Why} */
export function whyOf(at, pair, full) {
  const source = sourceOf(at);
  const shown = headShown(at);
  const layer = layerOf(at.model, shown);
  const head = headOf(at.model, shown);
  const [query, key] = pair;
  const parts = Array.from(products(source, layer, head, query, key));
  const steps = explain(source, layer, head, query, key, settingsOf(at));
  const { q, k } = source.layers[layer];
  const { T, S, d } = source;
  return {
    pair,
    parts,
    finite: parts.every(Number.isFinite),
    up: parts.filter((p) => p > 0).length,
    allowed: steps.allowed,
    weight: full[query * S + key],
    steps,
    factor: (vectors, c) => (vectors === "q" ? q[(head * T + query) * d + c] : k[(head * S + key) * d + c]),
  };
}

/** What stands under the pair: how many products raise the score, or the one under the pointer. @param {Why} why */
export function whyDetail({ finite, parts, up, factor }, bar) {
  if (!finite) return "";
  if (bar === null) return `${up} of ${parts.length} products raise the score`;
  return `dimension ${bar}: ${number(factor("q", bar))} × ${number(factor("k", bar))} = ${number(parts[bar])}`;
}

/**
 * Why the matrix may show another number than the pair's weight: joined words hold several pairs, and hidden tokens
 * may be left out of the row. Empty where both are one number.
 *
 * @param {Why} why
 * @param {import("./items.js").Item} query
 * @param {import("./items.js").Item} key
 * @param {number} shown what the matrix shows
 * @param {boolean} renormalised whether the row adds up to 1 without the hidden tokens
 */
export function whyNote({ weight }, query, key, shown, renormalised) {
  const [rows, columns] = [query.toks.length, key.toks.length];
  const ways = [
    rows > 1 && `${rows} query pieces average`,
    columns > 1 && `${columns} key pieces add up`,
    renormalised && percent(shown) !== percent(weight) && "the row without hidden tokens adds up to 100\u202f%",
  ].filter(Boolean);
  if (!ways.length) return "";
  const pair = rows * columns > 1 ? "This is the strongest pair of pieces" : "This is the whole row";
  return `${pair}; the matrix shows ${percent(shown)}: ${ways.join(", ")}.`;
}

/** The way from the sum of the products to the share, as [name, value]. @param {Why} why @returns {string[][]} */
export function whySteps({ steps: at, allowed, weight }, narrow) {
  const { sum, scale, softcap, capped, sink, bias, score, temperature, logit } = at;
  const steps = [["sum q·k", number(sum, 1)]];
  const root = Math.round(1 / scale ** 2);
  const divided = Math.abs(1 / Math.sqrt(root) - scale) < 1e-6;
  if (scale !== 1) steps.push([divided ? `÷ √${root}` : `× ${number(scale, 3)}`, number(sum * scale)]);
  if (softcap !== null) steps.push([`capped at ±${number(softcap)}`, number(capped)]);
  if (bias) steps.push([bias < 0 ? `− ${number(-bias)} position` : `+ ${number(bias)} position`, number(score)]);
  if (temperature !== 1) steps.push([narrow ? "÷ temp." : "÷ temperature", number(logit)]);
  const name = sink === null ? "softmax" : "softmax with a sink";
  steps.push([narrow && steps.length > 2 ? name : `${name}: share`, allowed ? percent(weight) : "masked"]);
  return steps;
}
