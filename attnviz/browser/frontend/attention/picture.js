/* picture.js: the view as a picture, all of it or one of its four parts, with what it is of in words below. */
import { textWidth } from "../core/canvas.js";
import { paintLegend } from "../core/paint-legend.js";
import { aboutLines } from "./about.js";
import { layoutLines } from "./lines-layout.js";
import { valueInFocus } from "./matrix.js";
import { ringed } from "./overview.js";
import { layoutGrid, paintGridOver } from "./paint-grid.js";
import { paintLinesBase, paintLinesOver } from "./paint-lines.js";
import { layoutMatrix, paintMatrix } from "./paint-matrix.js";
import { paintMatrixOver } from "./paint-matrix-over.js";
import { paintShare, paintWhy } from "./paint-why.js";
import { whyDetail, whySteps } from "./selectors-why.js";
import { headList } from "./selectors.js";

/** @typedef {import("./view.js").AttentionView} View */
/** @typedef {CanvasRenderingContext2D} Pen */

/**
 * @typedef {object} Part one of the four pictures
 * @property {string} name in the list of what can be saved
 * @property {(view: View) => string} title
 * @property {(view: View, g: Pen, box: Box) => void} paint
 * @property {Box} alone its size in a picture of its own
 */
/** @typedef {{width: number, height: number}} Box */

const MARGIN = 32;
const WIDTH = 1360;
const TOP = 96;
const LINE = 18; // px of a line of small text
const PICTURE_LEGEND = 236;
const LEGEND_ROOM = 66;

/** @type {Record<string, Part>} */
const PARTS = {
  heads: { name: "All heads", title: () => "All heads", paint: paintHeads, alone: { width: 420, height: 470 } },
  matrix: {
    name: "This head",
    title: ({ screen }) => screen.node.matrixTitle.textContent,
    paint: paintHead,
    alone: { width: 760, height: 720 },
  },
  lines: {
    name: "Curves",
    title: () => "Who looks at whom",
    paint: paintCurves,
    alone: { width: 520, height: 560 },
  },
  why: { name: "Why", title: () => "Why this weight", paint: paintProducts, alone: { width: 480, height: 200 } },
};

const LINES_X = WIDTH - MARGIN - 372;
const MATRIX_X = MARGIN + 236 + 40;
/** Where each part stands in the picture of the whole view: x, y, size. @type {[string, number, number, Box][]} */
const PICTURE_PLACES = [
  ["heads", MARGIN, TOP, { width: 236, height: 470 }],
  ["matrix", MATRIX_X, TOP, { width: LINES_X - 40 - MATRIX_X, height: 648 }],
  ["lines", LINES_X, TOP, { width: 372, height: 430 }],
  ["why", LINES_X, TOP + 470, { width: 372, height: 190 }],
];

/** What can be saved as a picture: [name in the file, name in the list]. @returns {string[][]} */
export const pictureNames = () => [
  ["whole", "Whole view"],
  ...Object.entries(PARTS).map(([part, { name }]) => [part, name]),
];

/**
 * The picture of the whole view, or of one part.
 *
 * @param {View} view
 * @param {string} part
 * @returns {{width: number, height: number, paint: (g: any) => void}}
 */
export function picture(view, part) {
  const whole = part === "whole";
  const { alone } = PARTS[part] ?? {};
  const width = whole ? WIDTH : alone.width + 2 * MARGIN;
  const pen = document.createElement("canvas").getContext("2d");
  const sentence = wrapped(pen, sentenceFont(view, whole), view.screen.node.say.textContent, width - 2 * MARGIN);
  const about = aboutLines(view.store).flatMap((line) => wrapped(pen, smallFont(view), line, width - 2 * MARGIN));
  const top = whole ? TOP : 24 + sentence.length * 24 + 24;
  const bottom = whole ? TOP + 680 : top + 14 + alone.height;
  const paint = (/** @type {Pen} */ g) => {
    const { theme } = view.screen;
    paintText(g, sentence, sentenceFont(view, whole), theme.ink1, 40, 24);
    if (whole) for (const [name, x, y, box] of PICTURE_PLACES) paintPart(view, g, PARTS[name], x, y, box);
    else paintPart(view, g, PARTS[part], MARGIN, top, alone);
    paintText(g, about, smallFont(view), theme.ink2, bottom + 24, LINE);
  };
  return { width, height: bottom + 24 + about.length * LINE + 12, paint };
}

