/* selectors-scene.js: from the state and the model to one head's picture: its cells, what is marked, its curves. Pure,
   no DOM. */
import { maskOf, opener } from "./masks.js";
import { argmax } from "./entropy.js";
import { paintedBits } from "./blocked-cells.js";
import { headChosen, headNumber, headOf, headShown, isPainting, layerOf, settingsOf, sourceOf } from "./selectors.js";

/** @typedef {import("./selectors.js").Snapshot} Snapshot */
/** @typedef {import("./items.js").Item} Item */
/** @typedef {import("./items.js").Items} Items */

/**
 * The rows, columns and the cell that every picture marks; -1 for none.
 *
 * @typedef {{side: "q" | "k", q: number, k: number, queries: number[], keys: number[]}} Focus
 */

/**
 * One head as it shows, items by items.
 *
 * @typedef {object} Scene
 * @property {Float32Array} a the weights, nq × nk
 * @property {Float32Array | null} before those of the model as trained, where anything is changed
 * @property {Float32Array | null} change the difference, if that is what shows
 * @property {number} nq
 * @property {number} nk
 * @property {Item[]} queries
 * @property {Item[]} keys
 * @property {number} threshold
 * @property {string} colour
 * @property {((i: number, j: number) => boolean) | null} allowed null where every query may see every key
 * @property {((i: number, j: number) => boolean) | null} painted which cells were blocked by hand
 * @property {Focus} focus
 * @property {number} [mean] mean entropy in bits, once worked out
 * @property {[number, number] | null} [seen] the fewest and the most keys that a row may see, once counted
 * @property {import("./shown.js").Spread} [spread] the rows whose entropy is told, once worked out
 * @property {boolean} [coarse] whether it moves and may be painted with less detail
 */

const NO_FOCUS = Object.freeze({ side: "q", q: -1, k: -1, queries: [], keys: [] });
const MOST_REMEMBERED = 65536; // cells of a mask that are worked out once

/**
 * The head in view with its weights `a` and those as trained, if they are needed.
 *
 * @param {Snapshot} at
 * @param {Items} items
 * @returns {Scene}
 */
export function sceneOf(at, items, a, before) {
  const { state } = at;
  const queries = items.queries.list;
  const keys = items.keys.list;
  const allowed = allowedItems(at, items, headShown(at));
  return {
    a,
    before,
    change: state.diff && before ? changeOf(a, before) : null,
    nq: queries.length,
    nk: keys.length,
    queries,
    keys,
    threshold: state.threshold,
    colour: state.colour,
    allowed,
    painted: paintedItems(at, items, allowed),
    focus: NO_FOCUS,
  };
}

function changeOf(a, before) {
  const change = new Float32Array(a.length);
  for (let p = 0; p < change.length; p++) change[p] = a[p] - before[p];
  return change;
}

/** Which query item may see which key item, or null where every one may. @param {Snapshot} at @param {Items} items */
export function allowedItems(at, items, k) {
  const source = sourceOf(at);
  const layer = layerOf(at.model, k);
  const settings = settingsOf(at);
  const queries = items.queries.list;
  const keys = items.keys.list;
  const rule = maskOf(source, layer, settings);
  const { causal, window: reach } = rule;
  const special =
    rule.dense || rule.keys || rule.blocked?.length || rule.painted || rule.extra || rule.length < source.S;
  if (!causal && reach == null && !special) return null;
  const pair = special
    ? opener(source, layer, headOf(at.model, k), settings)
    : (i, j) => (!causal || j <= i) && (reach == null || Math.abs(i - j) <= reach);
  const some = (i, j) => queries[i].toks.some((t) => keys[j].toks.some((u) => pair(t, u)));
  const n = keys.length;
  if (!special || queries.length * n > MOST_REMEMBERED) return some;
  const known = Int8Array.from({ length: queries.length * n }, (_, p) => (some((p / n) | 0, p % n) ? 1 : 0));
  return (i, j) => known[i * n + j] === 1;
}

/**
 * Which item pairs are struck out: those with a painted pair of tokens and none left that is open.
 *
 * @param {Snapshot} at
 */
function paintedItems(at, { queries, keys }, allowed) {
  const { state, model } = at;
  if (!isPainting(at) || !state.painted.length) return null;
  const bits = paintedBits(state.painted, model.T, model.S);
  const hit = (i, j) => queries.list[i].toks.some((t) => keys.list[j].toks.some((u) => bits[t * model.S + u]));
  return (i, j) => !allowed(i, j) && hit(i, j);
}

/**
 * Locked tokens as items; from the state, which counts tokens.
 *
 * @param {Pick<Snapshot, "state">} at
 * @param {Items} items
 * @returns {import("./store.js").Target | null}
 */
export function lockedItems({ state }, { queries, keys }) {
  const rows = [...new Set(state.queries.map((t) => queries.of[t]).filter((i) => i >= 0))];
  const column = state.key === null ? null : keys.of[state.key];
  if (state.side === "k" ? !(column >= 0) : !rows.length) return null;
  return { side: state.side, queries: rows, key: column >= 0 ? column : null };
}

/**
 * What every picture marks: what is under the pointer, else what is locked. A missing half is the strongest one.
 *
 * @param {Snapshot} at
 * @param {Items} items
 * @param {Scene} scene
 * @returns {Focus}
 */
