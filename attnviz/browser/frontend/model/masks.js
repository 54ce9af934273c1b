/* masks.js: which query may attend to which key, as attnviz/nn/masks.py has it: a description, of one polarity,
   "keep". No DOM. */

/**
 * @typedef {object} AttentionMask
 * @property {boolean} causal only keys at or before the query
 * @property {number | null} window only keys at most so many positions away
 * @property {number | null} length real keys; the rest is padding
 * @property {[number | null, number, number][]} blocked cells: head (null: all), query, key
 * @property {number} start the position of the first query
 */

/** @param {Partial<AttentionMask>} given @returns {AttentionMask} */
export const maskOf = (given) => ({ causal: false, window: null, length: null, blocked: [], start: 0, ...given });

/**
 * A mask under a change: another pattern, cells blocked beside it. What says which keys are real stays, and a window
 * in a causal model stays causal.
 *
 * @param {AttentionMask} mask
 * @param {import("./intervention.js").Change | null} change
 * @returns {AttentionMask}
 */
export function changedMask(mask, change) {
  if (!change) return mask;
  const pattern = change.mask;
  const blocked = [...mask.blocked, ...change.blocked];
  if (pattern === null) return { ...mask, blocked };
  if (pattern === "causal") return { ...mask, causal: true, window: null, blocked };
  if (pattern === "none") return { ...mask, causal: false, window: null, blocked };
  return { ...mask, window: pattern[1], blocked };
}

/**
 * A byte per query and key, 1 where the query may attend; the same object for every head unless cells are blocked in
 * single heads.
 *
 * @param {AttentionMask} mask
 * @param {number} queries
 * @param {number} keys
 * @returns {(head: number) => Uint8Array} queries × keys
 */
export function keepOf(mask, queries, keys) {
  const shared = patternOf(mask, queries, keys);
  /** @type {Map<number, Uint8Array>} */
  const own = new Map();
  const cells = cellsOf(mask, queries, keys);
  for (const [head, query, key] of cells) if (head === null) shared[query * keys + key] = 0;
  for (const [head, query, key] of cells) {
    if (head === null) continue;
    if (!own.has(head)) own.set(head, shared.slice());
    own.get(head)[query * keys + key] = 0;
  }
  return (head) => own.get(head) ?? shared;
}

function patternOf({ causal, window, length, start }, queries, keys) {
  const keep = new Uint8Array(queries * keys);
  const real = length ?? keys;
  for (let t = 0; t < queries; t++) {
    const i = start + t;
    const from = window === null ? 0 : Math.max(0, i - window);
    let to = Math.min(real, keys);
    if (causal) to = Math.min(to, i + 1);
    if (window !== null) to = Math.min(to, i + window + 1);
    if (to > from) keep.fill(1, t * keys + from, t * keys + to);
  }
  return keep;
}

/** The blocked cells of this run: those of queries that ran before, or are still to come, are no concern of it. */
function cellsOf({ blocked, start }, queries, keys) {
  const cells = blocked.map(([head, query, key]) => /** @type {const} */ ([head, query - start, key]));
  const inside = ([, query, key]) => query >= 0 && query < queries && key >= 0 && key < keys;
  if (start) return cells.filter(inside);
  const wrong = cells.find((cell) => !inside(cell));
  if (wrong) throw new Error(`blocked cell (${wrong[1]}, ${wrong[2]}) is outside the ${queries} × ${keys} matrix`);
  return cells;
}