const sentenceFont = ({ screen }, whole) => `400 ${whole ? 20 : 17}px ${screen.theme.serif}`;
const smallFont = ({ screen }) => `400 13px ${screen.theme.sans}`;

/** Lines of at most `width` pixels. @param {Pen} g @returns {string[]} */
function wrapped(g, font, text, width) {
  g.font = font;
  const lines = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line ? `${line} ${word}` : word;
    if (line && textWidth(g, longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}

/** Lines from the left margin, `step` pixels apart. */
function paintText(g, lines, font, ink, y, step, x = MARGIN) {
  g.font = font;
  g.textAlign = "left";
  g.textBaseline = "alphabetic";
  g.fillStyle = ink;
  lines.forEach((line, i) => g.fillText(line, x, y + i * step));
}

/** Draws a part with its own origin and title. */
function paintPart(view, g, part, x, y, box) {
  const { theme } = view.screen;
  if (part === PARTS.why && !view.shown.why()) return;
  g.save();
  g.translate(x, y);
  paintText(g, [part.title(view)], `600 15px ${theme.sans}`, theme.ink, 0, 0, 0);
  g.translate(0, 14);
  part.paint(view, g, box);
  g.restore();
}

/** @type {Part["paint"]} */
function paintHeads(view, g, box) {
  const { store, heads, screen, page } = view;
  const { layersN, headsN } = store.model;
  const options = { bars: !heads.score(store.state.tint) };
  const lay = layoutGrid(box.width, box.height, layersN, headsN, heads.order(), options);
  for (const k of headList(store.model)) /** @type {any} */ (page).overview.paintHead(g, lay, k, null);
  paintGridOver(g, lay, screen.theme, { ...ringed(store), hover: null });
  const best = (heads.needsWords() ? heads.best(4) : []).map(([, name, score]) => `${name} ${score}`);
  const texts = [heads.gloss(), best.length ? `First: ${best.join(", ")}.` : ""].filter(Boolean);
  const lines = texts.flatMap((text) => wrapped(g, smallFont(view), text, box.width));
  paintText(g, lines, smallFont(view), screen.theme.ink2, lay.h + 20, 17, 0);
}

/** @type {Part["paint"]} */
function paintHead({ shown, screen, zoom }, g, box) {
  const { scene } = shown;
  const { theme } = screen;
  if (!scene.nq || !scene.nk) return;
  const height = box.height - LEGEND_ROOM;
  const lay = layoutMatrix(g, box.width, height, scene.queries, scene.keys, zoom.visible(), theme);
  paintMatrix(g, lay, scene, theme);
  paintMatrixOver(g, lay, scene, theme);
  g.translate(lay.left, lay.top + lay.height + 14);
  paintLegend(g, theme, PICTURE_LEGEND, valueInFocus(scene), !!scene.change, scene.colour);
}

/** @type {Part["paint"]} */
function paintCurves({ screen, page }, g, box) {
  const { theme, lay } = screen;
  const curves = /** @type {any} */ (page).lines.curves();
  if (!curves.nq || !curves.nk) return;
  const { horizontal, rtl } = lay.lines;
  const options = { horizontal, rtl, values: true };
  const place = layoutLines(g, box.width, box.height, curves.queries, curves.keys, theme, options);
  const { queries, keys } = curves.focus;
  paintLinesBase(g, place, curves, theme, queries.length + keys.length > 0);
  paintLinesOver(g, place, curves, theme);
}

/** @type {Part["paint"]} */
function paintProducts(view, g, box) {
  const { shown, screen, store } = view;
  const { a, nk, keys, focus } = shown.scene;
  const { theme } = screen;
  const why = shown.why();
  const [i, j] = why.pair;
  const names = `${store.model.tokens[i].label} × ${store.model.keys[j].label}: ${whyDetail(why, null)}`;
  paintText(g, [names], smallFont(view), theme.ink2, 6, 0, 0);
  g.translate(0, 12);
  paintWhy(g, theme, box.width, 96, why.parts, null);
  const steps = whySteps(why, box.width < 400).map(([name, value]) => `${name} ${value}`.replaceAll(" ", "\u00a0"));
  const way = wrapped(g, smallFont(view), steps.join(" → "), box.width);
  paintText(g, way, smallFont(view), theme.ink1, 118, 17, 0);
  g.translate(0, 117 + 17 * way.length);
  paintShare(g, theme, box.width, a.subarray(focus.q * nk, (focus.q + 1) * nk), keys, focus.k);
}
