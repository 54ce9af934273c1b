/* selectors-ask.js: what is asked of all heads: the pair or the token that is chosen, and what one head answers. Pure,
   no DOM. */
import { maskOf, opener } from "./masks.js";
import { weightsRow } from "./maths.js";
import { headOf, layerOf, settingsOf, sourceOf } from "./selectors.js";
import { lockedItems } from "./selectors-scene.js";

/** @typedef {import("./selectors.js").Snapshot} Snapshot */
/** @typedef {import("./items.js").Items} Items */

/**
 * A pair: how much do the queries give to the key? A token: how much do the others give to it?
 *
 * @typedef {{kind: "pair", queries: number[], key: number} | {kind: "token", key: number}} Question in items
 */

/**
 * One head's answer.
 *
 * @typedef {object} Answer
 * @property {number} value weight of the pair; of a token the mean over the queries that may see it
 * @property {number} chance what even attention would give there
 */

/**
 * @param {Pick<Snapshot, "state" | "model">} at
 * @param {Items} items
 * @returns {Question | null}
 */
export function askedOf(at, items) {
  const locked = lockedItems(at, items);
  if (!locked) return null;
  if (locked.side === "q" && locked.key !== null) return { kind: "pair", queries: locked.queries, key: locked.key };
  if (locked.side === "k") return { kind: "token", key: locked.key };
  const seen = at.model.keys === at.model.tokens && locked.queries.length === 1; // only keys are looked at
  return seen ? { kind: "token", key: locked.queries[0] } : null;
}

/** The queries whose weights answer: those of the pair, or all others. @param {Question} question */
export function askedQueries(question, { queries, keys }) {
  if (question.kind === "pair") return question.queries;
  const others = [...queries.list.keys()];
  return queries === keys ? others.filter((i) => i !== question.key) : others;
}

/**
 * A head's answer; `rowOf` gives the weights of a query's token, and hidden tokens count as they do in the matrix.
 * NaN where no query may see the key.
 *
 * @param {Snapshot} at
 * @param {Items} items
 * @param {Question} question
 * @param {number} k the head
 * @param {(token: number) => ArrayLike<number>} rowOf
 * @returns {Answer}
 */
export function answerOf(at, items, question, k, rowOf) {
  const even = evenRows(at, k);
  const scaled = at.state.hide && at.state.renormalise;
  let value = 0;
  let chance = 0;
  let counted = 0;
  for (const i of askedQueries(question, items)) {
    const { toks } = items.queries.list[i];
    const part = itemShare(items, toks, question.key, even, scaled);
    if (question.kind === "token" && part === 0) continue; // it may not see it
    value += itemShare(items, toks, question.key, rowOf, scaled);
    chance += part;
    counted++;
  }
  return { value: value / counted, chance: chance / counted };
}

/** The head's own weights of one query. @param {Snapshot} at @returns {(token: number) => Float32Array} */
export function ownRows(at, k) {
  const source = sourceOf(at);
  const settings = settingsOf(at);
  const [layer, head] = [layerOf(at.model, k), headOf(at.model, k)];
  return (token) => weightsRow(source, layer, head, token, settings);
}

/** What attention gives that looks at all keys alike that it may see. @param {Snapshot} at */
function evenRows(at, k) {
  const source = sourceOf(at);
  const { S } = source;
  const layer = layerOf(at.model, k);
  const settings = settingsOf(at);
  const rule = maskOf(source, layer, settings);
  const open = opener(source, layer, headOf(at.model, k), settings);
  const free = !rule.causal && rule.window === null && !rule.dense && !rule.keys && !rule.blocked?.length;
  if (free && !rule.painted && !rule.extra && rule.length === S) {
    const row = new Float64Array(S).fill(1 / S);
    return () => row;
  }
  return (token) => {
    const row = Float64Array.from({ length: S }, (_, s) => (open(token, s) ? 1 : 0));
    const sum = row.reduce((total, one) => total + one, 0);
    return sum ? row.map((one) => one / sum) : row;
  };
}

/** What the pieces of a query, on average, give to the pieces of a key, added up. */
function itemShare({ keys }, toks, key, rowOf, scaled) {
  let share = 0;
  let whole = 0;
  for (const token of toks) {
    const row = rowOf(token);
    for (const s of keys.list[key].toks) share += row[s];
    if (scaled) for (let s = 0; s < row.length; s++) if (keys.of[s] >= 0) whole += row[s];
  }
  if (!scaled) return share / toks.length;
  return whole > 0 ? share / whole : whole; // NaN stays
}

/**
 * Rollout through one more layer: what each position has of a token.
 *
 *     x ← (mean over heads of A x + x) / row sums        as attnviz/analysis/rollout.py has it
 *
 * @param {Float64Array} x per position
 * @param {Float64Array} moved Σ over heads of A x
 * @param {Float64Array} sums Σ over heads of the row sums of A
 */
export function rolledOn(x, moved, sums, heads) {
  return x.map((own, i) => (moved[i] / heads + own) / (sums[i] / heads + 1));
}
