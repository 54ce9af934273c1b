/* compact.js: the small form of the view for lessons: a title, the matrix, its legend, the sentence. */
import { el } from "../core/dom.js";
import { roomOnScreen } from "../core/room.js";
import { onPaper } from "../core/theme.js";
import { brushBar } from "./brush-bar.js";
import { Matrix } from "./matrix.js";
import { paintedText } from "./blocked-cells.js";
import { listenMatrix } from "./pointer-matrix.js";
import { stack } from "./screen.js";
import { headName, headShown, isPainting } from "./selectors.js";
import { describeHead, sayHead } from "./texts.js";
import { markWhole } from "./whole.js";

const TALLEST = 460; // px of the matrix with its labels, unless the page says otherwise
const LOWEST = 0.72; // of that: with fewer px its numbers could not be read
const HIGHEST_PRINTED = 640; // px, of a sheet's 1032
const BELOW = 48; // px: the legend
const LEGEND_WIDTH = 236;
const BESIDE = 560; // px from which the sentence stands beside the legend
const WHOLE = { least: 700, beside: 280, title: 60, wider: 1.2 }; // px, and times as wide as high: on the whole screen

let compactCount = 0;

/** @typedef {{title: string | null, height: number | null}} Compact each null for its default */

export class CompactPage {
  /** @param {import("./view.js").AttentionView} view @param {Compact} compact */
  constructor(view, compact) {
    this.view = view;
    this.compact = compact;
    this.matrix = new Matrix(view);
  }

  build() {
    const { view } = this;
    const { screen, frames } = view;
    const n = Object.assign(screen.node, compactNodes(++compactCount));
    this.brush = brushBar(view);
    this.list = el("ol", { class: "av-list", tabindex: "0", "aria-label": "This head in words" });
    const more = { class: "av-more", ontoggle: () => frames.mark("words") };
    this.more = el("details", more, el("summary", {}, "Read as text"), this.list);
    n.matrix = el("div", { class: "av-stage" }, n.matrixBase, n.matrixOver);
    n.foot = el("div", { class: "av-foot" }, n.legend, n.say);
    n.matrixOver.setAttribute("aria-describedby", n.summary.id);
    n.main = el("section", { class: "av-matrix", "aria-labelledby": n.title.id });
    const title = el("h2", {}, n.title, n.info, this.brush.node);
    n.main.append(title, n.note, n.matrix, n.foot, n.live, n.summary);
    screen.root.classList.add("av-compact");
    const { host } = /** @type {any} */ (screen.root.getRootNode());
    host?.toggleAttribute("data-av-matrix", true); // the page's style sheet gives it room
    screen.root.replaceChildren(n.main, this.more, n.tip);
    listenMatrix(view, n.matrixOver);
  }

  rebuild() {}

  /** New title or height, as the page gives them. @param {Compact} compact */
  describe(compact) {
    if (JSON.stringify(compact) === JSON.stringify(this.compact)) return;
    this.compact = compact;
    this.measure();
    this.view.frames.mark("all");
  }

  measure() {
    const { screen } = this.view;
    const { root, theme } = screen;
    const w = Math.round((root.getBoundingClientRect().width || 400) / theme.scale);
    root.classList.toggle("av-presented", theme.scale > 1);
    root.style.zoom = String(theme.scale); // before a class, all of it is as much larger as the page's type
    screen.kind = "phone"; // here too the picture sets its own height when it is painted
    screen.ratio = Math.min(4, (window.devicePixelRatio || 1) * theme.scale);
    if (markWhole(root)) return this.measureWhole(w);
    stack(screen, w < BESIDE);
    screen.box = { matrix: { w, h: this.height(w) }, foot: { w, h: 0 } };
  }

  /** Of the matrix; where the page is presented, what there is on the screen, and on paper what is as wide as that. */
  height(width) {
    const { node, theme } = this.view.screen,
      own = this.compact.height ?? TALLEST,
      room = roomOnScreen(node.matrix);
    if (onPaper()) return Math.max(own, Math.min(HIGHEST_PRINTED, width));
    if (!room) return own;
    return Math.max(LOWEST * own, Math.floor(room / theme.scale) - BELOW);
  }

  /** The matrix as high as the screen, what is said of it beside it or, where there is no room, below. */
  measureWhole(width) {
    const { screen } = this.view,
      { root, theme } = screen;
    const h = Math.round((innerHeight * 0.94) / theme.scale) - WHOLE.title,
      beside = width >= WHOLE.least;
    const w = beside ? Math.round(Math.min(width - WHOLE.beside, h * WHOLE.wider)) : width;
    root.classList.toggle("av-beside", beside);
    root.style.setProperty("--whole", `${w}px`);
    stack(screen, true);
    screen.box = { matrix: { w, h }, foot: { w: beside ? WHOLE.beside : w, h: 0 } };
  }

  /** Only the head in view is ever worked out. */
  work() {}

  /** For paper: what would come in the next frame. */
  finish() {
    this.paint();
  }

  syncControls() {
    this.brush.sync();
  }

  paint() {
    const { view } = this;
    const dirty = view.frames.take();
    const all = dirty.has("all");
    const head = all || dirty.has("head") || dirty.has("values");
    const focus = head || dirty.has("focus");
    view.frames.moving = false;
    if (all || dirty.has("head") || dirty.has("matrix")) this.matrix.paint();
    else if (dirty.has("values")) this.matrix.paintCells();
    if (focus || dirty.has("matrix")) this.matrix.paintOver();
    if (focus) this.showTexts();
    if (head || dirty.has("words")) describeHead(view, this.more.open ? this.list : null);
    if (all || dirty.has("controls")) this.syncControls();
  }

  showTexts() {
    const { store, shown, screen } = this.view;
    const { title, info } = screen.node;
    title.textContent = this.compact.title ?? headName(store.model, headShown(store));
    const painted = isPainting(store) ? paintedText(store.state) : "";
    info.textContent = shown.scene.change ? "change in percentage points" : painted;
    sayHead(this.view);
    this.matrix.paintLegend(Math.min(LEGEND_WIDTH, screen.box.foot.w));
  }
}

function compactNodes(number) {
  return {
    title: el("span", { id: `av-compact-title-${number}` }),
    info: el("small"),
    say: el("p", { class: "av-say" }),
    live: el("p", { class: "av-sr", "aria-live": "polite", role: "status" }),
    note: el("p", { class: "av-note", role: "alert", hidden: true }),
    matrixBase: el("canvas", { class: "base", "aria-hidden": "true" }),
    matrixOver: el("canvas", {
      class: "over",
      tabindex: "0",
      role: "application",
      "aria-label": "Attention matrix. Arrow keys move the cell, Enter locks it, Escape lets go, plus and minus zoom.",
    }),
    legend: el("canvas", { class: "legend", "aria-hidden": "true" }),
    summary: el("p", { class: "av-sr", id: `av-compact-${number}` }),
    tip: el("div", { class: "av-tip", hidden: true, "aria-hidden": "true" }),
  };
}
