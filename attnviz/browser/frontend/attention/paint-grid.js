/* paint-grid.js: every head as a small picture, layers × heads. Pure functions of a 2D context. */
import { roundBox, textWidth } from "../core/canvas.js";
import { colourPixels } from "../core/theme.js";

const TALL = 1.4; // a small picture may be so many times as high as wide, or as wide as high

/**
 * Where each head stands in w × h pixels: a row per layer, the first on top, a column per head, as in every other
 * picture; or by `order`, a list of heads (layer * heads + head) by rank. `bars`: leaves room for their scores.
 */
export function layoutGrid(w, h, layers, heads, order, { bars = true } = {}) {
  const plain = order === null,
    labelWidth = plain ? 22 : 3,
    top = plain ? 22 : 3,
    foot = plain || !bars ? 0 : 5,
    [nx, ny] = [heads, layers],
    gap = nx > 16 ? 2 : nx > 8 ? 3 : 4,
    below = ny > 16 ? 2 : 5;
  let cw = Math.max(5, Math.floor((w - labelWidth - 3 + gap) / nx - gap)),
    ch = Math.max(5, Math.floor((h - top - 3 + below) / ny - below - foot));
  cw = Math.min(cw, Math.floor(ch * TALL));
  ch = Math.min(ch, Math.floor(cw * TALL));
  const px = cw + gap,
    py = ch + below + foot,
    place = new Int32Array(layers * heads).fill(-1);
  for (let p = 0; p < layers * heads; p++) {
    if (!order) place[p] = p;
    else if (p < order.length) place[order[p]] = p;
  }
  return {
    nx,
    ny,
    gap,
    foot,
    cw,
    ch,
    px,
    py,
    layers,
    heads,
    left: labelWidth,
    top,
    plain,
    order,
    w: labelWidth + nx * px + 2,
    h: top + ny * py + 2,
    at: (k) => [labelWidth + (place[k] % nx) * px, top + ((place[k] / nx) | 0) * py],
    hit(x, y) {
      const i = Math.floor((x - labelWidth) / px),
        j = Math.floor((y - top) / py);
      if (i < 0 || j < 0 || i >= nx || j >= ny) return null;
      const p = j * nx + i;
      return order ? (order[p] ?? null) : p;
    },
  };
}

/**
 * Shrinks nq × nk values to at most rows × columns: of each block the value farthest from 0, so that a single strong
 * weight stays.
 */
export function poolHead(a, nq, nk, rows, columns) {
  const R = Math.max(1, Math.min(nq, rows)),
    P = Math.max(1, Math.min(nk, columns)),
    out = new Float32Array(R * P);
  if (R === nq && P === nk) {
    out.set(a.subarray(0, nq * nk));
    return { values: out, rows: R, columns: P };
  }
  const column = Int32Array.from({ length: nk }, (_, j) => ((j * P) / nk) | 0);
  for (let i = 0; i < nq; i++) {
    const to = (((i * R) / nq) | 0) * P,
      from = i * nk;
    for (let j = 0; j < nk; j++) {
      const x = a[from + j],
        at = to + column[j],
        v = out[at];
      if (x * x > v * v) out[at] = x;
    }
  }
  return { values: out, rows: R, columns: P };
}

/** The pixels of a pooled head, W × H of them, each cell as large as it comes out. */
function thumbPixels(pooled, W, H, theme, options) {
  const { values, rows, columns } = pooled,
    cells = new Uint32Array(values.length),
    image = new ImageData(W, H),
    px = new Uint32Array(image.data.buffer);
  colourPixels(theme, options, values, cells);
  for (let y = 0, p = 0; y < H; y++) {
    const from = (((y * rows) / H) | 0) * columns;
    for (let x = 0; x < W; x++) px[p++] = cells[from + (((x * columns) / W) | 0)];
  }
  return image;
}

let thumbCanvas = null;

/** The same as a small canvas of its own, for pictures that are scaled later; it lasts until the next one. */
function thumbPicture(pooled, theme, options) {
  thumbCanvas ||= document.createElement("canvas");
  thumbCanvas.width = pooled.columns;
  thumbCanvas.height = pooled.rows;
  thumbCanvas.getContext("2d").putImageData(thumbPixels(pooled, pooled.columns, pooled.rows, theme, options), 0, 0);
  return thumbCanvas;
}

