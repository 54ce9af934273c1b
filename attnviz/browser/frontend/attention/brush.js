/* brush.js: painting a mask by hand, on top of the model's own: strokes, undo, clear. No DOM. */
import { MOST_PAINTED } from "../core/contract.js";
import { opener } from "./masks.js";
import { cellsBetween, paintedBits, paintedPairs, rememberBits } from "./blocked-cells.js";
import { headOf, headShown, isPainting, layerOf, plainModel } from "./selectors.js";

const UNDO_STEPS = 100;

export class Brush {
  /**
   * @param {import("./store.js").Store} store
   * @param {import("./shown.js").Shown} shown
   * @param {import("./outbox.js").Outbox} outbox
   * @param {object} then
   * @param {() => void} then.onStroke called after a stroke that has changed something
   * @param {() => void} then.onUndone called after cells were taken back by a button or key
   */
  constructor(store, shown, outbox, { onStroke, onUndone }) {
    this.store = store;
    this.shown = shown;
    this.outbox = outbox;
    this.onStroke = onStroke;
    this.onUndone = onUndone;
    /** what is being painted: earlier cells, the last [q, k], whether it blocks, and which tokens may be blocked */
    this.stroke = null;
    /** @type {import("./blocked-cells.js").Pair[][]} earlier lists of cells */
    this.undoable = [];
    this.cells = store.state.painted;
  }

  painting() {
    return isPainting(this.store);
  }

  /** Earlier lists of cells; cells that come from outside have none. */
  history() {
    if (this.cells !== this.store.state.painted) {
      this.cells = this.store.state.painted;
      this.undoable = [];
    }
    return this.undoable;
  }

  /** @param {import("./blocked-cells.js").Pair[]} cells */
  put(cells) {
    this.history();
    this.cells = cells;
    this.store.change({ painted: cells });
  }

  /** Begins a stroke: its first cell decides whether it blocks or allows. */
  start(q, k) {
    const plain = plainModel(this.store);
    const shown = headShown(this.store);
    const layer = layerOf(plain, shown);
    const open = opener(plain, layer, headOf(plain, shown));
    const end = plain.S - plain.layers[layer].mask.extra;
    const may = (i, j) => j < end && open(i, j);
    const { bits, S } = this.bitmap();
    const block = this.pairs(q, k).some(([i, j]) => may(i, j) && !bits[i * S + j]);
    this.stroke = { before: this.store.state.painted, last: null, block, may };
    this.outbox.held = true;
    this.to(q, k);
  }

  /** Paints on to this cell; the pointer may have left out some in between. */
  to(q, k, on = true) {
    const { stroke } = this;
    const { T, S } = this.bitmap();
    const bits = this.bitmap().bits.slice();
    const value = stroke.block ? 1 : 0;
    let left = MOST_PAINTED - this.store.state.painted.length;
    let touched = false;
    for (const [a, b] of stroke.last ? cellsBetween(stroke.last, [q, k]) : [[q, k]]) {
      for (const [i, j] of this.pairs(a, b)) {
        const at = i * S + j;
        if (bits[at] === value || (value && (!stroke.may(i, j) || left-- <= 0))) continue;
        bits[at] = value;
        touched = true;
      }
    }
    stroke.last = on ? [q, k] : null;
    if (!touched) return;
    const cells = paintedPairs(bits, S);
    rememberBits(cells, bits, T, S);
    this.put(cells);
  }

  end() {
    const before = this.release();
    if (!before || before === this.store.state.painted) return;
    const history = this.history();
    history.push(before);
    if (history.length > UNDO_STEPS) history.shift();
    this.onStroke();
    this.outbox.send();
  }

  /** A second finger came: what the first one painted is taken back. */
  cancel() {
    const before = this.release();
    if (before && before !== this.store.state.painted) this.put(before);
  }

  /** Ends the stroke; returns the cells before it. */
  release() {
    const before = this.stroke?.before;
    this.stroke = null;
    this.outbox.held = false;
    return before;
  }

  undo() {
    const last = this.history().pop();
    if (!last) return;
    this.put(last);
    this.onUndone();
  }

  clear() {
    const { painted } = this.store.state;
    if (!painted.length) return;
    this.history().push(painted);
    this.put([]);
    this.onUndone();
  }

  /** Z, with or without Ctrl, undoes; true if it was that key. @param {KeyboardEvent} e */
  undoKey(e) {
    if (!this.painting() || e.key.toLowerCase() !== "z" || e.altKey || e.shiftKey) return false;
    this.undo();
    e.preventDefault();
    e.stopPropagation();
    return true;
  }

  bitmap() {
    const { model, state } = this.store;
    const { T, S } = model;
    return { T, S, bits: paintedBits(state.painted, T, S) };
  }

  /** The pairs of tokens behind a pair of items. */
  pairs(q, k) {
    const { queries, keys } = this.shown.items;
    return queries.list[q].toks.flatMap((i) => keys.list[k].toks.map((j) => [i, j]));
  }
}
