/* view.js: the step-by-step view: which step, which number, how deep it has been traced. Runs without the server. */
import { el } from "../core/dom.js";
import { keepHeight } from "../core/keep-height.js";
import { readTheme, watchTheme } from "../core/theme.js";
import { drawFoot, editText } from "./edit.js";
import { matrixFigure } from "./grid.js";
import { arriveInSight, bringInSight } from "./in-sight.js";
import { markParts } from "./keys.js";
import { withSymbols } from "./names.js";
import { buildPage } from "./page.js";
import { panelNodes, spokenCell } from "./panel.js";
import { firstCell, firstFocus, inHead, ownerHead, parseCell, staying } from "./path.js";
import { cellExists, isElsewhere, readProvenance } from "./read.js";
import { stepSentence, stepTitle } from "./sentences.js";
import { stageOf, stepOf, stepsOf } from "./steps.js";
import { drawStrip, drawThumbs } from "./strip.js";

const SEND_AFTER = 250; // ms without a change, so that a reader who steps on does not wait for the server

export class ProvenanceView {
  /** `onState` gets {step, path, head, row, edits}; `onLayer` {layer, cell}: a number of another layer. */
  constructor(root, { message, state, onState, onLayer }) {
    this.root = root;
    this.onState = onState;
    this.onLayer = onLayer;
    /** @type {Map<string, string>} what was typed for a weight, by cell */
    this.edits = new Map();
    /** @type {Map<string, string>} what is being typed, and cannot be read yet */
    this.drafts = new Map();
    /** @type {Map<string, HTMLTableCellElement>} the cells on the stage, by "matrix:row:column" */
    this.cells = new Map();
    /** @type {Record<string, number>} the row or column looked at last, by axis */
    this.focus = {};
    /** @type {Record<string, number>} what the reader opened among the rows or columns that are left out, by axis */
    this.opened = {};
    /** @type {{id: string, label: string, part: string}[]} */
    this.steps = [];
    this.sending = 0;
    this.wide = this.phone = this.big = this.everyTerm = this.everyDigit = false;
    /** @type {string | null} the cell under the pointer */
    this.previewed = null;
    root.classList.add("av", "aw");
    this.theme = readTheme(root);
    this.node = buildPage(this);
    this.height = keepHeight(root);
    this.read(message, state);
    this.arrived = state.path.length ? arriveInSight(this) : () => {};
    this.resize = new ResizeObserver(() => this.fit());
    this.resize.observe(root);
    this.unwatch = watchTheme(root, (theme) => {
      this.theme = theme;
      drawThumbs(this);
      this.draw();
    });
  }

  // ---- what is shown ------------------------------------------------------------------------------

  /** Takes a message, and the page's state if it has a new one. */
  read(message, state) {
    const before = this.provenance;
    if (message) this.provenance = readProvenance(message);
    if (this.provenance.size !== before?.size) this.height.forget(); // a shorter text needs less room
    const { provenance } = this;
    this.steps = stepsOf(provenance);
    if (state) this.take(state);
    this.state.head = Math.max(0, Math.min(provenance.heads - 1, this.state.head));
    const good = this.state.path.findIndex((cell) => !cellExists(provenance, cell));
    if (good >= 0) this.state.path.length = good;
    if (this.state.path.length && this.state.step !== "split")
      this.state.step = stepOf(provenance, this.state.path.at(-1)[0]);
    if (this.at() < 0) this.state.step = this.steps[0].id;
    this.focus = { ...firstFocus(provenance, this.head(), this.state.row), ...staying(this.focus, before, provenance) };
    this.opened = {};
    if (!this.state.path.length) this.state.path = [firstCell(provenance, this.state.step, this.head(), this.focus)];
    for (const cell of this.state.path) this.aim(cell);
    drawStrip(this);
    this.fit(true);
    if (isElsewhere(provenance, this.state.path.at(-1))) this.send(true);
  }

