/* paint-why.js: why a weight is what it is: the products of query and key, and the row's softmax. Pure functions of a
   2D context. */
import { clipText, roundBox, textWidth } from "../core/canvas.js";
import { plainLabel } from "../core/dom.js";
import { number } from "../core/format.js";
import { lutIndex } from "../core/theme.js";

/** One bar per dimension, up for products that raise the score. `hot` is the dimension under the pointer, or null. */
export function paintWhy(g, theme, w, h, products, hot) {
  if (!products.every(Number.isFinite)) {
    g.font = `400 15px ${theme.sans}`;
    g.textAlign = "left";
    g.textBaseline = "middle";
    g.fillStyle = theme.ink2;
    g.fillText("− some products are not finite (NaN or infinite)", 0, h / 2);
    return;
  }
  const d = products.length,
    step = w / d,
    inset = step >= 6 ? 1.5 : step >= 3 ? 0.5 : 0,
    pad = 14;
  let up = 0,
    down = 0,
    most = 0;
  products.forEach((p, i) => {
    up = Math.max(up, p);
    down = Math.max(down, -p);
    if (Math.abs(p) > Math.abs(products[most])) most = i;
  });
  const scale = (h - 2 * pad) / (up + down || 1),
    zero = pad + up * scale;
  products.forEach((p, i) => {
    const b = Math.max(1, Math.abs(p) * scale),
      r = step >= 6 ? 2 : 0;
    g.fillStyle = p >= 0 ? theme.pos : theme.neg;
    g.globalAlpha = hot == null || hot === i ? 1 : 0.35;
    roundBox(
      g,
      i * step + inset,
      p >= 0 ? zero - b : zero,
      Math.max(0.5, step - 2 * inset),
      b,
      p >= 0 ? [r, r, 0, 0] : [0, 0, r, r],
    );
    g.fill();
  });
  g.globalAlpha = 1;
  g.fillStyle = theme.ink2;
  g.fillRect(0, Math.round(zero) - 0.5, w, 1);
  const i = hot ?? most,
    p = products[i],
    text = (p > 0 ? "+" : "") + number(p, 1);
  g.font = `400 12px ${theme.sans}`;
  g.textBaseline = "middle";
  g.textAlign = "center";
  g.fillStyle = theme.ink1;
  const tw = textWidth(g, text),
    y = zero - p * scale + (p >= 0 ? -8 : 9);
  g.fillText(text, Math.max(tw / 2, Math.min(w - tw / 2, (i + 0.5) * step)), y);
}

/** The query's row as one bar of length 1: every key's share, the key in focus in the accent. */
export function paintShare(g, theme, w, row, keys, k) {
  const bar = 16,
    n = row.length,
    parts = [];
  g.fillStyle = theme.sunken;
  roundBox(g, 0, 0, w, bar, 4);
  g.fill();
  g.save();
  roundBox(g, 0, 0, w, bar, 4);
  g.clip();
  for (let j = 0, x = 0; j < n; j++) {
    const b = row[j] * w;
    if (b > 0) {
      g.fillStyle = j === k ? theme.accent : theme.lut.css[Math.max(28, Math.min(120, (lutIndex(row[j]) * 0.7) | 0))];
      g.fillRect(x, 0, Math.max(0, b - (b > 3 ? 1 : 0)), bar);
    }
    if (b >= 6 || j === k) parts.push([x, b, j]);
    x += b;
  }
  g.restore();
  g.textBaseline = "top";
  g.textAlign = "left";
  const put = [];
  for (const [x, b, j] of parts.sort((a, c) => Number(c[2] === k) - Number(a[2] === k) || c[1] - a[1])) {
    g.font = `${j === k ? 600 : 400} 12px ${keys[j].sp ? theme.mono : theme.sans}`;
    const text = clipText(g, plainLabel(keys[j]), 110),
      tw = textWidth(g, text),
      left = Math.max(0, Math.min(w - tw, x + b / 2 - tw / 2));
    if (put.some(([a, c]) => left < c + 8 && left + tw > a - 8)) continue;
    put.push([left, left + tw]);
    g.fillStyle = j === k ? theme.kInk : theme.ink2;
    g.fillText(text, left, bar + 5);
  }
}
