/* paint-lines.js: who looks at whom, as curves from each query to its keys. Pure functions of a 2D context. */
import { clipText, roundBox, textWidth, thinLabels, tokenFont } from "../core/canvas.js";
import { percent } from "../core/format.js";
import { LABEL_PAD, uprightLeft } from "./lines-layout.js";

function linesCurve(g, lay, i, j, shift) {
  const [x0, y0] = lay.q(i),
    [x1, y1] = lay.k(j);
  g.beginPath();
  if (lay.horizontal) {
    const m = (y0 + y1) / 2;
    g.moveTo(x0 + shift, y0);
    g.bezierCurveTo(x0 + shift, m, x1 + shift, m, x1 + shift, y1);
  } else {
    const m = (x0 + x1) / 2;
    g.moveTo(x0, y0 + shift);
    g.bezierCurveTo(m, y0 + shift, m, y1 + shift, x1, y1 + shift);
  }
  g.stroke();
}

const linesShift = (lay, h, n) => (n > 1 ? (h - (n - 1) / 2) * Math.min(4, Math.min(lay.pitchQ, lay.pitchK) / n) : 0);

/** A tick per token where not every label fits. */
function linesTicks(g, lay, theme, column, n, pitch) {
  if (pitch >= lay.size + 1) return;
  g.fillStyle = theme.edge;
  for (let i = 0; i < n; i++) {
    const [x, y] = column === "q" ? lay.q(i) : lay.k(i);
    if (lay.horizontal) g.fillRect(x - 0.5, column === "q" ? y - 5 : y + 3, 1, 2);
    else g.fillRect(column === "q" ? x - 5 : x + 3, y - 0.5, 2, 1);
  }
}

/**
 * All curves: strong when nothing is chosen, a grey shadow (`faded`) behind chosen ones. heads = [{a, curves, colour}].
 */
export function paintLinesBase(g, lay, scene, theme, faded) {
  const crowd = Math.max(lay.nq, lay.nk) > 30,
    n = scene.heads.length;
  g.lineCap = "round";
  scene.heads.forEach((head, h) => {
    const thin = Math.min(1, 100 / head.curves.length);
    for (const [v, i, j] of head.curves) {
      if (faded && v < (crowd ? 0.2 : 0.08)) continue;
      g.globalAlpha = faded
        ? ((crowd ? 0.05 : 0.08) + 0.08 * v) * thin
        : (0.2 + 0.8 * Math.sqrt(v)) * (n > 1 ? 0.75 : 1);
      g.strokeStyle = faded ? theme.ink2 : head.colour;
      g.lineWidth = faded ? 1 + 1.5 * v : ((1 + 9 * v) * lay.thin) / (n > 1 ? 1.6 : 1);
      linesCurve(g, lay, i, j, linesShift(lay, h, n));
    }
  });
  g.globalAlpha = 1;
  linesTicks(g, lay, theme, "q", lay.nq, lay.pitchQ);
  linesTicks(g, lay, theme, "k", lay.nk, lay.pitchK);
  g.textBaseline = "middle";
  g.font = `italic 400 13px ${theme.serif}`;
  g.fillStyle = theme.ink2;
  if (lay.horizontal) {
    g.textAlign = lay.rtl ? "right" : "left";
    g.fillText("query looks ↓", lay.rtl ? lay.w - 2 : 2, 9);
    g.fillText("↓ key is seen", lay.rtl ? lay.w - 2 : 2, lay.h - 9);
  } else {
    const long = textWidth(g, "query looks") <= lay.a0 - 8 && textWidth(g, "key is seen") <= lay.w - lay.a1 - 10;
    g.textAlign = "right";
    g.fillText(long ? "query looks" : "looks", lay.a0 - 8, 9);
    g.textAlign = "left";
    g.fillText(long ? "key is seen" : "is seen", lay.a1 + 10, 9);
  }
}

/** The value beside each token of the other side: the sum over the chosen tokens. */
function linesSums(scene) {
  const { focus, heads, nq, nk } = scene,
    a = heads[0].a,
    side = focus.side;
  const chosen = side === "q" ? focus.queries : focus.keys,
    sums = new Float32Array(side === "q" ? nk : nq);
  for (const c of chosen) for (let t = 0; t < sums.length; t++) sums[t] += side === "q" ? a[c * nk + t] : a[t * nk + c];
  return { chosen, sums };
}

function linesLabel(g, lay, theme, item, column, i, { hot, dim, value }) {
  const [x, y] = column === "q" ? lay.q(i) : lay.k(i),
    style = hot ? (column === "q" ? [theme.qBg, theme.qInk] : [theme.kBg, theme.kInk]) : null;
  g.font = tokenFont(theme, item, lay.size, hot);
  g.textBaseline = "middle";
  g.textAlign = "left";
  const most = column === "q" ? lay.labelQ : lay.labelK,
    text = clipText(g, item.label, most + 2),
    w = textWidth(g, text);
  g.save();
  let tx,
    ty = 0.5;
  if (lay.horizontal) {
    g.translate(x, column === "q" ? y - 8 : y + 8);
    if (lay.flat) {
      tx = uprightLeft(lay, x, w, hot) - x;
      ty = column === "q" ? -6 : 7;
    } else {
      g.rotate(-Math.PI / 2);
      tx = column === "q" ? 0 : -w;
      ty = 0;
    }
  } else {
    g.translate(column === "q" ? x - 10 : x + 10, y);
    tx = column === "q" ? -w : 0;
  }
  if (style) {
    g.fillStyle = style[0];
    roundBox(g, tx - LABEL_PAD, ty - 11, w + 2 * LABEL_PAD, 21, 5);
    g.fill();
  }
  g.fillStyle = style ? style[1] : dim ? theme.ink2 : theme.ink1;
  g.fillText(text, tx, ty);
  if (value && !lay.horizontal && lay.number) {
    g.font = `${hot ? 600 : 400} 12px ${theme.sans}`;
    g.fillStyle = hot ? theme.ink : theme.ink2;
    if (column === "k") g.fillText(value, tx + w + (hot ? 10 : 7), 0.5);
    else {
      g.textAlign = "right";
      g.fillText(value, tx - (hot ? 10 : 7), 0.5);
    }
  }
  g.restore();
}

