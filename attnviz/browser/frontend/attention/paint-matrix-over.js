/* paint-matrix-over.js: what is drawn over one head: labels and marks. Pure functions of a 2D context. */
import { clipText, roundBox, textWidth, thinLabels, tokenFont } from "../core/canvas.js";

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

/**
 * Labels, the marked rows and columns, and the marked cell. `focus` = {q, k, queries, keys} in items, -1 or [] for
 * none.
 */
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
