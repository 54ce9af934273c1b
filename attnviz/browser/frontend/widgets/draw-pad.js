/* draw-pad.js: a square of 8 × 8 cells to draw a digit in, with its tools, and examples to start from. */
import { fitCanvas } from "../core/canvas.js";
import { el } from "../core/dom.js";
import { readTheme, watchTheme } from "../core/theme.js";
import { DRAW_FINE, DRAW_FULL, DRAW_SIDE, coveredInk, readInk, strokeSquares, writeInk } from "./ink.js";

export class DrawPad {
  /**
   * @param {HTMLElement} root
   * @param {() => void} onInk called whenever the reader has changed the ink
   */
  constructor(root, onInk) {
    this.root = root;
    this.onInk = onInk;
    this.ink = new Array(DRAW_SIDE * DRAW_SIDE).fill(0);
    /** @type {number[][]} */
    this.past = [];
    /** @type {HTMLElement[]} */
    this.cells = [];
    /** @type {[string, string][]} */
    this.examples = [];
    this.examplesText = "";
    this.page = this.first = this.at = 0;
    this.erasing = false;
    /** @type {{before: number[], marks: Uint8Array, last: number[], pointer: number} | null} */
    this.stroke = null;
    root.classList.add("av", "ad");
    this.theme = readTheme(root);
    this.build();
    this.unwatch = watchTheme(root, (theme) => {
      this.theme = theme;
      this.paintExamples();
    });
  }

  build() {
    const n = (this.node = {}),
      tool = (label, act) => el("button", { type: "button", class: "av-button", onclick: act }, label);
    n.grid = el("div", {
      class: "ad-grid",
      role: "grid",
      "aria-label": "The drawing: arrow keys move, Space adds ink, Backspace takes it away",
      onkeydown: (e) => this.key(e),
    });
    for (let row = 0; row < DRAW_SIDE; row++) {
      const line = el("div", { role: "row" });
      for (let col = 0; col < DRAW_SIDE; col++) {
        const cell = el("div", { role: "gridcell", tabindex: "-1" });
        this.cells.push(cell);
        line.append(cell);
      }
      n.grid.append(line);
    }
    n.grid.addEventListener("pointerdown", (e) => this.begin(e));
    n.grid.addEventListener("pointermove", (e) => this.go(e));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
      n.grid.addEventListener(end, () => this.end());
    n.kinds = ["Pen", "Eraser"].map((label, i) =>
      el(
        "button",
        { type: "button", role: "radio", onclick: () => this.pick(i === 1), onkeydown: (e) => this.swap(e) },
        label,
      ),
    );
    n.undo = tool("Undo", () => this.undo());
    n.clear = tool("Clear", () => this.become(this.ink.map(() => 0)));
    n.keys = el("p", { class: "ad-keys" }, "Arrow keys move, Space adds ink, Backspace takes it away");
    n.examples = el("div", {
      class: "ad-examples",
      role: "group",
      "aria-label": "Examples: arrow keys move",
      onkeydown: (e) => this.exampleKey(e),
    });
    n.others = el("button", { type: "button", class: "av-link", onclick: () => this.others() }, "Others");
    n.live = el("div", { class: "av-sr", "aria-live": "polite" });
    this.root.replaceChildren(
      n.grid,
      el(
        "div",
        { class: "ad-tools" },
        el("div", { class: "av-seg", role: "radiogroup", "aria-label": "Draw with" }, n.kinds),
        n.undo,
        n.clear,
      ),
      n.keys,
      el("h2", {}, "Or one that it never saw", n.others),
      n.examples,
      n.live,
    );
    this.pick(false);
  }

  // ---- what is shown ------------------------------------------------------------------------------

  paint() {
    this.cells.forEach((cell, i) => {
      const ink = this.ink[i];
      cell.style.setProperty("--ink-share", `${(100 * ink) / DRAW_FULL}%`);
      cell.setAttribute(
        "aria-label",
        `row ${Math.floor(i / DRAW_SIDE)}, column ${i % DRAW_SIDE}: ink ${ink} of ${DRAW_FULL}`,
      );
      cell.tabIndex = i === this.at ? 0 : -1;
    });
    this.node.undo.setAttribute("aria-disabled", String(!this.past.length));
    this.node.clear.setAttribute("aria-disabled", String(this.ink.every((v) => v === 0)));
  }

  /**
   * Another drawing, unless it is the one that is here, and examples: [[name, drawing], …], `page` of them at once.
   *
   * @param {{examples: [string, string][], page: number, drawing: string}} given a character from 0 to g per cell
   * @param {boolean} fresh the first one: nothing can be taken back
   */
  take({ examples, page, drawing }, fresh) {
    const text = JSON.stringify([examples, page]);
    if (text !== this.examplesText) {
      Object.assign(this, { examplesText: text, examples, page });
      this.paintExamples();
    }
    if (writeInk(this.ink) === drawing) return void (fresh && this.paint());
    if (!fresh) this.past.push([...this.ink]);
    this.ink = readInk(drawing);
    this.paint();
  }

