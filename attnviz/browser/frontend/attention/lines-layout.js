/* lines-layout.js: where tokens and their labels stand on either side of the curves. Pure functions of a 2D context.
 */
import { textWidth, tokenFont } from "../core/canvas.js";

/** Whether labels can stand upright under each other's neighbours: all fit, or most are as short as a letter. */
function linesFlat(g, theme, list, size, pitch) {
  const widths = list
    .map((t) => {
      g.font = tokenFont(theme, t, size, true);
      return textWidth(g, t.label.slice(0, 60));
    })
    .sort((a, b) => a - b);
  return widths.length === 0 || widths[widths.length - 1] + 8 <= pitch || widths[widths.length >> 1] <= size + 6;
}

/** Two columns of tokens (or two rows when `horizontal`), queries first; `rtl` starts rows at the right. */
export function layoutLines(g, w, h, queries, keys, theme, { horizontal, rtl, values }) {
  const size = 14,
    widest = (list) => {
      let most = 16,
        font = "";
      for (const t of list) {
        const own = tokenFont(theme, t, size, true);
        if (own !== font) g.font = font = own; // which costs more than a width that is known
        most = Math.max(most, textWidth(g, t.label.slice(0, 60)));
      }
      return most;
    };
  const lay = { w, h, nq: queries.length, nk: keys.length, size, horizontal, rtl };
  if (horizontal) {
    const pitch = (n) => Math.min(56, (w - 16) / n),
      pq = pitch(lay.nq),
      pk = pitch(lay.nk);
    const lq = Math.min(widest(queries), h * 0.25),
      lk = Math.min(widest(keys), h * 0.25),
      flat = linesFlat(g, theme, queries, size, pq) && linesFlat(g, theme, keys, size, pk);
    const room = flat ? size + 10 : 0;
    lay.flat = flat;
    lay.a0 = 22 + (room || lq + 8);
    lay.a1 = h - 22 - (room || lk + 8);
    lay.pitchQ = pq;
    lay.pitchK = pk;
    lay.labelQ = lq;
    lay.labelK = lk;
    const across = (n, p, i) => {
      const x = (w - n * p) / 2 + (i + 0.5) * p;
      return rtl ? w - x : x;
    };
    lay.q = (i) => [across(lay.nq, pq, i), lay.a0];
    lay.k = (j) => [across(lay.nk, pk, j), lay.a1];
  } else {
    const number = values && w >= 280 ? 40 : 0,
      most = w * 0.3;
    lay.number = number;
    lay.labelQ = Math.min(most, 8 + widest(queries));
    lay.labelK = keys === queries ? lay.labelQ : Math.min(most, 8 + widest(keys));
    lay.a0 = lay.labelQ + 12 + (number ? 6 : 0);
    lay.a1 = w - lay.labelK - 12 - number;
    lay.top = 26;
    lay.pitchQ = Math.min(34, (h - 36) / lay.nq);
    lay.pitchK = Math.min(34, (h - 36) / lay.nk);
    lay.q = (i) => [lay.a0, lay.top + (i + 0.5) * lay.pitchQ];
    lay.k = (j) => [lay.a1, lay.top + (j + 0.5) * lay.pitchK];
  }
  lay.thin = Math.max(0.3, Math.min(1, Math.min(lay.pitchQ, lay.pitchK) / 14));
  /** The token nearest to a point: {side, i}, or null. */
  lay.at = (x, y) => {
    const along = horizontal ? (rtl ? w - x : x) : y - lay.top,
      side = (horizontal ? y < (lay.a0 + lay.a1) / 2 : x < (lay.a0 + lay.a1) / 2) ? "q" : "k";
    const n = side === "q" ? lay.nq : lay.nk,
      p = side === "q" ? lay.pitchQ : lay.pitchK,
      start = horizontal ? (w - n * p) / 2 : 0;
    const i = Math.floor((along - start) / p);
    return i >= 0 && i < n ? { side, i } : null;
  };
  return lay;
}

export const LABEL_PAD = 6; // of the box around a marked label

/**
 * Where an upright label of width w begins: centred on its token, but all of it, with its box if it is marked, in the
 * picture.
 */
export function uprightLeft(lay, x, w, hot) {
  const edge = 2 + (hot ? LABEL_PAD : 0);
  return Math.max(edge, Math.min(lay.w - edge - w, x - w / 2));
}
