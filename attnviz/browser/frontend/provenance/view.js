/* view.js: the step-by-step view: which step, which number, and how deep it has been traced. Runs without the server. */
import { el } from "../core/dom.js";
import { isDark, readTheme } from "../core/theme.js";
import { editMethods } from "./edit.js";
import { matrixFigure, paintThumb, withSymbols } from "./grid.js";
import { gridKeys, markParts, panelKeys, stepKeys } from "./keys.js";
import { panelNodes, spokenCell } from "./panel.js";
import { cellExists, isRemote, ownerOf, readProvenance } from "./read.js";
import { STEPS, resultOf, stageOf, stepOf, stepSentence, stepTitle } from "./steps.js";

const SEND_AFTER = 250; // ms without a change, so that a reader who steps on does not wait for the server

class ProvenanceView {
  /** `onState` gets {step, path, head, edits}; `onLayer` a layer that the reader wants to see. */
  constructor(root, { message, state, onState, onLayer }) {
    Object.assign(this, {
      root,
      onState,
      onLayer,
      edits: new Map(),
      drafts: new Map(),
      cells: new Map(),
      focus: {},
      sending: 0,
    });
    root.classList.add("av", "aw");
    this.theme = readTheme(root);
    this.build();
    this.read(message, state);
    this.resize = new ResizeObserver(() => this.fit());
    this.resize.observe(root);
    this.themeWatch = setInterval(() => {
      if (isDark(root) !== this.theme.dark) this.repaint();
    }, 500);
  }

  build() {
    const n = (this.node = {});
    n.steps = el("div", {
      class: "aw-steps",
      role: "tablist",
      "aria-label": "Steps",
      onkeydown: (e) => stepKeys(this, e),
    });
    n.tabs = STEPS.map(({ id, label }, i) =>
      el(
        "button",
        {
          type: "button",
          role: "tab",
          id: `aw-tab-${id}`,
          "data-step": id,
          "aria-controls": "aw-panel",
          "aria-label": `${i + 1}, ${stepTitle(id)}`,
          onclick: () => this.go(id),
        },
        el("canvas", { "aria-hidden": "true" }),
        stepLabel(label),
      ),
    );
    n.steps.append(...n.tabs);
    n.title = el("h2");
    n.say = el("p", { class: "aw-say" });
    n.back = el("button", { type: "button", onclick: () => this.move(-1) }, "‹ Back");
    n.next = el("button", { type: "button", onclick: () => this.move(1) }, "Next ›");
    n.stage = el("div", { class: "aw-stage", onkeydown: (e) => gridKeys(this, e) });
    n.trace = el("section", {
      class: "aw-trace",
      "aria-label": "How this number was made",
      onkeydown: (e) => panelKeys(this, e),
    });
    n.foot = el("div", { class: "aw-foot" });
    n.live = el("div", { class: "av-sr", "aria-live": "polite" });
    n.panel = el(
      "div",
      { role: "tabpanel", id: "aw-panel" },
      el("div", { class: "aw-bar" }, el("div", {}, n.title, n.say), el("div", { class: "aw-move" }, n.back, n.next)),
      el("div", { class: "aw-main" }, el("div", {}, n.stage, n.foot), n.trace),
    );
    this.root.replaceChildren(n.steps, n.panel, n.live);
    this.root.addEventListener("keydown", (e) => {
      if ((e.key === "PageDown" || e.key === "PageUp") && !e.target.matches("input")) {
        e.preventDefault();
        this.move(e.key === "PageDown" ? 1 : -1);
      }
    });
    this.root.addEventListener("pointerleave", () => this.report());
    this.root.addEventListener("focusout", (e) => {
      if (!this.root.contains(e.relatedTarget)) this.report();
    });
    const cellAt = (e) => e.target.closest?.("[data-cell]")?.dataset.cell;
    n.stage.addEventListener("pointerover", (e) => {
      if (e.pointerType !== "touch") this.preview(cellAt(e));
    });
    n.stage.addEventListener("pointerleave", () => this.preview(null));
    n.stage.addEventListener("click", (e) => {
      if (cellAt(e)) this.choose(this.parse(cellAt(e)));
    });
  }