  /** Takes what the page wants to be shown. */
  take(state) {
    const before = this.state;
    this.state = { step: state.step, path: state.path.map((c) => [...c]), head: state.head, row: state.row };
    this.edits = new Map(state.edits);
    if (before && before.head !== state.head)
      this.state.path = inHead(this.provenance, this.state.path, before.head, state.head);
  }

  at() {
    return this.steps.findIndex((s) => s.id === this.state.step);
  }

  /** The head on stage: the chosen one once its numbers are here. */
  head() {
    return this.provenance.matrices[`scores.${this.state.head}`] ? this.state.head : this.provenance.head;
  }

  /** Remembers a cell's row and column, so that other steps open there and elided matrices show them. */
  aim([name, r, c]) {
    const m = this.provenance.matrices[name] || this.provenance.matrices.concat;
    if (m.axes[0] !== "one") this.focus[m.axes[0]] = r;
    this.focus[m.axes[1]] = c;
    for (const axis of m.axes) delete this.opened[axis];
  }

  /** Shows rows or columns that were left out, around one of them. */
  open(axis, i) {
    this.opened[axis] = i;
    this.draw();
  }

  /** How the stage shows a matrix. */
  item(name) {
    return stageOf(this.provenance, this.state.step, this.head()).find((item) => item.name === name);
  }

  /** Whether two matrices of scores stand side by side. */
  pair() {
    return stageOf(this.provenance, this.state.step, this.head()).filter((i) => i.name).length > 2;
  }

  fit(force) {
    const w = this.root.clientWidth,
      wide = w >= 900,
      phone = w < 560,
      big = w >= 1240;
    if (!force && wide === this.wide && phone === this.phone && big === this.big) return;
    Object.assign(this, { wide, phone, big });
    this.root.classList.toggle("aw-wide", wide);
    this.root.classList.toggle("aw-phone", phone);
    this.root.classList.toggle("aw-small", this.provenance.model <= 8);
    this.root.classList.toggle("aw-big", big);
    drawThumbs(this);
    this.draw();
  }

