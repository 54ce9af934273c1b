/* theme.js: colours and fonts of the view, read from its own CSS variables (view.css), light or dark by the page
   behind it. */

const themeRgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

const themeLinear = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);

/** Relative luminance (WCAG 2.2) of [r, g, b], 0 to 1. */
export function luminance(rgb) {
  const [r, g, b] = rgb.map(themeLinear);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/**
 * 256 colours through the given steps: as CSS, as little-endian pixels, and whether black text reads better on them.
 */
export function makeLut(steps) {
  const name = steps.join();
  if (!madeLuts.has(name)) madeLuts.set(name, lutOf(steps));
  return madeLuts.get(name);
}

/** @type {Map<string, ReturnType<typeof lutOf>>} by their steps: views read their theme at every new message */
const madeLuts = new Map();

function lutOf(steps) {
  const stops = steps.map(themeRgb),
    n = stops.length - 1;
  const u32 = new Uint32Array(256),
    css = new Array(256),
    light = new Uint8Array(256);
  for (let i = 0; i < 256; i++) {
    const x = (i / 255) * n,
      k = Math.min(n - 1, x | 0),
      f = x - k;
    const v = [0, 1, 2].map((j) => Math.round(stops[k][j] + (stops[k + 1][j] - stops[k][j]) * f));
    u32[i] = (0xff000000 | (v[2] << 16) | (v[1] << 8) | v[0]) >>> 0;
    css[i] = `rgb(${v})`;
    light[i] = luminance(v) > 0.179 ? 1 : 0;
  }
  return { u32, css, light };
}

/**
 * Where a weight of 0 to 1 stands on the colour scale. √ makes 1 % visible and puts 25 % in the middle; log begins at
 * 0.1 %.
 */
export function scalePosition(w, colour) {
  if (!(w > 0)) return 0;
  if (w >= 1) return 1;
  return colour === "linear" ? w : colour === "log" ? Math.max(0, 1 + Math.log10(w) / 3) : Math.sqrt(w);
}

export const lutIndex = (w, colour) => (scalePosition(w, colour) * 255) | 0;

/** Index into the diverging scale for a signed change of -1 to 1; 0 is the middle. */
export function divergingIndex(v, colour) {
  return Math.round(127.5 + Math.sign(v) * scalePosition(Math.abs(v), colour) * 127.5);
}

const PIXEL_STEPS = 16384;

/**
 * Pixel colours for values of 0 to 1 (or -1 to 1 if signed) as a table, so that colouring a head is one look-up per
 * cell.
 */
export function pixelTable(theme, { threshold, colour, signed }) {
  const name = `${threshold}|${colour}|${signed}`;
  if (theme.table?.name === name) return theme.table;
  const pixels = new Uint32Array(PIXEL_STEPS + 1),
    { u32 } = signed ? theme.div : theme.lut;
  for (let i = 0; i <= PIXEL_STEPS; i++) {
    const v = signed ? (i / PIXEL_STEPS) * 2 - 1 : i / PIXEL_STEPS;
    pixels[i] =
      u32[signed ? (Math.abs(v) < 0.002 ? 128 : divergingIndex(v, colour)) : v < threshold ? 0 : lutIndex(v, colour)];
  }
  return (theme.table = { name, pixels });
}

/** Colours values into pixels through the table; what is not a number stays paper. */
export function colourPixels(theme, options, values, out) {
  const { pixels } = pixelTable(theme, options),
    n = values.length,
    half = PIXEL_STEPS / 2,
    none = pixels[options.signed ? half : 0];
  if (options.signed)
    for (let i = 0; i < n; i++) {
      const v = values[i];
      out[i] = v >= -1 && v <= 1 ? pixels[(v * half + half + 0.5) | 0] : none;
    }
  else
    for (let i = 0; i < n; i++) {
      const v = values[i];
      out[i] = v >= 0 ? pixels[v >= 1 ? PIXEL_STEPS : (v * PIXEL_STEPS) | 0] : none;
    }
}

/** A CSS colour as [r, g, b, a], or null. */
function themeColour(text) {
  const t = text.trim(),
    hex = /^#([0-9a-f]{6})/i.exec(t),
    short = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/i.exec(t);
  if (hex) return [...themeRgb(t), 1];
  if (short) return [...short.slice(1).map((c) => parseInt(c + c, 16)), 1];
  const n = ((t.startsWith("rgb") && t.match(/[\d.]+/g)) || []).map(Number);
  return n.length >= 3 ? [n[0], n[1], n[2], n[3] ?? 1] : null;
}

/** Whether the page is laid out for paper. */
export const onPaper = () => document.documentElement.classList.contains("av-printing");

/**
 * Whether the page behind the view is dark: Streamlit's variable, else the first opaque background above, else the
 * system. Paper never is.
 */
export function isDark(root) {
  if (onPaper()) return false;
  const own = themeColour(getComputedStyle(root).getPropertyValue("--st-background-color"));
  if (own) return luminance(own.slice(0, 3)) < 0.4;
  for (let e = root.parentNode; e; e = e.parentNode || e.host) {
    const c = e instanceof Element ? themeColour(getComputedStyle(e).backgroundColor) : null;
    if (c && c[3] > 0.5) return luminance(c.slice(0, 3)) < 0.4;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

let themesRead = 0;

/** Sets data-theme on the root and returns every colour, both colour scales and the fonts. */
export function readTheme(root, dark = isDark(root)) {
  root.dataset.theme = dark ? "dark" : "light";
  const style = getComputedStyle(root),
    v = (name) => style.getPropertyValue("--" + name).trim(),
    list = (name) =>
      v(name)
        .split(",")
        .map((colour) => colour.trim());
  const names = { qBg: "q-bg", qInk: "q-ink", qEdge: "q-edge", kBg: "k-bg", kInk: "k-ink", kEdge: "k-edge" };
  const theme = {
    dark,
    lut: makeLut(list("seq")),
    div: makeLut(list("div")),
    cat: list("cat"),
  };
  for (const n of [
    "paper",
    "sunken",
    "line",
    "grid",
    "edge",
    "ink",
    "ink1",
    "ink2",
    "accent",
    "pos",
    "neg",
    "guide",
    "flow",
    "sans",
    "serif",
    "mono",
  ])
    theme[n] = v(n);
  for (const n in names) theme[n] = v(names[n]);
  theme.scale = Number(v("av-scale")) || 1; // of the type, while the page is presented
  theme.id = ++themesRead;
  return theme;
}

/** Black or white, whichever reads better on colour i of the scale (at least 4.5 to 1). */
export const onColour = (lut, i) => (lut.light[i] ? "#000000" : "#FFFFFF");

/**
 * Asks now and then whether the page behind `root` has turned light or dark, for nothing but paper tells; returns what
 * ends it.
 * @param {HTMLElement} root
 * @param {(theme: any) => void} onChange Gets the new theme.
 */
export function watchTheme(root, onChange) {
  const look = () => {
    const dark = isDark(root);
    if (dark !== (root.dataset.theme === "dark")) onChange(readTheme(root, dark));
  };
  const watch = setInterval(look, 500);
  addEventListener("av-paper", look);
  return () => {
    clearInterval(watch);
    removeEventListener("av-paper", look);
  };
}
