/* view.js: the step-by-step view: which step, which number, how deep it has been traced. Runs without the server. */
import { el } from "../core/dom.js";
import { readTheme, watchTheme } from "../core/theme.js";
import { drawFoot, editText } from "./edit.js";
import { matrixFigure, paintThumb } from "./grid.js";
import { markParts } from "./keys.js";
import { withSymbols } from "./names.js";
import { buildPage } from "./page.js";
import { panelNodes, spokenCell } from "./panel.js";
import { firstCell, firstFocus, ownerHead, inHead } from "./path.js";
import { cellExists, isRemote, readProvenance } from "./read.js";
import { STEPS, resultOf, stageOf, stepOf, stepSentence, stepTitle } from "./steps.js";

const SEND_AFTER = 250; // ms without a change, so that a reader who steps on does not wait for the server

class ProvenanceView {
  /** `onState` gets {step, path, head, edits}; `onLayer` a layer that the reader wants to see. */
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
    this.sending = 0;
    this.wide = this.phone = this.big = this.everyTerm = false;
    /** @type {string | null} the cell under the pointer */
    this.previewed = null;
    root.classList.add("av", "aw");
    this.theme = readTheme(root);
    this.node = buildPage(this);
    this.read(message, state);
    this.resize = new ResizeObserver(() => this.fit());
    this.resize.observe(root);
    this.unwatch = watchTheme(root, (theme) => {
      this.theme = theme;
      this.thumbs();
      this.draw();
    });
  }

  // ---- what is shown ------------------------------------------------------------------------------

  /** Takes a message, and the page's state if it has a new one. */
  read(message, state) {
    if (message) this.provenance = readProvenance(message);
    if (state) {
      const before = this.state;
      this.state = {
        step: STEPS.some((s) => s.id === state.step) ? state.step : STEPS[0].id,
        path: state.path.map((c) => [...c]),
        head: state.head,
      };
      this.edits = new Map(state.edits);
      if (before && before.head !== state.head)
        this.state.path = inHead(this.provenance, this.state.path, before.head, state.head);
    }
    const { provenance } = this;
    this.state.head = Math.max(0, Math.min(provenance.heads - 1, this.state.head));
    const good = this.state.path.findIndex((cell) => !cellExists(provenance, cell));
    if (good >= 0) {
      this.state.path.length = good;
      if (good) this.state.step = stepOf(this.state.path[good - 1][0]);
    }
    this.focus = firstFocus(provenance, this.head());
    if (!this.state.path.length) this.state.path = [firstCell(provenance, this.state.step, this.head(), this.focus)];
    this.aim(this.state.path.at(-1));
    this.fit(true);
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
    if (/^[KV]$/.test(name)) this.focus.key = r;
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
      wide = w >= 940,
      phone = w < 560,
      big = w >= 1240;
    if (!force && wide === this.wide && phone === this.phone && big === this.big) return;
    Object.assign(this, { wide, phone, big });
    this.root.classList.toggle("aw-wide", wide);
    this.root.classList.toggle("aw-phone", phone);
    this.root.classList.toggle("aw-small", this.provenance.model <= 8);
    this.root.classList.toggle("aw-big", big);
    this.thumbs();
    this.draw();
  }

  thumbs() {
    STEPS.forEach(({ id }, i) => {
      const m = this.provenance.matrices[resultOf(this.provenance, id, this.head())];
      paintThumb(this.node.tabs[i].firstChild, this.theme, m, m.first, m.first + m.stored);
    });
  }

  draw() {
    const { node: n, state, provenance } = this,
      at = STEPS.findIndex((s) => s.id === state.step),
      held = this.held();
    n.tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === at));
      tab.tabIndex = i === at ? 0 : -1;
    });
    n.panel.setAttribute("aria-labelledby", n.tabs[at].id);
    n.title.replaceChildren(stepTitle(state.step), el("small", {}, `step ${at + 1} of ${STEPS.length}`));
    n.say.replaceChildren(...withSymbols(stepSentence(provenance, state.step, this.head(), this.focus)));
    n.back.setAttribute("aria-disabled", String(at === 0));
    n.next.setAttribute("aria-disabled", String(at === STEPS.length - 1));
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
    if (held) this.cells.get(held)?.focus();
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

  preview(key) {
    if (key === this.previewed) return;
    this.previewed = key;
    if (this.root.getRootNode().activeElement?.matches("input")) return; // what is being typed stays
    this.mark(key ? [this.parse(key)] : this.state.path);
  }

  // ---- what the reader does -----------------------------------------------------------------------

  parse(key) {
    const [name, r, c] = key.split(":");
    return [name, +r, +c];
  }

  go(step) {
    this.state.step = step;
    this.state.path = [firstCell(this.provenance, step, this.head(), this.focus)];
    this.everyTerm = false;
    this.settle();
    this.speak(`${stepTitle(step)}. ${this.node.say.textContent}`);
  }

  move(by) {
    const to = STEPS[STEPS.findIndex((s) => s.id === this.state.step) + by];
    if (to) this.go(to.id);
  }

  /** A number on the stage: a new path begins there. */
  choose(cell) {
    this.state.path = [cell];
    this.everyTerm = false;
    this.settle();
    this.speak(spokenCell(this.provenance, cell));
  }

  /** A factor of the traced number: one level down, in the step that made it. */
  deeper(cell) {
    this.state.path.push(cell);
    this.everyTerm = false;
    this.state.step = stepOf(cell[0]);
    this.settle();
    this.speak(spokenCell(this.provenance, cell));
  }

  upTo(i) {
    if (i < 0 || i >= this.state.path.length - 1) return;
    this.state.path.length = i + 1;
    this.everyTerm = false;
    this.state.step = stepOf(this.state.path.at(-1)[0]);
    this.settle();
    this.speak(spokenCell(this.provenance, this.state.path.at(-1)));
  }

  showEvery() {
    this.everyTerm = true;
    this.mark(this.state.path);
  }

  settle(now = false) {
    const cell = this.state.path.at(-1),
      owner = ownerHead(this.provenance, cell),
      head = this.head(),
      remote = isRemote(this.provenance, cell[0]);
    if (owner !== null) this.state.head = owner;
    this.aim(cell);
    this.previewed = null;
    if (head !== this.head()) this.thumbs();
    this.draw();
    this.send(now || remote);
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
    const { step, path, head } = this.state;
    this.onState({ step, path: path.map((c) => c.join(":")).join("/"), head, edits: editText(this.edits) });
  }

  destroy() {
    clearTimeout(this.sending);
    this.unwatch();
    this.resize.disconnect();
  }
}

/** The view in `root`; `update` takes a new message and, if the page chose one, a new state. */
export function mountProvenance(root, options) {
  const view = new ProvenanceView(root, options);
  return { view, update: ({ message, state }) => view.read(message, state), destroy: () => view.destroy() };
}
