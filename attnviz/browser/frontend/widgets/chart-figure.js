/* chart-figure.js: a plotly figure as it is drawn: as wide as its place, in type of the size that the page asks for. */

const CELLS = Infinity; // no cells that have to stay square

/** What a number in a cell takes of its width, in pixels. */
const WRITTEN = 36;

/** Under so many pixels of a cell's width its name is written in the smallest type. */
const TIGHT = 34;
const SMALLEST = 11;
const SMALLEST_LARGE = 11.25; // where type is larger, before a class

/** A figure is no lower than these shares of its height: one with named rows, whose names would touch, and others. */
const LOWEST = { named: 0.7, other: 0.5 };

/** A size of plotly's is of type or of marks only below these names. */
const SCALED = {
  size: (parent) => /font$/.test(parent) || parent === "marker",
  width: (parent) => parent === "line",
  standoff: () => true,
  xshift: () => true,
  yshift: () => true,
  l: (parent) => parent === "margin",
  r: (parent) => parent === "margin",
  t: (parent) => parent === "margin",
  b: (parent) => parent === "margin",
};

/** A figure's part with all that is measured in pixels `scale` times as large. */
function enlarged(part, scale, parent = "") {
  if (Array.isArray(part)) return part.map((one) => enlarged(one, scale, parent));
  if (part === null || typeof part !== "object") return part;
  const entries = Object.entries(part).map(([name, value]) => {
    const scales = Object.hasOwn(SCALED, name) && SCALED[name](parent);
    if (scales && typeof value === "number") return [name, value * scale];
    if (scales && Array.isArray(value)) return [name, value.map((one) => one * scale)];
    return [name, enlarged(value, scale, name)];
  });
  return Object.fromEntries(entries);
}

/**
 * A figure at a width; one of square cells is no taller than they then are (layout.meta.aspect: height / width), and
 * numbers that would run into each other stay out of cells (layout.meta.columns: cells in a row), and names in narrow
 * ones get smaller (layout.meta.names: such cells in a row).
 * @param {string} json
 * @param {number} width In pixels.
 * @param {number} scale
 * @param {number} [tallest] The height that there is, where the figure is to fill it.
 */
export function figureAt(json, width, scale, tallest = 0) {
  const figure = JSON.parse(json),
    { data, layout } = scale === 1 ? figure : enlarged(figure, scale);
  const { l, r, t, b } = layout.margin,
    cells = layout.meta?.aspect ? (width - l - r) * layout.meta.aspect : CELLS;
  const crowded = layout.meta?.columns && (width - l - r) / layout.meta.columns < WRITTEN * scale;
  if (layout.meta?.names && (width - l - r) / layout.meta.names < TIGHT * scale)
    for (const { mode, textfont } of data)
      if (mode === "text") textfont.size = scale * (scale > 1 ? SMALLEST_LARGE : SMALLEST);
  const own = figure.layout.height * scale,
    lowest = own * (layout.yaxis?.tickvals ? LOWEST.named : LOWEST.other),
    height = Math.min(tallest ? Math.max(tallest, lowest) : own, Math.ceil(cells + t + b));
  return { data: crowded ? data.filter(({ mode }) => mode !== "text") : data, layout: { ...layout, width, height } };
}
