/* paint-matrix.js: one head as queries × keys, its legend, and what is drawn over it. Pure functions of a 2D context. */
import { colourPixels, divergingIndex, lutIndex, onColour, scalePosition } from "../core/theme.js";
import { clipText, roundBox, textWidth, thinLabels, tokenFont } from "../core/canvas.js";
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

/** Cells, margins and labels for a w × h box. `view` = {q0, q1, k0, k1} is the part of the items that shows (fractions while it moves). */
export function layoutMatrix(g, w, h, queries, keys, view, theme) {
  const nq = queries.length,
    nk = keys.length,
    most = Math.min(118, w * 0.26),
    least = Math.min(94, w * 0.17);
  const whole = (c) => (c >= 5 ? Math.floor(c) : c);
  let size, wide, tall, left, top, c, slant;
  for (size of [14, 12, 11]) {
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

/** The visible cells as one image, a pixel per cell (or the strongest of a block where cells are smaller than pixels). */
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
  g.font = `500 ${lay.c >= 32 ? 13 : lay.c >= 25 ? 12 : 11}px ${theme.sans}`;
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
  if (c >= (scene.change ? 25 : 20)) matrixNumbers(g, lay, scene, theme, lut);
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

function axisLabel(g, lay, theme, item, at, axis, style) {
  g.save();
  g.font = tokenFont(theme, item, lay.size, !!style);
  const text = clipText(g, item.label, (axis === "q" ? lay.wide : lay.tall) + 1),
    w = textWidth(g, text);
  g.textBaseline = "middle";
  g.textAlign = "left";
  if (axis === "q") g.translate(lay.left - 8, at);
  else {
    g.translate(at + (lay.slant ? (style ? 4 : 2) : 0), lay.top - (style && lay.slant ? 9 : 7));
    g.rotate(lay.slant ? -Math.PI / 4 : -Math.PI / 2);
  }
  const x = axis === "q" ? -w : 0;
  if (style) {
    g.fillStyle = style.bg;
    roundBox(g, x - 5, -lay.size / 2 - 4, w + 10, lay.size + 8, 5);
    g.fill();
  }
  g.fillStyle = style ? style.fg : item.sp ? theme.ink2 : theme.ink1;
  g.fillText(text, x, 0.5);
  g.restore();
}

/** Labels of one axis. Their choice does not depend on the pointer, only those too near to a marked one give way. */
function axisLabels(g, lay, theme, list, axis, marked, style) {
  const [from, to] = axis === "q" ? lay.rows : lay.columns,
    min = lay.size + 1,
    near = (lay.c < min ? lay.size + 7 : lay.size + 1) / lay.c,
    half = lay.c / 2;
  const at = (i) => (axis === "q" ? lay.y(i) : lay.x(i)) + half,
    start = axis === "q" ? lay.top : lay.left,
    end = start + (axis === "q" ? lay.height : lay.width);
  const seen = (i) => at(i) > start - 1 && at(i) < end + 1,
    hot = [];
  for (const i of marked) if (seen(i) && !hot.some((k) => Math.abs(k - i) < near)) hot.push(i);
  for (const i of thinLabels(list, lay.c, min, [], from, to)) {
    if (seen(i) && !hot.some((k) => Math.abs(k - i) < near)) axisLabel(g, lay, theme, list[i], at(i), axis, null);
  }
  for (const i of hot) axisLabel(g, lay, theme, list[i], at(i), axis, style);
}

/** Labels, the marked rows and columns, and the marked cell. `focus` = {q, k, queries, keys} in items, -1 or [] for none. */
export function paintMatrixOver(g, lay, scene, theme) {
  const { focus } = scene,
    { left, top, width, height, c, gap } = lay;
  axisLabels(g, lay, theme, scene.queries, "q", focus.queries, { bg: theme.qBg, fg: theme.qInk });
  axisLabels(g, lay, theme, scene.keys, "k", focus.keys, { bg: theme.kBg, fg: theme.kInk });
  g.save();
  g.beginPath();
  g.rect(left - 4, top - 4, width + 8, height + 8);
  g.clip();
  g.lineWidth = 1;
  g.strokeStyle = theme.guide;
  const line = Math.max(c, 2) + (gap ? 0 : 1);
  for (const i of focus.queries)
    if (i + 1 > lay.view.q0 && i < lay.view.q1) g.strokeRect(left - 0.5, lay.y(i) - 0.5 - gap / 2, width + 1, line);
  for (const j of focus.keys)
    if (j + 1 > lay.view.k0 && j < lay.view.k1) g.strokeRect(lay.x(j) - 0.5 - gap / 2, top - 0.5, line, height + 1);
  if (focus.q >= 0 && focus.k >= 0) {
    const s = Math.max(c - gap, 3),
      x = lay.x(focus.k) - 1,
      y = lay.y(focus.q) - 1;
    for (const [colour, width] of [
      [theme.paper, 5],
      [theme.ink, 2],
    ]) {
      g.strokeStyle = colour;
      g.lineWidth = width;
      roundBox(g, x, y, s + 2, s + 2, 2);
      g.stroke();
    }
  }
  g.restore();
}

const LEGEND = [
  [0, "0"],
  [0.01, "1"],
  [0.05, "5"],
  [0.1, "10"],
  [0.25, "25"],
  [0.5, "50"],
  [1, "100\u202f%"],
];
const LEGEND_SIGNED = [
  [-1, "−100"],
  [-0.25, "−25"],
  [-0.05, "−5"],
  [0, "0"],
  [0.05, "+5"],
  [0.25, "+25"],
  [1, "+100"],
];

/** The colour scale, always 0 to 100 % (or −100 to +100 points), with a mark at the value in focus. */
export function paintLegend(g, theme, w, value, signed, colour) {
  const lut = signed ? theme.div : theme.lut,
    n = 128,
    x0 = 1,
    width = w - 2;
  const at = signed
    ? (v) => 0.5 + (Math.sign(v) * scalePosition(Math.abs(v), colour)) / 2
    : (v) => scalePosition(v, colour);
  for (let i = 0; i < n; i++) {
    g.fillStyle = lut.css[((i / (n - 1)) * 255) | 0];
    g.fillRect(x0 + (i * width) / n, 8, width / n + 0.6, 10);
  }
  g.strokeStyle = theme.line;
  g.lineWidth = 1;
  g.strokeRect(x0 - 0.5, 7.5, width + 1, 11);
  g.font = `400 12px ${theme.sans}`;
  g.fillStyle = theme.ink2;
  g.textBaseline = "top";
  const ticks = signed ? LEGEND_SIGNED : LEGEND,
    ends = [0, ticks.length - 1],
    taken = [];
  for (const i of [...ends, ...ticks.keys()]) {
    const [v, text] = ticks[i],
      tw = textWidth(g, text),
      x = x0 + at(v) * width,
      l = i === 0 ? x : i === ends[1] ? x - tw : x - tw / 2;
    if (taken.some(([a, b]) => l < b + 5 && l + tw > a - 5)) continue;
    taken.push([l, l + tw]);
    g.textAlign = "left";
    g.fillText(text, l, 22);
  }
  if (!Number.isFinite(value)) return;
  const x = Math.max(5, Math.min(w - 5, x0 + at(value) * width));
  g.fillStyle = theme.ink;
  g.beginPath();
  g.moveTo(x - 4.5, 0);
  g.lineTo(x + 4.5, 0);
  g.lineTo(x, 6.5);
  g.fill();
}
