/* paint-legend.js: the colour scale of weights, or of their changes. Pure functions of a 2D context. */
import { textWidth } from "./canvas.js";
import { scalePosition } from "./theme.js";

/** @type {[number, string][]} */
const LEGEND = [
  [0, "0"],
  [0.01, "1"],
  [0.05, "5"],
  [0.1, "10"],
  [0.25, "25"],
  [0.5, "50"],
  [1, "100\u202f%"],
];
/** @type {[number, string][]} */
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
