/* items.js: tokens or whole words, what is shown on each side, and token weights as theirs. No DOM. */
import { shortened } from "../core/format.js";

/**
 * A token, or a word with its pieces joined.
 *
 * @typedef {object} Item
 * @property {string} label
 * @property {string} full the same, uncut
 * @property {number | null} w its word
 * @property {boolean} sp whether it is special
 * @property {boolean} cont whether it continues a word
 * @property {number[]} toks its tokens
 */

/** @typedef {{list: Item[], of: Int32Array}} Side the items of one side; `of` token → item, -1 where it is hidden */
/** @typedef {{queries: Side, keys: Side}} Items */

/** What is shown on each side: tokens, or words with their pieces joined, with or without special tokens. */
export function items(model, { join = false, hide = false } = {}) {
  const queries = itemsOf(model.tokens, model.words, join, hide);
  return { queries, keys: model.keys === model.tokens ? queries : itemsOf(model.keys, model.keyWords, join, hide) };
}

function itemsOf(tokens, words, join, hide) {
  const list = [],
    of = new Int32Array(tokens.length).fill(-1);
  tokens.forEach((token, i) => {
    if (hide && token.sp) return;
    const last = list.at(-1);
    if (join && last && !token.sp && !last.sp && token.w !== null && last.w === token.w) last.toks.push(i);
    else
      list.push({
        w: token.w,
        sp: token.sp,
        cont: token.cont,
        toks: [i],
        full: token.cont ? "·" + token.full : token.full,
        label: token.cont ? "·" + token.label : token.label,
      });
    of[i] = list.length - 1;
  });
  for (const item of list)
    if (item.toks.length > 1)
      Object.assign(item, { label: shortened(words[item.w]), full: words[item.w], cont: false });
  return { list, of };
}

/**
 * Token weights to item weights: keys add up, queries average (Clark et al. 2019, section 4.1).
 * What hidden tokens take is missing from the rows, unless `renormalise` brings each back to 1.
 */
export function fold(model, a, { queries, keys }, { renormalise = false } = {}) {
  const { T, S } = model,
    rows = queries.list,
    n = keys.list.length;
  if (rows.length === T && n === S) return a;
  const out = new Float32Array(rows.length * n),
    columns = keys.of;
  for (let t = 0; t < T; t++) {
    const i = queries.of[t];
    if (i < 0) continue;
    const at = i * n,
      from = t * S,
      part = 1 / rows[i].toks.length;
    for (let s = 0; s < S; s++) if (columns[s] >= 0) out[at + columns[s]] += a[from + s] * part;
  }
  if (renormalise)
    for (let at = 0; at < out.length; at += n) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += out[at + j];
      if (sum > 0) for (let j = 0; j < n; j++) out[at + j] /= sum;
    }
  return out;
}
