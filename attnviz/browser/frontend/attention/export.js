/* export.js: pictures and tables of the view as files. */
import { SvgContext } from "./svg.js";

/** draw(context) as an SVG document of width × height CSS pixels; its text stays text. */
export function toSvg(draw, width, height, { title = "", background = null } = {}) {
  const g = new SvgContext(
    width,
    height,
    typeof document === "undefined" ? null : document.createElement("canvas").getContext("2d"),
  );
  draw(g);
  return g.toString(title, background);
}

/** draw(context) as a PNG blob, `scale` pixels to a CSS pixel. */
export function toPng(draw, width, height, { scale = 2, background = null } = {}) {
  const canvas = document.createElement("canvas"),
    g = canvas.getContext("2d");
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  g.setTransform(scale, 0, 0, scale, 0, 0);
  if (background) {
    g.fillStyle = background;
    g.fillRect(0, 0, width, height);
  }
  draw(g);
  return new Promise((done, fail) =>
    canvas.toBlob(
      (blob) => (blob ? done(blob) : fail(new Error(`${canvas.width} × ${canvas.height} pixels are too many`))),
      "image/png",
    ),
  );
}

/**
 * Weights as a CSV table (RFC 4180, UTF-8 with the mark that Excel needs): a row per query, a column per key.
 * Labels carry their position, "3 cat": they stay apart, and none can start a formula.
 */
export function toCsv(values, queryLabels, keyLabels = queryLabels) {
  const numbered = (label, i) => csvCell(`${i} ${label}`),
    n = keyLabels.length;
  const rows = [["query", ...keyLabels.map(numbered)]];
  queryLabels.forEach((label, i) =>
    rows.push([numbered(label, i), ...Array.from({ length: n }, (_, j) => csvNumber(values[i * n + j]))]),
  );
  return "\ufeff" + rows.map((row) => row.join(",") + "\r\n").join("");
}

/** Nine digits: every float32 reads back exactly. */
const csvNumber = (x) => (Number.isFinite(x) ? String(Number(x.toPrecision(9))) : "NaN");

function csvCell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
