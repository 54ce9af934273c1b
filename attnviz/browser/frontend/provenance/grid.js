/* grid.js: one matrix as a table of numbers: a grid with one Tab stop, elided where it is too large. */
import { el } from "../core/dom.js";
import { divergingIndex, lutIndex, onColour } from "../core/theme.js";
import { compact } from "../core/format.js";
import { symbolNode } from "./names.js";
import { cellValue, spread } from "./read.js";
import { symbolOf } from "./steps.js";

const STRONGEST = 0.62; // of the diverging scale: its darkest colours would drown the numbers

/**
 * The indices from `from` to `to` that are shown, at most about `limit`, around `focus`, with null for what is left
 * out.
 */
export function elided(from, to, limit, focus) {
  const n = to - from,
    all = Array.from({ length: n }, (_, i) => from + i);
  if (n <= limit) return all;
  const at = Math.max(from, Math.min(to - 1, focus ?? from)),
    inner = Math.max(1, limit - 2);
  const atStart = at - (inner >> 1) <= from + 1,
    atEnd = at - (inner >> 1) + inner >= to - 1,
    room = inner + (atStart || atEnd ? 1 : 0);
  const start = atStart ? from : atEnd ? to - room : at - (inner >> 1);
  const there = [...new Set([from, ...Array.from({ length: room }, (_, i) => start + i), to - 1])];
  return there.flatMap((i, k) => (k && i - there[k - 1] > 1 ? [null, i] : [i]));
}

/** What stands in front of a row or above a column. */
export function axisLabel(provenance, axis, i) {
  if (axis === "one") return "";
  return axis === "query" || axis === "key" ? provenance.tokens[i].label : String(i);
}

/**
 * The scale of a finite number and its place on it, by its matrix: shares on the sequential scale, all else on the
 * diverging one.
 */
function placeOnScale(theme, m, v) {
  if (m.name.startsWith("weights.")) return { lut: theme.lut, i: lutIndex(v, "sqrt") };
  const { most } = spread(m),
    i = most ? Math.round(127.5 + (divergingIndex(v / most, "sqrt") - 127.5) * STRONGEST) : 128;
  return { lut: theme.div, i };
}

/** Background and text colour of a number. */
export function cellColours(theme, m, v) {
  if (!Number.isFinite(v)) return [theme.sunken, theme.ink2];
  const { lut, i } = placeOnScale(theme, m, v);
  return [lut.css[i], onColour(lut, i)];
}

/** How many rows or columns of each axis an item shows. */
function axisLimits(view, item) {
  const { wide, phone, big } = view,
    few = phone || (wide && !big) ? 4 : 6;
  const rows = 7,
    keys = item.name.includes(".") && !item.block ? (phone ? 4 : view.pair() ? 5 : 7) : rows;
  return {
    query: rows,
    key: item.turned ? (phone ? 4 : 6) : item.name.includes(".") ? keys : rows,
    model: few,
    inner: few,
    unit: few,
  };
}

/** Rows and columns of an item as they are shown: axis, indices and whether the matrix lies turned. */
export function gridAxes(view, item) {
  const { provenance } = view,
    m = provenance.matrices[item.name],
    head = item.of ?? view.head();
  const range =
    item.block && m.axes[1] === "inner"
      ? [head * provenance.width, (head + 1) * provenance.width]
      : [m.first, m.first + m.stored];
  const rows = item.rows || m.axes[0],
    cols = m.axes[1],
    limits = axisLimits(view, item),
    around = (axis) => view.opened[axis] ?? view.focus[axis];
  const down = { axis: rows, at: elided(0, m.rows, limits[rows] ?? 9, around(rows)) };
  const across = { axis: cols, at: elided(...range, limits[cols] ?? 9, around(cols)) };
  return item.turned ? { m, down: across, across: down } : { m, down, across };
}

/** The figure of a matrix; its cells are entered into view.cells under "name:row:column". */
export function matrixFigure(view, item) {
  const { provenance } = view,
    { m, down, across } = gridAxes(view, item),
    name = symbolOf(provenance, item.name);
  const [rows, cols] = item.turned
    ? [m.width, m.rows]
    : [m.rows, item.block && m.axes[1] === "inner" ? provenance.width : m.width];
  const size = `${item.turned && item.block ? provenance.width : rows} × ${cols}`,
    title = item.turned ? `${name}ᵀ` : name;
  const table = el("table", {
    role: "grid",
    "aria-label": `${title}, ${size.replace("×", "by")}`,
    "aria-readonly": "true",
  });
  if (m.axes[1] === "inner" && provenance.heads > 1 && !item.turned && provenance.whole && !item.block)
    table.append(headRow(provenance, view, across));
  table.append(
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("td"),
        across.at.map((c, i) => columnHead(provenance, across, c, i)),
      ),
    ),
  );
  const body = el("tbody");
  down.at.forEach((r, i) =>
    body.append(r === null ? gapRow(down, i, across.at.length) : bodyRow(view, item, m, down.axis, r, across)),
  );
  table.append(body);
  const ribbon =
    !provenance.whole && (m.axes[1] === "inner" || item.name === "W_O") && provenance.heads > 1
      ? headRibbon(provenance, view, item)
      : null;
  return el("figure", { class: "aw-m" }, el("figcaption", {}, symbolNode(title), el("span", {}, size)), ribbon, table);
}