  paintExamples() {
    const { examples, page, first } = this,
      shown = examples.slice(first, first + page);
    this.node.examples.replaceChildren(
      ...shown.map(([name, drawing], i) => {
        const canvas = el("canvas", { "aria-hidden": "true" }),
          g = fitCanvas(canvas, 32, 32, Math.ceil(window.devicePixelRatio || 1));
        readInk(drawing).forEach((v, i) => {
          g.globalAlpha = v / DRAW_FULL;
          g.fillStyle = this.theme.ink;
          g.fillRect((i % DRAW_SIDE) * 4, Math.floor(i / DRAW_SIDE) * 4, 4, 4);
        });
        return el(
          "button",
          {
            type: "button",
            tabindex: i ? "-1" : "0",
            "aria-label": name,
            title: name,
            onclick: () => this.become(readInk(drawing)),
          },
          canvas,
        );
      }),
    );
    this.node.others.hidden = examples.length <= page;
  }

  // ---- what the reader does -----------------------------------------------------------------------

  pick(erasing) {
    this.erasing = erasing;
    this.node.kinds.forEach((kind, i) => {
      kind.setAttribute("aria-checked", String((i === 1) === erasing));
      kind.tabIndex = (i === 1) === erasing ? 0 : -1;
    });
  }

  swap(e) {
    if (!e.key.startsWith("Arrow")) return;
    e.preventDefault();
    this.pick(!this.erasing);
    this.node.kinds[this.erasing ? 1 : 0].focus();
  }

  others() {
    this.first = this.first + this.page < this.examples.length ? this.first + this.page : 0;
    this.paintExamples();
    this.node.live.textContent = "Other examples";
  }

  exampleKey(e) {
    const buttons = [...this.node.examples.children],
      by = { ArrowRight: 1, ArrowDown: 5, ArrowLeft: -1, ArrowUp: -5 }[e.key],
      at = buttons.indexOf(e.target) + by;
    if (!by || !buttons[at]) return;
    e.preventDefault();
    buttons.forEach((button, i) => {
      button.tabIndex = i === at ? 0 : -1;
    });
    buttons[at].focus();
  }

  /** Where a pointer stands, in small squares. */
  place(e) {
    const box = this.node.grid.getBoundingClientRect(),
      n = DRAW_SIDE * DRAW_FINE;
    return [((e.clientX - box.left) / box.width) * n, ((e.clientY - box.top) / box.height) * n];
  }

  begin(e) {
    if (e.button !== 0 || this.stroke) return;
    e.preventDefault();
    this.node.grid.setPointerCapture(e.pointerId);
    this.past.push([...this.ink]);
    this.stroke = {
      before: [...this.ink],
      marks: new Uint8Array((DRAW_SIDE * DRAW_FINE) ** 2),
      last: this.place(e),
      pointer: e.pointerId,
    };
    this.cover(this.stroke.last);
  }

  go(e) {
    if (!this.stroke || e.pointerId !== this.stroke.pointer) return;
    const events = e.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [e]) this.cover(this.place(one));
  }

  cover(to) {
    const { before, marks, last } = this.stroke;
    strokeSquares(marks, ...last, ...to);
    this.stroke.last = to;
    this.ink = coveredInk(marks).map((v, i) =>
      this.erasing ? Math.min(before[i], DRAW_FULL - v) : Math.max(before[i], v),
    );
    this.paint();
    this.onInk();
  }

  end() {
    if (!this.stroke) return;
    this.stroke = null;
    this.onInk();
  }

  key(e) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key],
      row = Math.floor(this.at / DRAW_SIDE),
      col = this.at % DRAW_SIDE;
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "z") {
      e.preventDefault();
      return this.undo();
    }
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const inside = (v) => Math.max(0, Math.min(DRAW_SIDE - 1, v));
    if (moves) this.at = inside(row + moves[0]) * DRAW_SIDE + inside(col + moves[1]);
    else if (e.key === "Home") this.at = row * DRAW_SIDE;
    else if (e.key === "End") this.at = row * DRAW_SIDE + DRAW_SIDE - 1;
    else if (e.key === " ")
      this.set(this.ink[this.at] >= DRAW_FULL ? 0 : Math.min(DRAW_FULL, this.ink[this.at] + DRAW_FULL / 2));
    else if (e.key === "Backspace" || e.key === "Delete") this.set(0);
    else return;
    e.preventDefault();
    this.paint();
    this.cells[this.at].focus();
  }

  /** Another amount of ink in the cell under the keyboard. */
  set(value) {
    this.become(this.ink.map((v, i) => (i === this.at ? value : v)));
    this.node.live.textContent = this.cells[this.at].getAttribute("aria-label");
  }

  become(ink) {
    if (writeInk(ink) === writeInk(this.ink)) return;
    this.past.push([...this.ink]);
    this.ink = ink;
    this.paint();
    this.onInk();
  }

  undo() {
    if (!this.past.length) return;
    this.ink = this.past.pop();
    this.paint();
    this.onInk();
  }
}
