/* kit.js: small tools of the painters and of the page: canvases, labels, elements. */

/** An element with attributes, properties (on…), classes, and children that are nodes or text. Never HTML. */
export function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.flat().filter((c) => c != null && c !== false));
  return e;
}

/** A component's cleanup, done only once the component has left the page: Streamlit also calls the cleanup of a call that newer data
    overtook while the module was still being imported, and then the component stands and goes on. */
export const whenGone = (parentElement, clear) => () => {
  if (!parentElement.isConnected) clear();
};

/** Sizes a canvas in CSS pixels, clears it, and returns its context at device resolution. */
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

const textWidths = new Map();

/** Width of a text in a font; remembered, because a crowded axis asks for the same labels in every frame. */
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

/** The text cut with … to a width, never inside an emoji or a letter with its accents. */
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

/** Font of a token on an axis: special tokens are monospaced and smaller. */
export function tokenFont(theme, item, size, bold) {
  return `${bold ? 600 : 400} ${item.sp ? Math.max(11, size - 2) : size}px ${item.sp ? theme.mono : theme.sans}`;
}

/** A token's label without the dot that marks a piece of a word. */
export const plainLabel = (item) => (item.cont && item.label.startsWith("·") ? item.label.slice(1) : item.label);

/** Nodes for a token inside a sentence: isolated, so that right-to-left words leave the rest in place. */
export function tokenNode(item, kind) {
  const b = el("bdi", { class: kind });
  b.textContent = plainLabel(item);
  return b;
}