  draw() {
    const { node: n, state, provenance } = this,
      at = this.at(),
      held = this.held();
    n.tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === at));
      tab.tabIndex = i === at ? 0 : -1;
    });
    n.panel.setAttribute("aria-labelledby", n.tabs[at].id);
    n.title.replaceChildren(stepTitle(state.step), el("small", {}, `step ${at + 1} of ${this.steps.length}`));
    n.say.replaceChildren(...withSymbols(stepSentence(provenance, state.step, this.head(), this.focus)));
    n.back.setAttribute("aria-disabled", String(at === 0));
    n.next.setAttribute("aria-disabled", String(at === this.steps.length - 1));
    this.cells.clear();
    n.stage.replaceChildren(
      ...stageOf(provenance, state.step, this.head()).map((item) =>
        item.name
          ? matrixFigure(this, item)
          : el("span", { class: item.op.length > 4 ? "aw-op long" : "aw-op" }, item.op),
      ),
    );
    const own = this.cells.get(state.path.at(-1).join(":"));
    for (const table of n.stage.querySelectorAll("table"))
      if (!table.contains(own ?? null)) table.querySelector("[data-cell]").tabIndex = 0;
    drawFoot(this);
    this.mark(state.path);
    if (held) this.cells.get(held)?.focus({ preventScroll: true });
  }

  /** The cell under the keyboard, to be found again after drawing. */
  held() {
    const active = this.root.getRootNode().activeElement;
    return active && this.node.stage.contains(active) ? active.dataset.cell : null;
  }

  /** Shows how the last cell of a path was made, in the panel and on the stage. */
  mark(path) {
    const cell = path.at(-1),
      { trace } = this.node,
      typing = trace.contains(this.root.getRootNode().activeElement);
    markParts(this, cell);
    const own = this.cells.get(this.state.path.at(-1).join(":"));
    if (own) own.tabIndex = 0;
    trace.replaceChildren(el("h3", {}, "How this number was made"), ...panelNodes(this, path));
    const factors = trace.querySelectorAll(".aw-f");
    if (factors[0]) factors[0].tabIndex = 0;
    if (typing && path === this.state.path && !this.previewed)
      (trace.querySelector("input") || factors[0] || trace.querySelector("button[aria-current]"))?.focus({
        preventScroll: true,
      });
  }

  preview(pointed) {
    const key = pointed === this.state.path.at(-1).join(":") ? null : pointed; // that one is shown already
    if (key === this.previewed) return;
    this.previewed = key;
    if (this.root.getRootNode().activeElement?.matches("input")) return; // what is being typed stays
    this.mark(key ? [parseCell(key)] : this.state.path);
  }

  // ---- what the reader does -----------------------------------------------------------------------

  go(step) {
    this.state.step = step;
    this.state.path = [firstCell(this.provenance, step, this.head(), this.focus)];
    this.everyTerm = false;
    this.settle();
    this.speak(`${stepTitle(step)}. ${this.node.say.textContent}`);
  }

  move(by) {
    const to = this.steps[this.at() + by];
    if (to) this.go(to.id);
  }

  /** A number on the stage: a new path begins there. */
  choose(cell) {
    this.state.path = [cell];
    this.everyTerm = false;
    this.settle();
    bringInSight(this);
    this.speak(spokenCell(this.provenance, cell));
  }

  /** A factor of the traced number: one level down, in the step that made it. */
  deeper(cell) {
    this.state.path.push(cell);
    this.everyTerm = false;
    this.state.step = stepOf(this.provenance, cell[0]);
    this.settle();
    bringInSight(this);
    this.speak(spokenCell(this.provenance, cell));
  }

  upTo(i) {
    if (i < 0 || i >= this.state.path.length - 1) return;
    this.state.path.length = i + 1;
    this.everyTerm = false;
    this.state.step = stepOf(this.provenance, this.state.path.at(-1)[0]);
    this.settle();
    bringInSight(this);
    this.speak(spokenCell(this.provenance, this.state.path.at(-1)));
  }

  showEvery() {
    this.everyTerm = true;
    this.mark(this.state.path);
  }

  showDigits(every) {
    this.everyDigit = every;
    this.mark(this.state.path);
    /** @type {HTMLElement} */ (this.node.trace.querySelector(".aw-full button")).focus({ preventScroll: true });
  }

  settle(now = false) {
    const cell = this.state.path.at(-1),
      owner = ownerHead(this.provenance, cell),
      head = this.head();
    if (owner !== null) this.state.head = owner;
    this.aim(cell);
    this.previewed = null;
    if (head !== this.head()) drawThumbs(this);
    this.draw();
    this.height.giveBack(); // of a step that was far higher
    this.send(now || isElsewhere(this.provenance, cell));
  }

  speak(text) {
    this.node.live.textContent = text;
  }

  send(now) {
    clearTimeout(this.sending);
    this.sending = setTimeout(() => this.report(), SEND_AFTER);
    if (now) this.report();
  }

  /** Tells the page what waits to be told; at once when the reader turns to something else on it. */
  report() {
    if (!this.sending) return;
    clearTimeout(this.sending);
    this.sending = 0;
    const { step, path, head } = this.state,
      row = this.state.row < 0 ? -1 : (this.focus.query ?? 0);
    this.onState({ step, path: path.map((c) => c.join(":")).join("/"), head, row, edits: editText(this.edits) });
  }

  destroy() {
    this.report(); // what waits to be told: a rerun may take the view away within the pause
    this.arrived();
    this.unwatch();
    this.resize.disconnect();
    this.height.stop();
  }
}

/** The view in `root`; `update` takes a new message and, if the page chose one, a new state. */
export function mountProvenance(root, options) {
  const view = new ProvenanceView(root, options);
  return { view, update: ({ message, state }) => view.read(message, state), destroy: () => view.destroy() };
}
