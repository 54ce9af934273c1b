/* picture.js: the view as one picture: grid, matrix, curves and products side by side, with its sentence above. */
import { layoutGrid, paintGridOver } from "./paint-grid.js";
import { layoutLines } from "./lines-layout.js";
import { paintLinesBase, paintLinesOver } from "./paint-lines.js";
import { paintLegend } from "../core/paint-legend.js";
import { layoutMatrix, paintMatrix } from "./paint-matrix.js";
import { paintMatrixOver } from "./paint-matrix-over.js";
import { paintShare, paintWhy } from "./paint-why.js";
import { valueInFocus } from "./matrix.js";
import { ringed } from "./overview.js";
import { headList } from "./selectors.js";

/** @typedef {import("./view.js").AttentionView} View */

const WIDTH = 1360;
const MARGIN = 32;
const TOP = 96;
const BOTTOM = 744;
const GRID = { x: MARGIN, width: 236, height: 470 };
const LINES = { width: 372, height: 430, x: WIDTH - MARGIN - 372 };
const MATRIX_X = GRID.x + GRID.width + 40;
const MATRIX = { x: MATRIX_X, width: LINES.x - 40 - MATRIX_X, height: BOTTOM - TOP - 66, legend: 236 };
const WHY = { x: LINES.x, y: TOP + 478, width: LINES.width, height: 108 };

export const PICTURE = { width: WIDTH, height: 800 };

/** @param {View} view @param {CanvasRenderingContext2D} g */
export function paintPicture(view, g) {
  const { theme, node } = view.screen;
  g.font = `400 20px ${theme.serif}`;
  g.textAlign = "left";
  g.textBaseline = "alphabetic";
  g.fillStyle = theme.ink1;
  g.fillText(node.say.textContent, MARGIN, 44);
  const part = (x, y, title, paint) => paintPart(g, theme, x, y, title, () => paint(view, g));
  part(GRID.x, TOP, "All heads", paintHeads);
  part(MATRIX.x, TOP, node.matrixTitle.textContent, paintHead);
  part(LINES.x, TOP, "Who looks at whom", paintCurves);
  if (view.shown.why()) part(WHY.x, WHY.y, "Why this weight", paintProducts);
}

/** Draws a part with its own origin and title. */
function paintPart(g, theme, x, y, title, draw) {
  g.save();
  g.translate(x, y);
  g.font = `600 15px ${theme.sans}`;
  g.textAlign = "left";
  g.textBaseline = "alphabetic";
  g.fillStyle = theme.ink;
  g.fillText(title, 0, 0);
  g.translate(0, 14);
  draw();
  g.restore();
}

function paintHeads({ store, heads, screen, page }, g) {
  const { layersN, headsN } = store.model;
  const options = { bars: !heads.score(store.state.tint) };
  const lay = layoutGrid(GRID.width, GRID.height, layersN, headsN, heads.order(), options);
  for (const k of headList(store.model)) page.overview.paintHead(g, lay, k, null);
  paintGridOver(g, lay, screen.theme, { ...ringed(store), hover: null });
  paintWrapped(g, screen.theme, heads.gloss(), lay.h + 20, GRID.width);
}

/** Small text in lines of at most `width`, the first at y. */
function paintWrapped(g, theme, text, y, width) {
  g.font = `400 13px ${theme.sans}`;
  g.textAlign = "left";
  g.fillStyle = theme.ink2;
  let line = "";
  for (const word of [...text.split(" "), null]) {
    if (word !== null && (!line || g.measureText(`${line} ${word}`).width <= width)) {
      line += (line ? " " : "") + word;
      continue;
    }
    g.fillText(line, 0, y);
    y += 17;
    line = word;
  }
}

function paintHead({ shown, screen, zoom }, g) {
  const { scene } = shown;
  const { theme } = screen;
  if (!scene.nq || !scene.nk) return;
  const lay = layoutMatrix(g, MATRIX.width, MATRIX.height, scene.queries, scene.keys, zoom.visible(), theme);
  paintMatrix(g, lay, scene, theme);
  paintMatrixOver(g, lay, scene, theme);
  g.translate(lay.left, lay.top + lay.height + 14);
  paintLegend(g, theme, MATRIX.legend, valueInFocus(scene), !!scene.change, scene.colour);
}

function paintCurves({ screen, page }, g) {
  const { theme, lay } = screen;
  const curves = page.lines.curves();
  if (!curves.nq || !curves.nk) return;
  const { horizontal, rtl } = lay.lines;
  const options = { horizontal, rtl, values: true };
  const place = layoutLines(g, LINES.width, LINES.height, curves.queries, curves.keys, theme, options);
  const { queries, keys } = curves.focus;
  paintLinesBase(g, place, curves, theme, queries.length + keys.length > 0);
  paintLinesOver(g, place, curves, theme);
}

function paintProducts({ shown, screen }, g) {
  const { a, nk, keys, focus } = shown.scene;
  paintWhy(g, screen.theme, WHY.width, WHY.height, shown.why().parts, null);
  g.translate(0, 124);
  paintShare(g, screen.theme, WHY.width, a.subarray(focus.q * nk, (focus.q + 1) * nk), keys, focus.k);
}