function columnHead(provenance, across, c, i) {
  if (c === null) return gapCell(across, i, "th", "…");
  const label = axisLabel(provenance, across.axis, c),
    token = across.axis === "query" || across.axis === "key";
  return el(
    "th",
    { scope: "col", class: token ? "tok" : null, title: token ? label : null, "data-i": c },
    el("bdi", {}, label),
  );
}

/** What is left out between two rows or columns: a click opens its middle. The keyboard's arrows get there too. */
function gapCell({ axis, at }, i, tag, text, more = {}) {
  const [first, last] = [at[i - 1] + 1, at[i + 1] - 1];
  return el(
    tag,
    { class: "gap", "data-gap": `${axis}:${(first + last) >> 1}`, title: `Show ${first} to ${last}`, ...more },
    text,
  );
}

function gapRow(down, i, n) {
  const left = down.at[i + 1] - down.at[i - 1] - 1;
  return el("tr", { class: "gap" }, gapCell(down, i, "td", `⋮ ${left} more`, { colspan: n + 1 }));
}

function bodyRow(view, item, m, axis, r, across) {
  const label = axisLabel(view.provenance, axis, r),
    token = axis === "query" || axis === "key",
    { provenance } = view;
  const tr = el(
    "tr",
    {},
    el(
      "th",
      { scope: "row", class: token ? "tok" : null, title: token ? label : null, "data-i": r },
      el("bdi", {}, label),
    ),
  );
  const splits = !item.block && provenance.whole && provenance.heads > 1,
    byRow = m.axes[0] === "inner",
    byCol = m.axes[1] === "inner";
  for (const [i, c] of across.at.entries()) {
    if (c === null) {
      tr.append(gapCell(across, i, "td", ""));
      continue;
    }
    const cell = item.turned ? [m.name, c, r] : [m.name, r, c],
      td = cellNode(view, m, cell);
    if (splits && byCol && c && c % provenance.width === 0) td.classList.add("cut-l");
    if (splits && byRow && r && r % provenance.width === 0) td.classList.add("cut-t");
    tr.append(td);
  }
  return tr;
}

function cellNode(view, m, cell) {
  const v = cellValue(view.provenance, ...cell),
    [background, ink] = cellColours(view.theme, m, v),
    key = cell.join(":");
  const td = el(
    "td",
    { role: "gridcell", tabindex: "-1", "data-cell": key, style: `background:${background};color:${ink}` },
    compact(v, spread(m).decimals),
  );
  if (view.edits.has(key)) td.classList.add("ed");
  view.cells.set(key, td);
  return td;
}

/** Which columns belong to which head, above the columns. */
function headRow(provenance, view, across) {
  const runs = [];
  for (const c of across.at) {
    const h = c === null ? runs.at(-1)[0] : Math.floor(c / provenance.width);
    if (runs.length && runs.at(-1)[0] === h) runs.at(-1)[1]++;
    else runs.push([h, 1]);
  }
  return el(
    "thead",
    { class: "aw-heads" },
    el(
      "tr",
      {},
      el("td"),
      runs.map(([h, n]) =>
        el(
          "th",
          { colspan: n, scope: "colgroup", class: h === view.head() ? "on" : null },
          n > 1 ? `head ${h}` : String(h),
        ),
      ),
    ),
  );
}

/** Where the chosen head's columns lie among all heads'. */
function headRibbon(provenance, view, item) {
  const on =
    item.of ??
    (item.name === "concat" || item.name === "W_O"
      ? Math.floor((view.focus.inner ?? 0) / provenance.width)
      : view.head());
  const first = on * provenance.width,
    what = item.name === "W_O" ? "rows" : "columns";
  const segments = Array.from({ length: provenance.heads }, (_, h) => el("i", { class: h === on ? "on" : null }));
  return el(
    "div",
    { class: "aw-ribbon" },
    el("div", { "aria-hidden": "true" }, segments),
    el("span", {}, `head ${on} of ${provenance.heads}: ${what} ${first}–${first + provenance.width - 1}`),
  );
}

/** A small picture of a whole matrix: a pixel per number. */
export function paintThumb(canvas, theme, m, from, to) {
  const h = Math.min(64, m.rows),
    w = Math.min(64, to - from),
    g = canvas.getContext("2d");
  canvas.width = w;
  canvas.height = h;
  const image = g.createImageData(w, h),
    pixels = new Uint32Array(image.data.buffer);
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const r = Math.floor((y * m.rows) / h),
        c = from + Math.floor((x * (to - from)) / w),
        v = m.values[r * m.stored + c - m.first];
      if (!Number.isFinite(v)) continue;
      const { lut, i } = placeOnScale(theme, m, v);
      pixels[y * w + x] = lut.u32[i];
    }
  g.putImageData(image, 0, 0);
}