function linesColumn(g, lay, scene, theme, column, values) {
  const list = column === "q" ? scene.queries : scene.keys,
    marked = column === "q" ? scene.focus.queries : scene.focus.keys;
  const pitch = column === "q" ? lay.pitchQ : lay.pitchK,
    any = scene.focus.queries.length + scene.focus.keys.length > 0,
    wide = lay.size + 1;
  const by = Array.from(marked);
  if (values)
    Array.from(values.keys())
      .filter((i) => values[i] >= 0.03)
      .sort((a, b) => values[b] - values[a])
      .slice(0, 40)
      .forEach((i) => by.push(i));
  const upright = lay.horizontal && lay.flat,
    ends = [];
  for (const i of upright
    ? thinLabels(list, 1, 0, []).sort(
        (a, b) => rankOf(by, a) - rankOf(by, b) || Number(list[b].sp) - Number(list[a].sp) || a - b,
      )
    : thinLabels(list, pitch, wide, by)) {
    const v = values ? values[i] : null,
      hot = marked.includes(i);
    if (upright && !linesRoom(g, lay, theme, list[i], column, i, hot, ends)) continue;
    linesLabel(g, lay, theme, list[i], column, i, {
      hot,
      dim: any && !hot && !(v >= 0.03),
      value: v >= 0.03 ? percent(v) : null,
    });
  }
}

const rankOf = (by, i) => {
  const at = by.indexOf(i);
  return at < 0 ? by.length : at;
};

const LABEL_GAP = 3; // what a label keeps free on either side

/** Claims the place of an upright label, if it is still free. */
function linesRoom(g, lay, theme, item, column, i, hot, ends) {
  g.font = tokenFont(theme, item, lay.size, true);
  const w = Math.min(column === "q" ? lay.labelQ : lay.labelK, textWidth(g, item.label)),
    [x] = column === "q" ? lay.q(i) : lay.k(i);
  const left = uprightLeft(lay, x, w, hot),
    free = LABEL_GAP + (hot ? LABEL_PAD : 0),
    from = left - free,
    to = left + w + free;
  if (ends.some(([a, b]) => from < b && to > a)) return false;
  ends.push([from, to]);
  return true;
}

/** The chosen curves in colour, and all labels. */
export function paintLinesOver(g, lay, scene, theme) {
  const { focus, heads, nk } = scene,
    { chosen, sums } = linesSums(scene),
    n = heads.length,
    least = Math.max(scene.threshold, 0.01),
    names = [];
  g.lineCap = "round";
  heads.forEach((head, h) => {
    const curves = [];
    for (const c of chosen)
      for (let t = 0; t < sums.length; t++) {
        const i = focus.side === "q" ? c : t,
          j = focus.side === "q" ? t : c,
          v = head.a[i * nk + j];
        if (v >= least) curves.push([v, i, j]);
      }
    curves.sort((x, y) => x[0] - y[0]);
    for (const [v, i, j] of curves.slice(-400)) {
      g.globalAlpha = 0.2 + 0.8 * Math.sqrt(v);
      g.strokeStyle = n === 1 && i === focus.q && j === focus.k ? theme.accent : head.colour;
      g.lineWidth = ((1 + 9 * v) * Math.max(0.5, lay.thin)) / (n > 1 ? 1.6 : 1);
      linesCurve(g, lay, i, j, linesShift(lay, h, n));
    }
    if (n > 1 && curves.length) names.push([head, h, curves[curves.length - 1]]);
  });
  g.globalAlpha = 1;
  linesColumn(g, lay, scene, theme, "q", chosen.length && focus.side === "k" ? sums : null);
  linesColumn(g, lay, scene, theme, "k", chosen.length && focus.side === "q" ? sums : null);
  linesNames(g, lay, theme, names, n);
}

/** Each head's name on its strongest curve. */
function linesNames(g, lay, theme, names, n) {
  g.font = `600 12px ${theme.sans}`;
  g.textAlign = "center";
  g.textBaseline = "middle";
  names.forEach(([head, h, [, i, j]], rank) => {
    const [x0, y0] = lay.q(i),
      [x1, y1] = lay.k(j),
      t = (rank + 1) / (names.length + 1),
      f = t * t * (3 - 2 * t),
      s = linesShift(lay, h, n);
    const x = lay.horizontal ? x0 + (x1 - x0) * f + s : x0 + (x1 - x0) * t,
      y = lay.horizontal ? y0 + (y1 - y0) * t : y0 + (y1 - y0) * f + s,
      w = textWidth(g, head.name);
    g.fillStyle = theme.paper;
    roundBox(g, x - w / 2 - 5, y - 9, w + 10, 18, 4);
    g.fill();
    g.strokeStyle = head.colour;
    g.lineWidth = 1.5;
    roundBox(g, x - w / 2 - 5, y - 9, w + 10, 18, 4);
    g.stroke();
    g.fillStyle = theme.ink1;
    g.fillText(head.name, x, y + 0.5);
  });
}