  // ---- what is shown ------------------------------------------------------------------------------

  /** Takes a message, and the page's state if it has a new one. */
  read(message, state) {
    if (message) this.walk = readProvenance(message);
    if (state) {
      const before = this.state;
      this.state = {
        step: STEPS.some((s) => s.id === state.step) ? state.step : STEPS[0].id,
        path: state.path.map((c) => [...c]),
        head: state.head,
      };
      this.edits = new Map(state.edits);
      if (before && before.head !== state.head)
        this.state.path = toHead(this.walk, this.state.path, before.head, state.head);
    }
    const { walk } = this;
    this.state.head = Math.max(0, Math.min(walk.heads - 1, this.state.head));
    const good = this.state.path.findIndex((cell) => !cellExists(walk, cell));
    if (good >= 0) {
      this.state.path.length = good;
      if (good) this.state.step = stepOf(this.state.path[good - 1][0]);
    }
    this.focus = firstFocus(walk, this.head());
    if (!this.state.path.length) this.state.path = [this.first(this.state.step)];
    this.aim(this.state.path.at(-1));
    this.fit(true);
  }

  /** The head on stage: the chosen one once its numbers are here. */
  head() {
    return this.walk.matrices[`scores.${this.state.head}`] ? this.state.head : this.walk.head;
  }

  /** The cell that a step opens on: the row and column the reader looked at last. */
  first(step) {
    const name = resultOf(this.walk, step, this.head()),
      m = this.walk.matrices[name],
      d = this.walk.width,
      { focus } = this;
    let c = focus[m.axes[1]] ?? 0;
    if (m.axes[1] === "inner" && name !== "concat" && Math.floor(c / d) !== this.head()) c = this.head() * d + (c % d);
    return [name, Math.min(m.rows - 1, focus[m.axes[0]] ?? 0), Math.max(m.first, Math.min(m.first + m.stored - 1, c))];
  }

  /** Remembers a cell's row and column, so that other steps open there and elided matrices show them. */
  aim([name, r, c]) {
    const m = this.walk.matrices[name] || this.walk.matrices.concat;
    if (m.axes[0] !== "one") this.focus[m.axes[0]] = r;
    this.focus[m.axes[1]] = c;
    if (/^[KV]$/.test(name)) this.focus.key = r;
  }

  limits(item) {
    const { wide, phone, big } = this,
      few = phone || (wide && !big) ? 4 : 6;
    const rows = 7,
      keys = item.name.includes(".") && !item.block ? (phone ? 4 : this.pair() ? 5 : 7) : rows;
    return {
      query: rows,
      key: item.turned ? (phone ? 4 : 6) : item.name.includes(".") ? keys : rows,
      model: few,
      inner: few,
      out: few,
    };
  }

  /** How the stage shows a matrix. */
  item(name) {
    return stageOf(this.walk, this.state.step, this.head()).find((item) => item.name === name);
  }

  /** Whether two matrices of scores stand side by side. */
  pair() {
    return stageOf(this.walk, this.state.step, this.head()).filter((i) => i.name).length > 2;
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
    this.root.classList.toggle("aw-small", this.walk.model <= 8);
    this.root.classList.toggle("aw-big", big);
    this.thumbs();
    this.draw();
  }

  repaint() {
    this.theme = readTheme(this.root);
    this.thumbs();
    this.draw();
  }

  thumbs() {
    STEPS.forEach(({ id }, i) => {
      const m = this.walk.matrices[resultOf(this.walk, id, this.head())];
      paintThumb(this.node.tabs[i].firstChild, this.theme, m, m.first, m.first + m.stored);
    });
  }

