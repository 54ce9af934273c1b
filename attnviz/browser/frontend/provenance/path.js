/* path.js: paths of cells, from the chosen number down to one of its terms; a cell is [matrix, row, column]. */
import { ownerOf } from "./read.js";
import { resultOf } from "./steps.js";

/** The cell that a step opens on: the row and column the reader looked at last, by axis in `focus`. */
export function firstCell(provenance, step, head, focus) {
  const name = resultOf(provenance, step, head),
    m = provenance.matrices[name],
    d = provenance.width;
  let c = focus[m.axes[1]] ?? 0;
  if (m.axes[1] === "inner" && name !== "concat" && Math.floor(c / d) !== head) c = head * d + (c % d);
  return [name, Math.min(m.rows - 1, focus[m.axes[0]] ?? 0), Math.max(m.first, Math.min(m.first + m.stored - 1, c))];
}

/** The head that a cell belongs to; null if it is all heads'. */
export function ownerHead(provenance, [name, , column]) {
  const inner = provenance.matrices[name]?.axes[1] === "inner" && name !== "concat";
  return ownerOf(name) ?? (inner ? Math.floor(column / provenance.width) : null);
}

/** Where the eye goes first: a word (the second, if none is asked for), and what is largest for it. */
export function firstFocus(provenance, head, wanted = -1) {
  const row = Math.min(wanted < 0 ? 1 : wanted, provenance.size - 1),
    d = provenance.width,
    { x, Q, h } = provenance.matrices,
    weights = provenance.matrices[`weights.${head}`];
  const largest = (m, from, to) => {
    let best = from;
    for (let c = from; c < to; c++)
      if (Math.abs(m.values[row * m.stored + c - m.first]) > Math.abs(m.values[row * m.stored + best - m.first]))
        best = c;
    return best;
  };
  return {
    query: row,
    key: largest(weights, 0, provenance.size),
    model: largest(x, 0, x.width),
    inner: largest(Q, head * d, (head + 1) * d),
    unit: h ? largest(h, 0, h.width) : 0,
  };
}

/** A path of one head as the same path in another; what is deeper than its first number is dropped. */
export function inHead(provenance, path, from, to) {
  if (!path.length) return path;
  const [name, r, c] = path[0],
    m = provenance.matrices[name];
  if (ownerOf(name) === to) return path;
  if (ownerOf(name) === from)
    return [[name.replace(/\.\d+$/, `.${to}`), r, name.startsWith("z.") ? c + (to - from) * provenance.width : c]];
  if (/^([Wb]_[QKV]|[QK]r?|V)$/.test(name) && m && m.axes[1] === "inner" && Math.floor(c / provenance.width) === from)
    return [[name, r, c + (to - from) * provenance.width]];
  return ownerOf(name) === null ? path : [];
}

/** Of a focus what stays on the way through the layers and heads of one text: the number of the vectors. */
export function staying(focus, before, provenance) {
  const same = before && before.model === provenance.model && String(before.labels) === String(provenance.labels);
  return same && "model" in focus ? { model: focus.model } : {};
}

/**
 * A cell from "matrix:row:column".
 * @returns {[string, number, number]}
 */
export function parseCell(key) {
  const [name, r, c] = key.split(":");
  return [name, +r, +c];
}
