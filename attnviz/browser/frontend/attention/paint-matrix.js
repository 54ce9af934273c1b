/* paint-matrix.js: one head as queries × keys: its layout and its cells. Pure functions of a 2D context. */
import { leastSize, textWidth, tokenFont } from "../core/canvas.js";
import { colourPixels, divergingIndex, lutIndex, onColour } from "../core/theme.js";
import { poolHead } from "./paint-grid.js";

const AXIS_QUERY = ["query looks ↓", "looks ↓"],
  AXIS_KEY = ["key is seen →", "is seen →"];

function axisWidest(g, theme, list, size, most) {
  let widest = 12;
  for (const item of list) {
    g.font = tokenFont(theme, item, size, true);
    widest = Math.max(widest, textWidth(g, item.label.slice(0, 60)));
    if (widest >= most) return most;
  }
  return widest;
}

/**
 * Cells, margins and labels for a w × h box. `view` = {q0, q1, k0, k1} is the part of the items that shows (fractions
 * while it moves).
 */
export function layoutMatrix(g, w, h, queries, keys, view, theme) {
  const nq = queries.length,
    nk = keys.length,
    most = Math.min(118, w * 0.26),
    least = Math.min(94, w * 0.17);
  const whole = (c) => (c >= 5 ? Math.floor(c) : c);
  let size, wide, tall, left, top, c, slant;
  for (size of [14, 12, leastSize(theme)]) {
    wide = axisWidest(g, theme, queries, size, most);
    tall = keys === queries ? wide : axisWidest(g, theme, keys, size, most);
    left = Math.round(Math.max(least, wide + 16));
    const fit = (head, right) => whole(Math.max(0.2, Math.min((w - left - right - 2) / nk, (h - head - 8) / nq)));
    top = Math.max(40, tall * 0.72 + size + 8);
    c = fit(top, tall * 0.4);
    slant = c >= size + 5;
    if (!slant) c = fit((top = Math.max(40, tall + 12)), 1);
    if (c >= size + 1) break;
  }
  top = Math.round(top);
  const width = c * nk,
    height = c * nq,
    cell = width / (view.k1 - view.k0);
  const lay = {
    left,
    top,
    width,
    height,
    c: cell,
    whole: c,
    nq,
    nk,
    view,
    size,
    slant,
    wide,
    tall,
    gap: cell >= 14 ? 1 : 0,
    x: (j) => left + (j - view.k0) * cell,
    y: (i) => top + (i - view.q0) * cell,
    at(px, py) {
      const k = px >= left && px < left + width ? Math.floor((px - left) / cell + view.k0) : -1;
      const q = py >= top && py < top + height ? Math.floor((py - top) / cell + view.q0) : -1;
      return { q: q < nq ? q : -1, k: k < nk ? k : -1 };
    },
    near(px, py) {
      // the same, or the cell at the edge that is next to it
      const x = Math.max(left, Math.min(left + width - 0.01, px)),
        y = Math.max(top, Math.min(top + height - 0.01, py));
      return { ...lay.at(x, y), inside: x === px && y === py };
    },
  };
  lay.rows = [Math.max(0, Math.floor(view.q0)), Math.min(nq, Math.ceil(view.q1))];
  lay.columns = [Math.max(0, Math.floor(view.k0)), Math.min(nk, Math.ceil(view.k1))];
  return lay;
}

function cellIndex(scene, v) {
  if (scene.change) return Math.abs(v) < 0.002 ? 128 : divergingIndex(v, scene.colour);
  return v < scene.threshold ? 0 : lutIndex(v, scene.colour);
}

let matrixScratch = null,
  matrixPixels = null;

/**
 * The visible cells as one image, a pixel per cell (or the strongest of a block where cells are smaller than pixels).
 */
