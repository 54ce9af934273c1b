/* paint-grid.js: every head as a small picture, layers × heads. Pure functions of a 2D context. */
import {colourPixels} from "./theme.js";
import {roundBox} from "./kit.js";

/** Where each head stands in w × h pixels. Heads or layers run across, whichever gives larger pictures; `order` lists heads (layer * heads + head) by rank, or null. */
export function layoutGrid(w, h, layers, heads, order) {
  const plain = order === null, labelWidth = plain ? 22 : 3, top = plain ? 22 : 3, foot = plain ? 0 : 5;
  const shape = (nx, ny) => {
    const gap = nx > 16 || ny > 16 ? 2 : 4;
    let cw = Math.max(5, Math.floor((w - labelWidth - 3 + gap) / nx - gap)), ch = Math.max(5, Math.floor((h - top - 3 + gap) / ny - gap - foot));
    cw = Math.min(cw, Math.floor(ch * 1.4));
    ch = Math.min(ch, cw);
    return { nx, ny, gap, cw, ch };
  };
  const wide = shape(heads, layers), tall = shape(layers, heads), across = wide.cw * wide.ch > tall.cw * tall.ch, { nx, ny, gap, cw, ch } = across ? wide : tall;
  const px = cw + gap, py = ch + gap + foot, place = new Int32Array(layers * heads).fill(-1);
  for (let p = 0; p < layers * heads; p++) {
    if (order) { if (p < order.length) place[order[p]] = p; }
    else place[across ? p : (p % nx) * heads + (p / nx | 0)] = p;
  }
  return {
    across, nx, ny, gap, foot, cw, ch, px, py, layers, heads, left: labelWidth, top, plain, order,
    w: labelWidth + nx * px + 2, h: top + ny * py + 2,
    at: (k) => [labelWidth + (place[k] % nx) * px, top + (place[k] / nx | 0) * py],
    hit(x, y) {
      const i = Math.floor((x - labelWidth) / px), j = Math.floor((y - top) / py);
      if (i < 0 || j < 0 || i >= nx || j >= ny) return null;
      const p = j * nx + i;
      return order ? order[p] ?? null : across ? j * heads + i : i * heads + j;
    },
  };
}

/** Shrinks nq × nk values to at most rows × columns: of each block the value farthest from 0, so that a single strong weight stays. */
export function poolHead(a, nq, nk, rows, columns) {
  const R = Math.max(1, Math.min(nq, rows)), P = Math.max(1, Math.min(nk, columns)), out = new Float32Array(R * P);
  if (R === nq && P === nk) {
    out.set(a.subarray(0, nq * nk));
    return { values: out, rows: R, columns: P };
  }
  const column = Int32Array.from({ length: nk }, (_, j) => j * P / nk | 0);
  for (let i = 0; i < nq; i++) {
    const to = (i * R / nq | 0) * P, from = i * nk;
    for (let j = 0; j < nk; j++) {
      const x = a[from + j], at = to + column[j], v = out[at];
      if (x * x > v * v) out[at] = x;
    }
  }
  return { values: out, rows: R, columns: P };
}

/** Colours a pooled head into its own small canvas. */
export function colourThumb(canvas, pooled, { theme, threshold, colour, signed }) {
  canvas.width = pooled.columns;
  canvas.height = pooled.rows;
  const g = canvas.getContext("2d"), image = g.createImageData(pooled.columns, pooled.rows), px = new Uint32Array(image.data.buffer);
  colourPixels(theme, { threshold, colour, signed }, pooled.values, px);
  g.putImageData(image, 0, 0);
}

/** One head's picture in its place, with the bar of its score below when the grid is sorted. `snap` rounds to device pixels. */
export function paintThumb(g, lay, k, thumb, theme, ratio, score) {
  const [x, y] = lay.at(k), snap = (v) => Math.round(v * ratio) / ratio;
  g.fillStyle = theme.paper;
  g.fillRect(x - 1, y - 1, lay.cw + 2, lay.ch + 2 + lay.foot);
  g.imageSmoothingEnabled = false;
  if (thumb) g.drawImage(thumb, snap(x), snap(y), snap(x + lay.cw) - snap(x), snap(y + lay.ch) - snap(y));
  g.strokeStyle = theme.line;
  g.lineWidth = 1;
  g.strokeRect(x - 0.5, y - 0.5, lay.cw + 1, lay.ch + 1);
  if (lay.foot && score != null) {
    g.fillStyle = theme.ink2;
    g.fillRect(x, y + lay.ch + 2, Math.max(1, lay.cw * score), 2.5);
  }
}

function axisNumbers(g, lay, theme, current, horizontal) {
  const n = horizontal ? lay.nx : lay.ny, pitch = horizontal ? lay.px : lay.py;
  const every = Math.max(1, Math.ceil((horizontal ? 18 : 14) / pitch));
  for (let i = 0; i < n; i++) {
    const on = i === current;
    if (!on && (i % every || Math.abs(i - current) < every && current >= 0)) continue;
    g.font = `${on ? 700 : 400} 12px ${theme.sans}`;
    g.fillStyle = on ? theme.ink : theme.ink2;
    if (horizontal) g.fillText(String(i), lay.left + i * lay.px + lay.cw / 2, lay.top - 10);
    else g.fillText(String(i), lay.left - 8, lay.top + i * lay.py + lay.ch / 2 + 0.5);
  }
}

/** Numbers of layers and heads, and the rings: ink for the head in view, thin for the one under the pointer, category colours for those added to the curves. */
export function paintGridOver(g, lay, theme, { head, hover, extra }) {
  const shown = hover ?? head, layer = shown / lay.heads | 0, of = shown % lay.heads;
  if (lay.plain) {
    g.textBaseline = "middle";
    g.textAlign = "center";
    axisNumbers(g, lay, theme, lay.across ? of : layer, true);
    g.textAlign = "right";
    axisNumbers(g, lay, theme, lay.across ? layer : of, false);
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
