/* canvas.js: canvases at device resolution, and which texts fit on them. */

/**
 * Sizes a canvas in CSS pixels, clears it, and returns its context at device resolution.
 * @param {HTMLCanvasElement} canvas
 * @param {number} w
 * @param {number} h
 * @param {number} ratio
 */
export function fitCanvas(canvas, w, h, ratio) {
  const W = Math.max(1, Math.round(w * ratio)),
    H = Math.max(1, Math.round(h * ratio));
  if (canvas.width !== W || canvas.height !== H) {
    canvas.width = W;
    canvas.height = H;
  }
  canvas.style.width = w + "px";
  canvas.style.height = h + "px";
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  return g;
}

/** @type {Map<string, number>} */
const textWidths = new Map();

/**
 * Width of a text in a font; remembered, because a crowded axis asks for the same labels in every frame.
 * @param {CanvasRenderingContext2D} g
 * @param {string} text
 */
export function textWidth(g, text) {
  const key = g.font + "\n" + text;
  let w = textWidths.get(key);
  if (w === undefined) {
    if (textWidths.size > 8000) textWidths.clear();
    textWidths.set(key, (w = g.measureText(text).width));
  }
  return w;
}

/** Fonts that arrive late change every width. */
export const forgetWidths = () => textWidths.clear();

const graphemes = typeof Intl !== "undefined" && Intl.Segmenter ? new Intl.Segmenter() : null;

/**
 * The text cut with … to a width, never inside an emoji or a letter with its accents.
 * @param {CanvasRenderingContext2D} g
 * @param {string} text
 * @param {number} width
 */
export function clipText(g, text, width) {
  if (textWidth(g, text) <= width) return text;
  const parts = graphemes ? Array.from(graphemes.segment(text.slice(0, 80)), (s) => s.segment) : [...text.slice(0, 80)];
  while (parts.length > 1 && textWidth(g, parts.join("") + "…") > width) parts.pop();
  return parts.join("") + "…";
}

export function roundBox(g, x, y, w, h, r) {
  g.beginPath();
  g.roundRect(x, y, w, h, r);
}

/** How much a label tells: special tokens and long words most, punctuation nothing. */
function labelValue(item) {
  if (item.sp) return 40;
  if (item.cont) return 2;
  return /[\p{L}\p{N}]/u.test(item.label) ? Math.min(30, [...item.label].length) : 0;
}

const labelOrders = new WeakMap();

/** Indices of the labels worth showing, those that tell most first; worked out once per list. */
function labelOrder(list) {
  let order = labelOrders.get(list);
  if (!order) {
    const values = list.map(labelValue);
    order = [...list.keys()].filter((i) => values[i]).sort((a, b) => values[b] - values[a] || a - b);
    labelOrders.set(list, order);
  }
  return order;
}

/** Indices in [from, to) whose labels fit, `step` pixels apart: the `first` ones, then those that tell most. */
export function thinLabels(list, step, min, first = [], from = 0, to = list.length) {
  if (step >= min) return Array.from({ length: to - from }, (_, i) => from + i);
  const reach = Math.ceil(min / step),
    taken = new Uint8Array(list.length + 2 * reach + 2),
    put = [];
  const place = (i) => {
    if (i < from || i >= to || taken[i + reach]) return;
    put.push(i);
    for (let d = -reach + 1; d < reach; d++) if (Math.abs(d) * step < min) taken[i + d + reach] = 1;
  };
  first.forEach(place);
  labelOrder(list).forEach(place);
  return put;
}

/** The smallest type in px: before a class, where all of it is larger, what is read from the back of a room. */
export const leastSize = (theme) => (theme.scale > 1 ? 11.25 : 11);

/** Font of a token on an axis: special tokens are monospaced and smaller. */
export function tokenFont(theme, item, size, bold) {
  const px = item.sp ? Math.max(leastSize(theme), size - 2) : size;
  return `${bold ? 600 : 400} ${px}px ${item.sp ? theme.mono : theme.sans}`;
}
