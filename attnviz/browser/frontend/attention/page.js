/* page.js: the full view: its elements, and which part is painted when. */
import { el } from "../core/dom.js";
import { AskBar } from "./ask-bar.js";
import { brushBar } from "./brush-bar.js";
import { Chips } from "./chips.js";
import { Lines } from "./lines.js";
import { Matrix } from "./matrix.js";
import { changeSwitch, moreSettings, tokenSwitches } from "./more-settings.js";
import { LONG, Overview, orderLists } from "./overview.js";
import { listenMatrix } from "./pointer-matrix.js";
import { listenChips, listenGrid, listenLines, listenWhy } from "./pointer.js";
import { saveMenu } from "./save.js";
import { TABLE, measureParts, measureWidth } from "./screen.js";
import { Texts, describeHead } from "./texts.js";
import { whatIf } from "./what-if.js";
import { WhyPanel } from "./why.js";

let viewCount = 0;

export class FullPage {
  /** @param {import("./view.js").AttentionView} view @param {string} question */
  constructor(view, question) {
    this.view = view;
    this.question = question;
    this.overview = new Overview(view);
    this.ask = new AskBar(view);
    this.matrix = new Matrix(view);
    this.lines = new Lines(view);
    this.why = new WhyPanel(view);
    this.chips = new Chips(view);
    this.texts = new Texts(view);
    this.marks = ""; // what was marked when the matrix was painted last
  }

  build() {
    const { view } = this;
    const { store, screen } = view;
    const n = Object.assign(screen.node, pageNodes(++viewCount));
    this.panel = whatIf(view);
    this.brush = brushBar(view); // on phones beside the matrix: the panel is far below it
    this.brush.node.classList.add("near");
    this.switches = tokenSwitches(store);
    this.changing = changeSwitch(store);
    this.orders = orderLists(view);
    this.more = this.settings();
    n.tools.append(...this.switches.nodes, saveMenu(view));
    n.matrixOver.setAttribute("aria-describedby", n.summary.id);
    n.main = el("div", { class: "av-main" }, this.sections(), this.panel.node);
    const title = this.question ? el("h1", {}, this.question) : null;
    const head = el("div", { class: "av-head" }, title, n.tools, n.say, n.live);
    const { host } = /** @type {any} */ (screen.root.getRootNode());
    host?.toggleAttribute("data-av-view", true); // the page is presented with it on a screen of its own
    screen.root.replaceChildren(head, n.note, n.chips, this.ask.build(), n.main, n.about, this.more.node, n.tip);
    listenGrid(view, n.gridOver);
    listenMatrix(view, n.matrixOver);
    listenLines(view, n.linesOver);
    listenWhy(view, n.whyCanvas);
    listenChips(view, n.chips, () => this.chips.chips);
  }

  /** The four pictures, each under its title. */
  sections() {
    const { node: n } = this.view.screen;
    const section = (name, label, ...children) => el("section", { class: `av-${name}`, "aria-label": label }, children);
    const matrixTitle = el("h2", {}, n.matrixTitle, " ", n.matrixInfo, this.changing.node, this.brush.node);
    return [
      section("heads", "All heads", el("h2", {}, "All heads ", n.gridInfo), this.orders.node, n.gridStage),
      section("matrix", "Attention matrix", matrixTitle, n.matrix, n.foot, n.summary),
      section("lines", "Who looks at whom", el("h2", {}, "Who looks at whom ", n.linesInfo), n.linesHeads, n.lines),
      section("why", "Why this weight", el("h2", {}, "Why this weight ", n.whyPair), ...this.why.build()),
    ];
  }

  settings() {
    const { store, frames } = this.view;
    this.sentences = sentenceCount(store.model);
    return moreSettings(store, () => frames.mark("words"));
  }

  /** After a new message: what depends on the text or the model. */
  rebuild() {
    if (this.sentences === sentenceCount(this.view.store.model)) return;
    const before = this.more.node;
    this.more = this.settings();
    this.more.node.open = before.open;
    before.replaceWith(this.more.node);
  }

  describe() {}

  measure() {
    const { screen, store } = this.view;
    const width = measureWidth(screen);
    this.chips.build(); // they take room
    measureParts(screen, width, this.panel.node);
    if (screen.kind !== "phone") return;
    // the pictures set their own height when they are painted
    const { matrix, grid } = screen.box;
    const { layersN, headsN } = store.model;
    matrix.h = Math.round(matrix.w * 1.2);
    grid.h = Math.round(Math.min(420, 26 + layersN * ((grid.w - 25) / headsN) * 0.85));
  }

  /** Works on what is not in view yet, a few milliseconds per frame: the heads' pictures, then what they are asked. */
  work() {
    const { heads, asking, frames, store } = this.view;
    if (heads.queue.length && (asking.done || asking.question.kind === "token")) return this.overview.work();
    if (asking.done) return;
    const { T, S } = store.model;
    const budget = frames.budget(T * S > LONG);
    if (!budget) return;
    asking.work(budget);
    if (!asking.done) return;
    for (const part of ["ask", "grid", "controls"]) frames.dirty.add(part);
  }

  /** For paper: all that would come in later frames. */
  finish() {
    this.overview.finish();
    this.paint();
  }

  syncControls() {
    const { panel, brush, switches, changing, more, orders, ask } = this;
    for (const part of [panel, brush, switches, changing, more, orders, ask]) part.sync();
  }