  draw() {
    const { node: n, state, walk } = this,
      at = STEPS.findIndex((s) => s.id === state.step),
      held = this.held();
    n.tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === at));
      tab.tabIndex = i === at ? 0 : -1;
    });
    n.panel.setAttribute("aria-labelledby", n.tabs[at].id);
    n.title.replaceChildren(stepTitle(state.step), el("small", {}, `step ${at + 1} of ${STEPS.length}`));
    n.say.replaceChildren(...withSymbols(stepSentence(walk, state.step, this.head(), this.focus)));
    n.back.setAttribute("aria-disabled", String(at === 0));
    n.next.setAttribute("aria-disabled", String(at === STEPS.length - 1));
    this.cells.clear();
    n.stage.replaceChildren(
      ...stageOf(walk, state.step, this.head()).map((item) =>
        item.name
          ? matrixFigure(this, item)
          : el("span", { class: item.op.length > 4 ? "aw-op long" : "aw-op" }, item.op),
      ),
    );
    const own = this.cells.get(state.path.at(-1).join(":"));
    for (const table of n.stage.querySelectorAll("table"))
      if (!table.contains(own ?? null)) table.querySelector("[data-cell]").tabIndex = 0;
    this.drawFoot();
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
    this.state.path = [this.first(step)];
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
    this.speak(spokenCell(this.walk, cell));
  }

  /** A factor of the traced number: one level down, in the step that made it. */
  deeper(cell) {
    this.state.path.push(cell);
    this.everyTerm = false;
    this.state.step = stepOf(cell[0]);
    this.settle();
    this.speak(spokenCell(this.walk, cell));
  }

  upTo(i) {
    if (i < 0 || i >= this.state.path.length - 1) return;
    this.state.path.length = i + 1;
    this.everyTerm = false;
    this.state.step = stepOf(this.state.path.at(-1)[0]);
    this.settle();
    this.speak(spokenCell(this.walk, this.state.path.at(-1)));
  }

  showEvery() {
    this.everyTerm = true;
    this.mark(this.state.path);
  }

  settle(now = false) {
    const cell = this.state.path.at(-1),
      owner =
        ownerOf(cell[0]) ??
        (this.walk.matrices[cell[0]]?.axes[1] === "inner" && cell[0] !== "concat"
          ? Math.floor(cell[2] / this.walk.width)
          : null);
    const head = this.head(),
      remote = isRemote(this.walk, cell[0]);
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
    this.onState({ step, path: path.map((c) => c.join(":")).join("/"), head, edits: this.editText() });
  }

  destroy() {
    clearTimeout(this.sending);
    clearInterval(this.themeWatch);
    this.resize.disconnect();
  }
}

Object.assign(ProvenanceView.prototype, editMethods);

function stepLabel(label) {
  const [stem, low] = label.split("_");
  return el("span", {}, stem, low ? el("sub", {}, low) : null);
}

/** Where the eye goes first: the second word, and what is largest for it. */
function firstFocus(walk, head) {
  const row = Math.min(1, walk.size - 1),
    d = walk.width,
    { x, Q, out } = walk.matrices,
    weights = walk.matrices[`weights.${head}`];
  const largest = (m, from, to) => {
    let best = from;
    for (let c = from; c < to; c++)
      if (Math.abs(m.values[row * m.stored + c - m.first]) > Math.abs(m.values[row * m.stored + best - m.first]))
        best = c;
    return best;
  };
  return {
    query: row,
    key: largest(weights, 0, walk.size),
    model: largest(x, 0, x.width),
    inner: largest(Q, head * d, (head + 1) * d),
    out: largest(out, 0, out.width),
  };
}

/** A path of one head as the same path in another; what is deeper than its first number is dropped. */
function toHead(walk, path, from, to) {
  if (!path.length) return path;
  const [name, r, c] = path[0],
    m = walk.matrices[name];
  if (ownerOf(name) === to) return path;
  if (ownerOf(name) === from)
    return [[name.replace(/\.\d+$/, `.${to}`), r, name.startsWith("z.") ? c + (to - from) * walk.width : c]];
  if (/^([WbQKV]_?[QKV]?)$/.test(name) && m && m.axes[1] === "inner" && Math.floor(c / walk.width) === from)
    return [[name, r, c + (to - from) * walk.width]];
  return ownerOf(name) === null ? path : [];
}

/** The view in `root`; `update` takes a new message and, if the page chose one, a new state. */
export function mountProvenance(root, options) {
  const view = new ProvenanceView(root, options);
  return { view, update: ({ message, state }) => view.read(message, state), destroy: () => view.destroy() };
}
