/* compact.js: the small form of the view for lessons: a title, the matrix, its legend, the sentence. These methods replace those of the view. */
import { fitCanvas } from "../core/canvas.js";
import { el } from "../core/dom.js";
import { listenMatrix } from "./pointer.js";
import { brushBar, paintedText } from "./brush.js";
import { paintLegend } from "./paint-matrix.js";
import { sentence } from "./say.js";

const TALLEST = 460; // px of the matrix with its labels, unless the page says otherwise
const LEGEND_WIDTH = 236;
const BESIDE = 560; // px from which the sentence stands beside the legend

let compactCount = 0;

export const compactMethods = {
  build() {
    const n = (this.node = {
      title: el("span", { id: `av-compact-title-${++compactCount}` }),
      info: el("small"),
      say: el("p", { class: "av-say" }),
      live: el("p", { class: "av-sr", "aria-live": "polite", role: "status" }),
      note: el("p", { class: "av-note", role: "alert", hidden: true }),
      matrixBase: el("canvas", { class: "base", "aria-hidden": "true" }),
      matrixOver: el("canvas", {
        class: "over",
        tabindex: "0",
        role: "application",
        "aria-label":
          "Attention matrix. Arrow keys move the cell, Enter locks it, Escape lets go, plus and minus zoom.",
      }),
      legend: el("canvas", { class: "legend", "aria-hidden": "true" }),
      summary: el("p", { class: "av-sr", id: `av-compact-${compactCount}` }),
      tip: el("div", { class: "av-tip", hidden: true, "aria-hidden": "true" }),
    });
    const list = el("ol", { class: "av-list", tabindex: "0", "aria-label": "This head in words" });
    this.more = {
      list,
      node: el(
        "details",
        { class: "av-more", ontoggle: () => this.mark("words") },
        el("summary", {}, "Read as text"),
        list,
      ),
    };
    this.brush = brushBar(this);
    n.matrix = el("div", { class: "av-stage" }, n.matrixBase, n.matrixOver);
    n.foot = el("div", { class: "av-foot" }, n.legend, n.say);
    n.matrixOver.setAttribute("aria-describedby", n.summary.id);
    n.main = el(
      "section",
      { class: "av-matrix", "aria-labelledby": n.title.id },
      el("h2", {}, n.title, n.info, this.brush.node),
      n.note,
      n.matrix,
      n.foot,
      n.live,
      n.summary,
    );
    this.root.classList.add("av-compact");
    this.root.replaceChildren(n.main, this.more.node, n.tip);
    listenMatrix(this, n.matrixOver);
    this.root.addEventListener("keydown", (e) => {
      if (e.key === "Escape") this.escape(e);
    });
    this.warn();
  },

  syncControls() {},

  /** New title or height, as the page gives them. */
  describe(compact) {
    if (JSON.stringify(compact) === JSON.stringify(this.compact)) return;
    this.compact = compact;
    this.measure();
    this.mark("all");
  },

  rebuild() {
    this.warn();
  },

  measure() {
    const w = Math.round(this.root.getBoundingClientRect().width) || 400,
      wide = w >= BESIDE;
    this.kind = "phone"; // here too the picture sets its own height when it is painted
    this.ratio = Math.min(4, window.devicePixelRatio || 1);
    this.stacked = !wide;
    this.node.foot.classList.toggle("stack", !wide);
    this.box = { matrix: { w, h: this.compact.height ?? TALLEST }, foot: { w, h: 0 } };
  },

  /** Only the head in view is ever computed. */
  pump() {
    this.queue.length = 0;
  },

  paint() {
    const d = this.dirty,
      all = d.has("all"),
      head = all || d.has("head") || d.has("values"),
      focus = head || d.has("focus");
    this.dirty = new Set();
    this.moving = false;
    if (focus) this.scene.focus = this.focus();
    if (all || d.has("head") || d.has("matrix")) this.paintMatrix();
    else if (d.has("values")) this.paintCells();
    if (focus || d.has("matrix")) this.paintOver();
    if (focus) this.paintText();
    if (head || d.has("words")) this.words();
    if (all || d.has("controls")) this.brush.sync();
  },

  paintText() {
    const { node: n, scene: s, state } = this,
      k = this.shown(),
      { q, k: key } = s.focus,
      w = Math.min(LEGEND_WIDTH, this.box.foot.w);
    n.title.textContent = this.compact.title ?? this.headName(k);
    n.info.textContent = s.change ? "change in percentage points" : this.painting() ? paintedText(this) : "";
    n.say.replaceChildren(...sentence(s, this.layerOf(k), this.headOf(k)));
    paintLegend(
      fitCanvas(n.legend, w, 38, this.ratio),
      this.theme,
      w,
      q >= 0 && key >= 0 ? (s.change || s.a)[q * s.nk + key] : NaN,
      !!s.change,
      state.colour,
    );
  },
};