/**
 * One head's picture (pooled, or null) in its place, with the bar of its score below when the grid is sorted. `ratio`:
 * device pixels per CSS pixel of a canvas that is not transformed otherwise; null: any context. `options`: what
 * colourPixels takes.
 */
export function paintThumb(g, lay, k, pooled, theme, ratio, score, options) {
  const [x, y] = lay.at(k);
  g.fillStyle = theme.paper;
  g.fillRect(x - 1, y - 1, lay.cw + 2, lay.ch + 2 + lay.foot);
  if (pooled && ratio) {
    const X = Math.round(x * ratio),
      Y = Math.round(y * ratio),
      W = Math.round((x + lay.cw) * ratio) - X,
      H = Math.round((y + lay.ch) * ratio) - Y;
    g.putImageData(thumbPixels(pooled, W, H, theme, options), X, Y);
  } else if (pooled) {
    g.imageSmoothingEnabled = false;
    g.drawImage(thumbPicture(pooled, theme, options), x, y, lay.cw, lay.ch);
  }
  g.strokeStyle = theme.line;
  g.lineWidth = 1;
  g.strokeRect(x - 0.5, y - 0.5, lay.cw + 1, lay.ch + 1);
  if (lay.foot && score != null) {
    g.fillStyle = theme.ink2;
    g.fillRect(x, y + lay.ch + 2, Math.max(1, lay.cw * score), 2.5);
  }
}

/** One head as a cell in the colour of its score, with the number where it fits. */
export function paintCell(g, lay, k, theme, { fill, ink, text }) {
  const [x, y] = lay.at(k),
    size = lay.cw >= 28 ? 13 : 11;
  g.fillStyle = theme.paper;
  g.fillRect(x - 1, y - 1, lay.cw + 2, lay.ch + 2);
  g.fillStyle = fill;
  g.fillRect(x, y, lay.cw, lay.ch);
  g.strokeStyle = theme.line;
  g.lineWidth = 1;
  g.strokeRect(x - 0.5, y - 0.5, lay.cw + 1, lay.ch + 1);
  g.font = `400 ${size}px ${theme.sans}`;
  if (!text || lay.ch < size || textWidth(g, text) > lay.cw - 1) return;
  g.fillStyle = ink;
  g.textAlign = "center";
  g.textBaseline = "middle";
  g.fillText(text, x + lay.cw / 2, y + lay.ch / 2 + 0.5);
}

function axisNumbers(g, lay, theme, current, horizontal) {
  const n = horizontal ? lay.nx : lay.ny,
    pitch = horizontal ? lay.px : lay.py;
  const every = Math.max(1, Math.ceil((horizontal ? 18 : 14) / pitch));
  for (let i = 0; i < n; i++) {
    const on = i === current;
    if (!on && (i % every || (Math.abs(i - current) < every && current >= 0))) continue;
    g.font = `${on ? 700 : 400} 12px ${theme.sans}`;
    g.fillStyle = on ? theme.ink : theme.ink2;
    if (horizontal) g.fillText(String(i), lay.left + i * lay.px + lay.cw / 2, lay.top - 10);
    else g.fillText(String(i), lay.left - 8, lay.top + i * lay.py + lay.ch / 2 + 0.5);
  }
}

/**
 * Numbers of layers and heads, and the rings: ink for the head in view, thin for the one under the pointer, category
 * colours for those added to the curves.
 */
export function paintGridOver(g, lay, theme, { head, hover, extra }) {
  const shown = hover ?? head,
    layer = (shown / lay.heads) | 0,
    of = shown % lay.heads;
  if (lay.plain) {
    g.textBaseline = "middle";
    g.textAlign = "center";
    axisNumbers(g, lay, theme, of, true);
    g.textAlign = "right";
    axisNumbers(g, lay, theme, layer, false);
  }
  const ring = (k, colour, width) => {
    const [x, y] = lay.at(k);
    g.strokeStyle = theme.paper;
    g.lineWidth = width + 2;
    roundBox(g, x - 1.5, y - 1.5, lay.cw + 3, lay.ch + 3, 3);
    g.stroke();
    g.strokeStyle = colour;
    g.lineWidth = width;
    roundBox(g, x - 2, y - 2, lay.cw + 4, lay.ch + 4, 3);
    g.stroke();
  };
  extra.forEach((k, i) => ring(k, theme.cat[i + 1], 2.25));
  if (hover != null && hover !== head) ring(hover, theme.ink2, 1.5);
  ring(head, theme.ink, 2.25);
}
