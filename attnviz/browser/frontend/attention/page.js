/* page.js: the elements of the view, and their sizes. Methods of the view. */
import { el } from "../core/dom.js";
import { brushBar } from "./brush.js";
import { changeSwitch, moreSettings, tokenSwitches, whatIf } from "./controls.js";
import { saveMenu } from "./save.js";
import { listenChips, listenGrid, listenLines, listenMatrix, listenWhy } from "./pointer.js";

let viewCount = 0;

export const pageMethods = {
  build() {
    const canvas = (name, label) =>
      el(
        "canvas",
        label
          ? { class: name, tabindex: "0", role: "application", "aria-label": label }
          : { class: name, "aria-hidden": "true" },
      );
    const n = (this.node = {
      say: el("p", { class: "av-say" }),
      live: el("p", { class: "av-sr", "aria-live": "polite", role: "status" }),
      note: el("p", { class: "av-note", role: "alert", hidden: true }),
      tools: el("div", { class: "av-tools" }),
      chips: el("div", {
        class: "av-chips",
        role: "group",
        "aria-label": "Tokens of the text. Choose one to follow it in every view.",
      }),
      grid: canvas("base"),
      gridInfo: el("small"),
      gridOver: canvas("over", "All heads, by layer and head. Arrow keys choose a head."),
      matrixTitle: el("span"),
      matrixInfo: el("small"),
      matrixBase: canvas("base"),
      matrixOver: canvas(
        "over",
        "Attention matrix. Arrow keys move the cell, Enter locks it, Escape lets go, plus and minus zoom.",
      ),
      legend: canvas("legend"),
      entropy: el("p", { class: "av-entropy" }),
      summary: el("p", { class: "av-sr", id: `av-summary-${++viewCount}` }),
      linesBase: canvas("base"),
      linesInfo: el("small"),
      linesHeads: el("div", { class: "av-legend", hidden: true }),
      linesOver: canvas(
        "over",
        "Curves from each query to the keys it looks at. Arrow keys choose a token, Enter locks it.",
      ),
      whyCanvas: canvas("base", "The products of query and key, one bar per dimension. Left and right read them."),
      whyPair: el("small"),
      sum: el("div", { class: "av-sum" }),
      share: canvas("share"),
      tip: el("div", { class: "av-tip", hidden: true, "aria-hidden": "true" }),
    });
    const stage = (...c) => el("div", { class: "av-stage" }, c);
    n.gridStage = stage(n.grid, n.gridOver);
    n.matrix = stage(n.matrixBase, n.matrixOver);
    n.lines = stage(n.linesBase, n.linesOver);
    n.why = stage(n.whyCanvas);
    n.shareBox = el("div", { class: "av-share" }, n.share);
    this.panel = whatIf(this);
    this.brush = brushBar(this); // on phones beside the matrix: the panel is far below it
    this.brush.node.classList.add("near");
    this.switches = tokenSwitches(this);
    this.changing = changeSwitch(this);
    this.more = moreSettings(this);
    this.orders = this.ordering();
    n.tools.append(...this.switches.nodes, saveMenu(this));
    n.foot = el("div", { class: "av-foot" }, n.legend, n.entropy);
    n.matrixOver.setAttribute("aria-describedby", n.summary.id);
    n.main = el(
      "div",
      { class: "av-main" },
      el(
        "section",
        { class: "av-heads", "aria-label": "All heads" },
        el("h2", {}, "All heads ", n.gridInfo),
        this.orders.node,
        n.gridStage,
      ),
      el(
        "section",
        { class: "av-matrix", "aria-label": "Attention matrix" },
        el("h2", {}, n.matrixTitle, " ", n.matrixInfo, this.changing.node, this.brush.node),
        n.matrix,
        n.foot,
        n.summary,
      ),
      el(
        "section",
        { class: "av-lines", "aria-label": "Who looks at whom" },
        el("h2", {}, "Who looks at whom ", n.linesInfo),
        n.linesHeads,
        n.lines,
      ),
      el(
        "section",
        { class: "av-why", "aria-label": "Why this weight" },
        el("h2", {}, "Why this weight ", n.whyPair),
        n.why,
        n.sum,
        n.shareBox,
      ),
      this.panel.node,
    );
    const head = el(
      "div",
      { class: "av-head" },
      this.question ? el("h1", {}, this.question) : null,
      n.tools,
      n.say,
      n.live,
    );
    this.root.textContent = "";
    this.root.append(head, n.note, n.chips, n.main, this.more.node, n.tip);
    listenGrid(this, n.gridOver, (k) => this.headLabel(k));
    listenMatrix(this, n.matrixOver);
    listenLines(this, n.linesOver);
    listenWhy(this, n.whyCanvas);
    listenChips(this, n.chips);
    this.root.addEventListener("keydown", (e) => {
      if (e.key === "Escape") this.escape(e);
    });
    for (const kind of ["pointermove", "pointerdown", "keydown"])
      this.root.addEventListener(
        kind,
        () => {
          this.touched = performance.now();
        },
        { passive: true },
      );
    this.fresh = [];
    this.sentencesKey = this.sentenceCount();
    this.warn();
  },

  sentenceCount() {
    return `${this.model.sentences.length}/${this.model.keySentences.length}`;
  },

  /** After a new message: what depends on the text or the model. */
  rebuild() {
    if (this.sentencesKey !== this.sentenceCount()) {
      const open = this.more.node.open,
        next = moreSettings(this);
      next.node.open = open;
      this.more.node.replaceWith(next.node);
      this.more = next;
      this.sentencesKey = this.sentenceCount();
    }
    this.chipsKey = null;
    this.warn();
  },

  warn() {
    const bad = this.model.layers.flatMap((layer, l) => layer.broken.map((h) => `${l}.${h}`));
    this.node.note.hidden = !bad.length;
    if (!bad.length) return;
    const heads = `${bad.length === 1 ? "head" : `${bad.length} heads,`} ${bad.slice(0, 4).join(", ")}${bad.length > 4 ? ", …" : ""}`;
    this.node.note.textContent = `The queries or keys of ${heads} hold values that are not finite (NaN or infinite). Rows that need them are empty here; everything else is as computed.`;
  },

  escape(e) {
    if (this.hover || this.hoverHead != null || this.state.queries.length || this.state.key !== null)
      e.stopPropagation();
    this.hideTip();
    if (this.hoverHead != null) this.preview(null);
    this.setLock(null);
  },

  /** Distance of the main part from the top of what scrolls around it, so that its height does not depend on the scroll. */
  offset() {
    const top = this.node.main.getBoundingClientRect().top;
    for (let e = this.root; e; e = e.parentElement || e.getRootNode().host) {
      if (e !== this.root && e.scrollHeight > e.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(e).overflowY))
        return top - e.getBoundingClientRect().top + e.scrollTop;
    }
    return top + scrollY;
  },

  measure() {
    const { root, node: n } = this,
      outer = root.getBoundingClientRect().width || 1200,
      grown = Math.min(3, outer / 1400, innerHeight / 900);
    const Z = outer < 1500 || innerHeight < 900 ? 1 : Math.round(Math.max(1, grown) * 100) / 100; // projectors: everything grows
    if (root.style.zoom !== String(Z)) root.style.zoom = String(Z);
    const W = Math.round(outer / Z),
      name = W >= 1080 ? "av-wide" : W >= 700 ? "av-mid" : "av-phone";
    this.ratio = Math.min(4, (window.devicePixelRatio || 1) * Z);
    if (!root.classList.contains(name)) {
      root.classList.remove("av-wide", "av-mid", "av-phone");
      root.classList.add(name);
    }
    this.kind = name.slice(3);
    this.buildChips();
    const gap = Math.round(Math.max(26, Math.min(44, W * 0.028))),
      heads = W >= 1200 ? 236 : 224;
    const height = Math.round(Math.max(560, Math.min(820, (innerHeight - this.offset()) / Z - 60)));
    const lines = Math.max(280, Math.min(420, W * 0.27)),
      matrix = Math.min(W - heads - 2 * gap - lines, height + 10);
    const set = (k, v) => {
      if (root.style.getPropertyValue(k) !== v) root.style.setProperty(k, v);
    };
    set("--gap", gap + "px");
    set("--heads", heads + "px");
    set("--matrix", matrix + "px");
    set("--height", height + "px");
    set("--panel", this.panel.node.offsetHeight + "px");
    if (this.kind !== "phone") n.gridStage.style.height = n.matrix.style.height = "";
    this.stacked = this.kind === "phone" || n.foot.clientWidth < 600;
    n.foot.classList.toggle("stack", this.stacked);
    n.legend.style.height = "38px";
    const box = (e) => ({ w: e.clientWidth, h: e.clientHeight });
    this.box = {
      grid: box(n.gridStage),
      matrix: box(n.matrix),
      lines: box(n.lines),
      why: box(n.why),
      share: box(n.shareBox),
      foot: box(n.foot),
    };
    if (this.kind === "phone") {
      // the pictures set their own height when they are painted
      this.box.matrix.h = Math.round(this.box.matrix.w * 1.2);
      this.box.grid.h = Math.round(
        Math.min(420, 26 + this.model.layersN * ((this.box.grid.w - 25) / this.model.headsN) * 0.85),
      );
    }
  },

  /** Thumbnails again, if their size in pixels has changed. */
  repool() {
    const { cw, ch } = this.lay.grid,
      size = `${cw}x${ch}x${this.ratio}`,
      before = this.poolSize;
    this.poolSize = size;
    if (before && before !== size) this.compute();
  },
};