function matrixImage(g, lay, scene, theme) {
  const ratio = g.getTransform().a,
    m = scene.change || scene.a,
    [i0, i1] = lay.rows,
    [j0, j1] = lay.columns;
  let rows = i1 - i0,
    columns = j1 - j0,
    values = m;
  if (rows !== lay.nq || columns !== lay.nk) {
    values = new Float32Array(rows * columns);
    for (let i = i0; i < i1; i++) values.set(m.subarray(i * lay.nk + j0, i * lay.nk + j1), (i - i0) * columns);
  }
  if (lay.c * ratio < 1 && !scene.coarse)
    ({ values, rows, columns } = poolHead(
      values,
      rows,
      columns,
      Math.round(rows * lay.c * ratio),
      Math.round(columns * lay.c * ratio),
    ));
  matrixScratch ||= document.createElement("canvas");
  if (matrixScratch.width !== columns || matrixScratch.height !== rows) {
    matrixScratch.width = columns;
    matrixScratch.height = rows;
  }
  const s = matrixScratch.getContext("2d"),
    kept = matrixPixels?.width === columns && matrixPixels.height === rows;
  const image = (matrixPixels = kept ? matrixPixels : s.createImageData(columns, rows));
  colourPixels(
    theme,
    { threshold: scene.threshold, colour: scene.colour, signed: !!scene.change },
    values,
    new Uint32Array(image.data.buffer),
  );
  s.putImageData(image, 0, 0);
  g.imageSmoothingEnabled = false;
  g.drawImage(matrixScratch, lay.x(j0), lay.y(i0), (j1 - j0) * lay.c, (i1 - i0) * lay.c);
}

/** The same as rectangles, for vector output: neighbours of one colour become one rectangle. */
function matrixRects(g, lay, scene, lut) {
  const m = scene.change || scene.a,
    [i0, i1] = lay.rows,
    [j0, j1] = lay.columns,
    none = scene.change ? 128 : 0;
  for (let i = i0; i < i1; i++) {
    for (let j = j0; j < j1;) {
      const at = cellIndex(scene, m[i * lay.nk + j]),
        from = j;
      while (j < j1 && cellIndex(scene, m[i * lay.nk + j]) === at) j++;
      if (at === none) continue;
      g.fillStyle = lut.css[at];
      g.fillRect(lay.x(from), lay.y(i), (j - from) * lay.c, lay.c);
    }
  }
}

function matrixNumbers(g, lay, scene, theme, lut) {
  const m = scene.change || scene.a,
    [i0, i1] = lay.rows,
    [j0, j1] = lay.columns,
    least = Math.max(scene.change ? 0 : scene.threshold, 0.00995);
  g.textAlign = "center";
  g.textBaseline = "middle";
  const large = Math.max(leastSize(theme), Math.min(18, Math.round(lay.c * 0.66))); // read from the back of a room
  g.font = `500 ${theme.scale > 1 ? large : lay.c >= 32 ? 13 : lay.c >= 25 ? 12 : 11}px ${theme.sans}`;
  for (let i = i0; i < i1; i++) {
    for (let j = j0; j < j1; j++) {
      const v = m[i * lay.nk + j],
        points = Math.round(Math.abs(v) * 100);
      if (!(Math.abs(v) >= least) || !points) continue;
      g.fillStyle = onColour(lut, cellIndex(scene, v));
      g.fillText(
        scene.change ? (v > 0 ? "+" : "−") + points : String(points),
        lay.x(j) + lay.c / 2 - 0.5,
        lay.y(i) + lay.c / 2 + 0.5,
      );
    }
  }
}