export function focusOf(at, items, { a, nq, nk }) {
  const target = at.hover || lockedItems(at, items);
  if (!target || !nq || !nk) return NO_FOCUS;
  let q = target.queries[0] ?? -1;
  let k = target.key ?? -1;
  const strongest = (rows) => rows.reduce((best, i) => (a[i * nk + k] > a[best * nk + k] ? i : best));
  if (target.side === "k" && q < 0) q = strongest(Array.from({ length: nq }, (_, i) => i));
  else if (k < 0) {
    const sum = new Float32Array(nk);
    for (const i of target.queries) for (let j = 0; j < nk; j++) sum[j] += a[i * nk + j];
    k = argmax(sum, 0, nk);
    if (target.queries.length > 1) q = strongest(target.queries);
  }
  return { side: target.side, q, k, queries: target.side === "q" ? target.queries : [q], keys: [k] };
}

/* ---- curves --------------------------------------------------------------------------------- */

const MOST_CURVES = 300; // of one head
const LEAST_CURVE = 0.015;

/**
 * @typedef {object} CurvedHead
 * @property {number} layer
 * @property {number} head
 * @property {string} name
 * @property {Float32Array} a
 * @property {number[][]} curves weight, row and column of those that are drawn, the strongest last
 * @property {string} [colour]
 */

/**
 * What the curves show: all items or those of two sentences, of one head or several.
 *
 * @typedef {object} Curves
 * @property {number[]} rows items of the matrix that they begin at
 * @property {number[]} columns items that they end at
 * @property {CurvedHead[]} heads
 * @property {number} nq
 * @property {number} nk
 * @property {number} threshold
 * @property {Item[]} queries
 * @property {Item[]} keys
 * @property {Focus} [focus]
 */

/**
 * @param {Snapshot} at
 * @param {Scene} scene
 * @param {(k: number) => Float32Array} weightsOf the weights of a further head, items by items
 * @returns {Curves}
 */
export function curvesOf(at, scene, weightsOf) {
  const { state, model } = at;
  const span = state.sentences;
  const rows = itemsWithin(scene.queries, span && model.sentences[span[0]]);
  const columns = itemsWithin(scene.keys, span && model.keySentences[span[1]]);
  const whole = rows.length === scene.nq && columns.length === scene.nk;
  const part = (a) => (whole ? a : submatrix(a, scene.nk, rows, columns));
  const shown = headShown(at);
  const chosen = headChosen(at);
  const extra = at.hoverHead === null ? state.heads.filter(([l, h]) => headNumber(model, l, h) !== chosen) : [];
  const most = MOST_CURVES / (extra.length + 1);
  const heads = [[layerOf(model, shown), headOf(model, shown)], ...extra].map(([layer, head], i) => {
    const a = part(i ? weightsOf(headNumber(model, layer, head)) : scene.a);
    const least = Math.max(state.threshold, LEAST_CURVE);
    const curves = strongCurves(a, rows.length, columns.length, least, most);
    return { a, curves, name: `${layer}.${head}`, layer, head };
  });
  return {
    rows,
    columns,
    heads,
    nq: rows.length,
    nk: columns.length,
    threshold: state.threshold,
    queries: rows.map((i) => scene.queries[i]),
    keys: columns.map((j) => scene.keys[j]),
  };
}

/**
 * The strongest curves: weights of at least `least`, at most `cap` of them (a histogram, so that 512 × 512 needs no
 * sorting).
 */
export function strongCurves(a, nq, nk, least, cap) {
  const bins = new Uint32Array(257);
  const bin = (v) => Math.min(256, (Math.sqrt(v) * 256) | 0);
  for (let p = 0; p < nq * nk; p++) if (a[p] >= least) bins[bin(a[p])]++;
  let from = 256;
  let sum = bins[256];
  while (from > 0 && sum + bins[from - 1] <= cap) sum += bins[--from];
  const curves = [];
  for (let i = 0, p = 0; i < nq; i++)
    for (let j = 0; j < nk; j++, p++) if (a[p] >= least && bin(a[p]) >= from) curves.push([a[p], i, j]);
  return curves.sort((x, y) => x[0] - y[0]);
}

function itemsWithin(list, span) {
  const all = list.map((_, i) => i);
  return span ? all.filter((i) => list[i].toks.some((t) => t >= span[0] && t < span[1])) : all;
}

function submatrix(a, width, rows, columns) {
  const out = new Float32Array(rows.length * columns.length);
  rows.forEach((i, r) => columns.forEach((j, c) => (out[r * columns.length + c] = a[i * width + j])));
  return out;
}

/**
 * What the curves mark, counted in their own rows and columns.
 *
 * @param {Curves} curves
 * @param {Scene} scene
 * @returns {Focus}
 */
export function curvesFocus({ rows, columns, nq, nk }, { focus, nq: allRows, nk: allColumns }) {
  if (nq === allRows && nk === allColumns) return focus;
  const inside = (list, values) => values.map((v) => list.indexOf(v)).filter((i) => i >= 0);
  const { side, q, k } = focus;
  const part = { queries: inside(rows, focus.queries), keys: inside(columns, focus.keys) };
  return { side, q: rows.indexOf(q), k: columns.indexOf(k), ...part };
}
