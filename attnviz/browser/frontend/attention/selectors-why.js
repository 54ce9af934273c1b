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
 * @property {number} column of Q in which the head's dimensions begin
 */

const MOST_DECIMALS = 7; // as many as a number of 32 bits has, or more

const shownValue = (value, decimals) => Number(value.toFixed(decimals));

/** The fewest decimals, `least` or more, with which what is worked out from what is shown is what is shown of it. */
function decimalsThat(agree, least) {
  let decimals = least;
  while (decimals < MOST_DECIMALS && !agree(decimals)) decimals++;
  return decimals;
}

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
    column: head * d,
    factor: (vectors, c) => (vectors === "q" ? q[(head * T + query) * d + c] : k[(head * S + key) * d + c]),
  };
}

/** What stands under the pair: how many products raise the score, or the one under the pointer. @param {Why} why */
export function whyDetail({ finite, parts, up, factor, column }, bar) {
  if (!finite) return "";
  if (bar === null) return `${up} of ${parts.length} products raise the score`;
  const [q, k, product] = [factor("q", bar), factor("k", bar), number(parts[bar])];
  const n = decimalsThat((n) => number(shownValue(q, n) * shownValue(k, n)) === product, 2);
  return `dimension ${bar} (column ${column + bar} of Q): ${number(q, n)} × ${number(k, n)} = ${product}`;
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

/**
 * The way from the sum of the products to the share, as [name, value]; a calculator gets each number from the one shown
 * before it.
 *
 * @param {Why} why
 * @returns {string[][]}
 */
export function whySteps({ steps: at, allowed, weight }, narrow) {
  const steps = scoreSteps(at, narrow);
  for (let i = steps.length - 1; i > 0; i--) {
    const { value, decimals, by, least, from } = steps[i];
    const agrees = (worked) => number(worked, decimals) === number(value, decimals);
    const before = steps[i - 1];
    steps[i].places = decimalsThat((n) => agrees(from(before.value, shownValue(by, n))), least);
    const byShown = shownValue(by, steps[i].places);
    before.decimals = decimalsThat((n) => agrees(from(shownValue(before.value, n), byShown)), before.decimals);
  }
  const name = at.sink === null ? "softmax" : "softmax with a sink";
  const share = [narrow && steps.length > 2 ? name : `${name}: share`, allowed ? percent(weight) : "masked"];
  return [...steps.map((step) => [step.name(step.places), number(step.value, step.decimals)]), share];
}

/**
 * @typedef {object} ScoreStep
 * @property {(places: number) => string} name
 * @property {number} value
 * @property {number} decimals
 * @property {(before: number, by: number) => number} from makes it of the step before and the number `by`
 * @property {number} by
 * @property {number} least of its decimals
 * @property {number} places its decimals
 */

/** From the sum to what softmax takes. @returns {ScoreStep[]} */
function scoreSteps({ sum, scale, softcap, capped, bias, score, temperature, logit }, narrow) {
  /** @type {ScoreStep[]} */
  const steps = [{ name: () => "sum q·k", value: sum, decimals: 1, by: 0, least: 0, places: 0, from: null }];
  const add = (name, value, from, by = 0, least = 0) =>
    steps.push({ name, value, decimals: 2, by, least, places: 0, from });
  const root = Math.round(1 / scale ** 2);
  const divided = Math.abs(1 / Math.sqrt(root) - scale) < 1e-6 * scale;
  if (scale !== 1 && divided)
    add(
      () => `÷ √${root}`,
      sum * scale,
      (v) => v / Math.sqrt(root),
    );
  else if (scale !== 1)
    add(
      (n) => `× ${number(scale, n)}`,
      sum * scale,
      (v, by) => v * by,
      scale,
      3,
    );
  if (softcap !== null)
    add(
      () => `capped at ±${number(softcap)}`,
      capped,
      (v) => softcap * Math.tanh(v / softcap),
    );
  if (bias)
    add(
      (n) => `${bias < 0 ? "−" : "+"} ${number(Math.abs(bias), n)} position`,
      score,
      (v, by) => v + by,
      bias,
      2,
    );
  if (temperature !== 1)
    add(
      () => (narrow ? "÷ temp." : "÷ temperature"),
      logit,
      (v) => v / temperature,
    );
  return steps;
}