/** A dotted line around what the mask lets through. */
function matrixEdge(g, lay, allowed, theme) {
  const [i0, i1] = lay.rows,
    [j0, j1] = lay.columns,
    open = (i, j) => i < 0 || j < 0 || i >= lay.nq || j >= lay.nk || allowed(i, j);
  g.strokeStyle = theme.edge;
  g.lineWidth = 1;
  g.setLineDash([2, 3]);
  g.beginPath();
  for (let i = i0; i < i1; i++) {
    for (let j = j0; j < j1; j++) {
      if (open(i, j)) continue;
      const x = lay.x(j),
        y = lay.y(i);
      if (j > 0 && open(i, j - 1)) {
        g.moveTo(x, y);
        g.lineTo(x, y + lay.c);
      }
      if (j < lay.nk - 1 && open(i, j + 1)) {
        g.moveTo(x + lay.c, y);
        g.lineTo(x + lay.c, y + lay.c);
      }
      if (i > 0 && open(i - 1, j)) {
        g.moveTo(x, y);
        g.lineTo(x + lay.c, y);
      }
      if (i < lay.nq - 1 && open(i + 1, j)) {
        g.moveTo(x, y + lay.c);
        g.lineTo(x + lay.c, y + lay.c);
      }
    }
  }
  g.stroke();
  g.setLineDash([]);
}

/** A stroke through every cell that was blocked by hand, so that it differs from one that merely gets nothing. */
function matrixStrokes(g, lay, scene, theme, lut) {
  const [i0, i1] = lay.rows,
    [j0, j1] = lay.columns,
    inset = Math.max(1, lay.c * 0.2),
    far = lay.c - lay.gap - inset;
  g.lineWidth = lay.c >= 14 ? 1.5 : 1;
  for (let i = i0; i < i1; i++) {
    for (let j = j0; j < j1; j++) {
      if (!scene.painted(i, j)) continue;
      g.strokeStyle = scene.change ? onColour(lut, cellIndex(scene, scene.change[i * lay.nk + j])) : theme.edge;
      g.beginPath();
      g.moveTo(lay.x(j) + inset, lay.y(i) + far);
      g.lineTo(lay.x(j) + far, lay.y(i) + inset);
      g.stroke();
    }
  }
}

/** Cells, lines between them, numbers where they fit, the edge of the mask, the names of the axes. */
export function paintMatrix(g, lay, scene, theme) {
  const lut = scene.change ? theme.div : theme.lut,
    { left, top, width, height, gap, c } = lay;
  g.save();
  g.beginPath();
  g.rect(left, top, width, height);
  g.clip();
  g.fillStyle = theme.paper;
  g.fillRect(left, top, width, height);
  if (g.isSvg) matrixRects(g, lay, scene, lut);
  else matrixImage(g, lay, scene, theme);
  if (gap) {
    g.fillStyle = theme.grid;
    for (let i = Math.max(1, lay.rows[0]); i < lay.rows[1]; i++) g.fillRect(left, lay.y(i) - 1, width, 1);
    for (let j = Math.max(1, lay.columns[0]); j < lay.columns[1]; j++) g.fillRect(lay.x(j) - 1, top, 1, height);
  }
  if (c >= (scene.change ? 25 : theme.scale > 1 ? 14 : 20)) matrixNumbers(g, lay, scene, theme, lut);
  if (scene.allowed && c >= 3) matrixEdge(g, lay, scene.allowed, theme);
  if (scene.painted && c >= 3) matrixStrokes(g, lay, scene, theme, lut);
  g.restore();
  g.strokeStyle = theme.line;
  g.lineWidth = 1;
  g.strokeRect(left - 0.5, top - 0.5, width + 1, height + 1);
  g.fillStyle = theme.ink2;
  g.font = `italic 400 13px ${theme.serif}`;
  g.textBaseline = "alphabetic";
  g.textAlign = "right";
  const short = [AXIS_QUERY[0], AXIS_KEY[0]].some((t) => textWidth(g, t) > left - 10) ? 1 : 0;
  const room = Math.max(textWidth(g, AXIS_QUERY[short]), textWidth(g, AXIS_KEY[short])) / (left - 10);
  if (room > 1) g.font = `italic 400 ${Math.max(11, 13 / room)}px ${theme.serif}`;
  g.fillText(AXIS_QUERY[short], left - 10, top - 24);
  g.fillText(AXIS_KEY[short], left - 10, top - 8);
}