  /* ---- painting ----------------------------------------------------------------------------- */

  /** What has changed; the matrix and the grid at once, what stands beside them now or a little later. */
  paint() {
    const { frames, shown } = this.view;
    const dirty = frames.take();
    const has = (...parts) => parts.some((part) => dirty.has(part));
    const head = has("all", "head", "values");
    const focus = head || has("focus");
    const marks = JSON.stringify(shown.scene.focus);
    const marked = has("all", "head", "matrix") || marks !== this.marks;
    this.marks = marks;
    this.paintGrid(has);
    if (has("all", "head", "matrix")) this.matrix.paint();
    else if (has("values")) this.matrix.paintCells();
    if ((focus && marked) || has("matrix")) this.matrix.paintOver();
    const lines = has("lines");
    const waiting = {
      curves: head || lines,
      text: focus,
      chips: focus,
      ask: has("all", "ask", "values"),
      lines: focus || lines,
    };
    Object.assign(waiting, { why: focus || has("why"), words: head || has("words"), card: head });
    for (const [part, due] of Object.entries(waiting)) if (due) frames.later.add(part);
    frames.paintLater(this.painters(), frames.moving || (focus && !head));
    if (has("all", "controls")) this.syncControls();
  }

  paintGrid(has) {
    if (has("all", "grid")) {
      if (this.overview.paint()) this.view.compute();
    } else if (has("thumbs")) this.overview.paintFresh();
    if (has("all", "grid", "head")) this.overview.paintRings();
  }

  /** What stands beside the matrix, part by part. */
  painters() {
    return {
      curves: () => this.lines.renew(),
      lines: () => this.lines.paint(),
      why: () => this.why.paint(),
      text: () => this.paintText(),
      ask: () => this.ask.paint(),
      card: () => this.ask.paintCard(),
      chips: () => this.chips.tint(),
      words: () => describeHead(this.view, this.more.open()),
      cells: () => this.matrix.paintCells(),
    };
  }

  paintText() {
    const { screen, frames } = this.view;
    const { box, lay, stacked } = screen;
    this.texts.show();
    if (this.lines.showHeads()) {
      this.measure();
      frames.mark("lines");
    }
    const beside = Math.max(150, Math.min(236, box.foot.w - lay.matrix.left - TABLE));
    this.matrix.paintLegend(stacked ? Math.min(320, box.foot.w) : beside);
  }
}

const sentenceCount = ({ sentences, keySentences }) => `${sentences.length}/${keySentences.length}`;

/** A canvas; with a label it is a picture that keys work on. */
function canvas(name, label = null) {
  const keys = { tabindex: "0", role: "application", "aria-label": label };
  return el("canvas", { class: name, ...(label ? keys : { "aria-hidden": "true" }) });
}

const MATRIX_LABEL = "Attention matrix. Arrow keys move the cell, Enter locks it, Escape lets go, plus and minus zoom.";
const CHIPS_LABEL = "Tokens of the text. Choose one to follow it in every view.";
const LINES_LABEL = "Curves from each query to the keys it looks at. Arrow keys choose a token, Enter locks it.";
const WHY_LABEL = "The products of query and key, one bar per dimension. Left and right read them.";

function pageNodes(number) {
  const stage = (...children) => el("div", { class: "av-stage" }, children);
  const texts = {
    say: el("p", { class: "av-say" }),
    live: el("p", { class: "av-sr", "aria-live": "polite", role: "status" }),
    note: el("p", { class: "av-note", role: "alert", hidden: true }),
    about: el("p", { class: "av-about" }),
    tools: el("div", { class: "av-tools" }),
    chips: el("div", { class: "av-chips", role: "group", "aria-label": CHIPS_LABEL }),
    gridInfo: el("small"),
    matrixTitle: el("span"),
    matrixInfo: el("small"),
    entropy: el("table", { class: "av-entropy" }),
    summary: el("p", { class: "av-sr", id: `av-summary-${number}` }),
    linesInfo: el("small"),
    linesHeads: el("div", { class: "av-legend", hidden: true }),
    whyPair: el("small"),
    whyDetail: el("p", { class: "av-detail" }),
    whyNote: el("p", { class: "av-detail note" }),
    sum: el("div", { class: "av-sum" }),
    tip: el("div", { class: "av-tip", hidden: true, "aria-hidden": "true" }),
  };
  const canvases = {
    grid: canvas("base"),
    gridOver: canvas("over", "All heads, by layer and head. Arrow keys choose a head."),
    matrixBase: canvas("base"),
    matrixOver: canvas("over", MATRIX_LABEL),
    legend: canvas("legend"),
    linesBase: canvas("base"),
    linesOver: canvas("over", LINES_LABEL),
    whyCanvas: canvas("base", WHY_LABEL),
    share: canvas("share"),
  };
  return {
    ...texts,
    ...canvases,
    gridStage: stage(canvases.grid, canvases.gridOver),
    matrix: stage(canvases.matrixBase, canvases.matrixOver),
    lines: stage(canvases.linesBase, canvases.linesOver),
    why: stage(canvases.whyCanvas),
    shareBox: el("div", { class: "av-share" }, canvases.share),
    foot: el("div", { class: "av-foot" }, canvases.legend, texts.entropy),
  };
}
