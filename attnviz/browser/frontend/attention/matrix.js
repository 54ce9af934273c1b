/* matrix.js: the picture of one head on its two canvases: cells below, marks and labels above. */
import { fitCanvas } from "../core/canvas.js";
import { paintLegend } from "../core/paint-legend.js";
import { layoutMatrix, paintMatrix } from "./paint-matrix.js";
import { paintMatrixOver } from "./paint-matrix-over.js";

export const LEGEND_HEIGHT = 38;

export class Matrix {
  /** @param {import("./view.js").AttentionView} view */
  constructor({ shown, screen, frames, zoom }) {
    this.shown = shown;
    this.screen = screen;
    this.frames = frames;
    this.zoom = zoom;
    this.height = 0; // px of its canvases
  }

  /** All of it, laid out anew. */
  paint() {
    const { screen, shown, zoom } = this;
    const { node, kind, box } = screen;
    const { w, h } = box.matrix;
    const { nq, nk, queries, keys } = shown.scene;
    if (!nq || !nk) return void fitCanvas(node.matrixBase, w, h, screen.ratio);
    const pen = node.matrixBase.getContext("2d");
    const lay = (screen.lay.matrix = layoutMatrix(pen, w, h, queries, keys, zoom.visible(), screen.theme));
    const bottom = lay.top + lay.height + 8;
    this.height = kind === "phone" ? bottom : h;
    if (kind === "phone") node.matrix.style.height = bottom + "px";
    screen.root.classList.toggle("av-zoomed", zoom.zoomed());
    this.paintCells();
    const up = Math.round(Math.min(0, bottom - h));
    node.foot.style.transform = kind === "phone" ? "" : `translateY(${up}px)`;
    node.foot.style.paddingLeft = (screen.stacked ? 0 : lay.left) + "px";
  }

  /** The cells in the layout they have. */
  paintCells() {
    const { screen, shown, frames } = this;
    const scene = { ...shown.scene, coarse: frames.moving };
    if (!scene.nq || !scene.nk) return;
    const pen = fitCanvas(screen.node.matrixBase, screen.box.matrix.w, this.height, screen.ratio);
    paintMatrix(pen, screen.lay.matrix, scene, screen.theme);
  }

  /** Labels, guides and the marked cell. */
  paintOver() {
    const { screen, shown } = this;
    if (!screen.lay.matrix || !shown.scene.nq) return;
    const pen = fitCanvas(screen.node.matrixOver, screen.box.matrix.w, this.height, screen.ratio);
    paintMatrixOver(pen, screen.lay.matrix, shown.scene, screen.theme);
    this.tellCell();
  }

  /**
   * Where the table with its labels and the cell in focus are drawn (left, top, width, height), in px of the canvas:
   * for what stands over the view and must not cover them.
   */
  tellCell() {
    const { dataset } = this.screen.node.matrixOver,
      { q, k } = this.shown.scene.focus,
      { x, y, c, left, top, width, height } = this.screen.lay.matrix;
    dataset.table = [0, 0, left + width, top + height].map(Math.round).join(" ");
    if (q < 0 || k < 0) delete dataset.cell;
    else dataset.cell = [x(k), y(q), c, c].map(Math.round).join(" ");
  }

  /** The colour scale, `w` px wide, with a mark at the value in focus. */
  paintLegend(w) {
    const { screen, shown } = this;
    const { scene } = shown;
    const pen = fitCanvas(screen.node.legend, w, LEGEND_HEIGHT, screen.ratio);
    paintLegend(pen, screen.theme, w, valueInFocus(scene), !!scene.change, scene.colour);
  }
}

/** What the cell in focus shows, or NaN. @param {import("./selectors-scene.js").Scene} scene */
export function valueInFocus({ a, change, nk, focus: { q, k } }) {
  return q >= 0 && k >= 0 ? (change || a)[q * nk + k] : NaN;
}
