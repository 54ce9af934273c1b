/* view-link.js: the attention view's state as the parameters of a link, as attnviz/browser/view_state.py writes and
   reads it. No DOM. */
import { DEFAULTS, LIMITS, LINKS, LONGEST_LIST, LONGEST_PAINTING, MOST_PAINTED, OPTIONS } from "../core/contract.js";

const NOTHING = undefined; // what is not legal: the field keeps its default

const indexIn = (text) => (/^[0-9]{1,7}$/.test(text) && Number(text) <= 1e6 ? Number(text) : NOTHING);
const flagIn = (text) => ({ 1: true, 0: false })[text];
const wordIn = (text) => (/^[a-z][a-z0-9-]{0,31}$/.test(text) ? text : NOTHING);

/** All entries, or nothing if one is none. */
const whole = (entries) => (entries.includes(NOTHING) ? NOTHING : entries);
const partsOf = (text) => (text ? text.split("_") : []);
const distinct = (entries) => entries && [...new Map(entries.map((one) => [String(one), one])).values()];
const atMost = (entries, most) => (entries && entries.length <= most ? entries : NOTHING);

const indicesIn = (text) => distinct(atMost(whole(partsOf(text).map(indexIn)), LONGEST_LIST));
const exactly = (n) => (text) => {
  const found = whole(partsOf(text).map(indexIn));
  return found?.length === n ? found : NOTHING;
};
const pairIn = (text) => {
  const found = whole(text.split(".").map(indexIn));
  return found?.length === 2 ? found : NOTHING;
};
const pairsIn = (text) => distinct(atMost(whole(partsOf(text).map(pairIn)), LONGEST_LIST));

function rangesIn(text) {
  const found = exactly(4)(text);
  return found && found[0] < found[1] && found[2] < found[3] ? found : NOTHING;
}

function numberIn(text, [low, high]) {
  const value = /^[0-9]{1,7}(\.[0-9]{1,24})?(e-?[0-9]{1,3})?$/.test(text) ? Number(text) : NaN;
  return value >= low && value <= high ? value : NOTHING;
}

/** Rectangles of cells, as in "2.0-3_5-8.1", to cells in order. */
function cellsIn(text) {
  if (text.length > LONGEST_PAINTING) return NOTHING;
  const cells = new Map();
  for (const part of partsOf(text)) {
    const found = /^(\d{1,7})(?:-(\d{1,7}))?\.(\d{1,7})(?:-(\d{1,7}))?$/.exec(part);
    if (!found) return NOTHING;
    const [q0, q1, k0, k1] = [1, 2, 3, 4].map((i) => Number(found[i] ?? found[i - 1]));
    if (q1 < q0 || k1 < k0 || (q1 - q0 + 1) * (k1 - k0 + 1) > MOST_PAINTED) return NOTHING;
    for (let q = q0; q <= q1; q++) for (let k = k0; k <= k1; k++) cells.set(`${q}.${k}`, [q, k]);
    if (cells.size > MOST_PAINTED) return NOTHING;
  }
  return [...cells.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

/** Cells as rectangles: runs of keys that neighbouring queries share become one. */
function cellsOut(cells) {
  const rows = new Map();
  for (const [q, k] of [...cells].sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    const runs = rows.get(q) ?? rows.set(q, []).get(q);
    const last = runs[runs.length - 1];
    if (last && last[1] === k - 1) last[1] = k;
    else runs.push([k, k]);
  }
  const open = new Map(); // keys → the rectangle that grows
  const done = [];
  for (const [q, runs] of rows)
    for (const [k0, k1] of runs) {
      const grown = open.get(`${k0}.${k1}`);
      if (grown && grown[1] === q - 1) grown[1] = q;
      else {
        const fresh = [q, q, k0, k1];
        open.set(`${k0}.${k1}`, fresh);
        done.push(fresh);
      }
    }
  done.sort((a, b) => a.map((x, i) => x - b[i]).find((x) => x) ?? 0);
  const range = (from, to) => (from === to ? `${from}` : `${from}-${to}`);
  return done.map(([q0, q1, k0, k1]) => `${range(q0, q1)}.${range(k0, k1)}`).join("_");
}

const READERS = {
  layer: indexIn,
  head: indexIn,
  queries: indicesIn,
  key: indexIn,
  window: indexIn,
  painted: cellsIn,
  sort: wordIn,
  tint: wordIn,
  heads: pairsIn,
  horizontal: flagIn,
  sentences: exactly(2),
  zoom: rangesIn,
};

/** The reader of a field: its own, or that of its limits, its list or its kind. */
function readerOf(name) {
  if (READERS[name]) return READERS[name];
  if (LIMITS[name]) return (text) => numberIn(text, LIMITS[name]);
  if (OPTIONS[name]) return (text) => (OPTIONS[name].includes(text) ? text : NOTHING);
  return flagIn;
}

function written(name, value) {
  if (name === "painted") return cellsOut(value);
  if (typeof value === "boolean") return value ? "1" : "0";
  return Array.isArray(value) ? value.map((one) => [one].flat().join(".")).join("_") : String(value);
}

/**
 * Short names and values; what has its default value is left out, and so is a painting too long.
 *
 * @param {import("../core/contract.js").ViewState} state
 * @returns {Record<string, string>}
 */
export function viewQuery(state) {
  const query = {};
  for (const [name, link] of Object.entries(LINKS)) {
    if (JSON.stringify(state[name]) === JSON.stringify(DEFAULTS[name])) continue;
    const text = written(name, state[name]);
    if (name !== "painted" || text.length <= LONGEST_PAINTING) query[link] = text;
  }
  return query;
}

/**
 * The state of a link's parameters; bad values become defaults.
 *
 * @param {Record<string, string>} query
 * @returns {import("../core/contract.js").ViewState}
 */
export function viewFromQuery(query) {
  const state = structuredClone(DEFAULTS);
  for (const [name, link] of Object.entries(LINKS)) {
    const value = Object.hasOwn(query, link) ? readerOf(name)(query[link]) : NOTHING;
    if (value !== NOTHING) state[name] = value;
  }
  return state;
}
