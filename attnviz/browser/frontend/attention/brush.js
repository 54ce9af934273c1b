/* brush.js: a mask painted by hand, on top of the model's own. The state lists the blocked (query, key) pairs of tokens, sorted; a bitmap
   beside it answers at once. Methods of the view. */
import { MOST_PAINTED } from "../core/contract.js";
import { el } from "../core/dom.js";
import { opener } from "./maths.js";

const UNDO_STEPS = 100;

/** The painted pairs of a T × S bitmap, in order. */
export function paintedPairs(bits, S) {
  const pairs = [];
  for (let at = bits.indexOf(1); at >= 0; at = bits.indexOf(1, at + 1)) pairs.push([(at / S) | 0, at % S]);
  return pairs;
}

/** Cells [q, k] on the way from one to another, without the first. */
export function cellsBetween([q0, k0], [q1, k1]) {
  const n = Math.max(Math.abs(q1 - q0), Math.abs(k1 - k0));
  return Array.from({ length: n }, (_, i) => [
    Math.round(q0 + ((q1 - q0) * (i + 1)) / n),
    Math.round(k0 + ((k1 - k0) * (i + 1)) / n),
  ]);
}

/** "Undo" and "Clear", shown while a mask is painted. */
export function brushBar(view) {
  const undo = el("button", { type: "button", class: "av-button", onclick: () => view.undoPaint() }, "Undo");
  const clear = el("button", { type: "button", class: "av-button", onclick: () => view.clearPaint() }, "Clear");
  const node = el(
    "span",
    { class: "av-brush", role: "group", "aria-label": "Painted mask", onkeydown: (e) => view.undoKey(e) },
    undo,
    clear,
  );
  const plain = view.node.matrixOver.getAttribute("aria-label"),
    idle = (b, on) => b.setAttribute("aria-disabled", String(on)); // `disabled` would drop the focus
  const sync = () => {
    const on = view.painting();
    node.hidden = !on;
    view.root.classList.toggle("av-painting", on);
    view.node.matrixOver.setAttribute(
      "aria-label",
      on ? `${plain} Space blocks or allows the cell, Z undoes it.` : plain,
    );
    idle(undo, !on || !view.paintedMap().undo.length);
    idle(clear, !view.state.painted.length);
  };
  return { node, sync };
}

/** How much is painted, or how to begin. */
export function paintedText({
  state: {
    painted: { length },
  },
}) {
  if (!length) return "drag over cells to block them";
  return `${length.toLocaleString("en")} ${length === 1 ? "cell" : "cells"} blocked${length === MOST_PAINTED ? ", no more fit" : ""}`;
}

export const brushMethods = {
  painting() {
    return this.state.mask === "painted";
  },

  /** {cells: the state's list, bits: the same as a T × S bitmap, undo: earlier lists}; built again only for cells from outside. */
  paintedMap() {
    const { T, S } = this.model,
      cells = this.state.painted,
      known = this.paintedKnown;
    if (known && known.cells === cells && known.T === T && known.S === S) return known;
    const bits = new Uint8Array(T * S);
    for (const [i, j] of cells) if (i < T && j < S) bits[i * S + j] = 1;
    return (this.paintedKnown = { cells, bits, T, S, undo: [] });
  },

  /** Which item pairs are struck out in the picture: those with a painted pair of tokens and none left that is open. */
  paintedItems(allowed) {
    if (!this.painting() || !this.state.painted.length) return null;
    const { queries, keys } = this.items,
      { bits } = this.paintedMap(),
      { S } = this.model;
    return (i, j) => !allowed(i, j) && queries.list[i].toks.some((t) => keys.list[j].toks.some((u) => bits[t * S + u]));
  },

  /** Begins a stroke: its first cell decides whether it blocks or allows. */
  strokeStart(q, k) {
    const m = this.plainModel(),
      shown = this.shown(),
      layer = this.layerOf(shown),
      own = opener(m, layer, this.headOf(shown)),
      end = m.S - m.layers[layer].mask.extra;
    this.stroke = { before: this.state.painted, last: null, block: false, may: (i, j) => j < end && own(i, j) };
    const { bits } = this.paintedMap(),
      { S } = this.model;
    this.stroke.block = this.pairsOf(q, k).some(([i, j]) => this.stroke.may(i, j) && !bits[i * S + j]);
    this.strokeTo(q, k);
  },

  pairsOf(q, k) {
    const { queries, keys } = this.items;
    return queries.list[q].toks.flatMap((i) => keys.list[k].toks.map((j) => [i, j]));
  },

  /** Paints on to this cell; the pointer may have left out some in between. */
  strokeTo(q, k, on = true) {
    const { stroke } = this,
      { bits } = this.paintedMap(),
      { S } = this.model;
    let left = MOST_PAINTED - this.state.painted.length,
      touched = false;
    for (const [a, b] of stroke.last ? cellsBetween(stroke.last, [q, k]) : [[q, k]]) {
      for (const [i, j] of this.pairsOf(a, b)) {
        const at = i * S + j,
          value = stroke.block ? 1 : 0;
        if (bits[at] === value || (value && (!stroke.may(i, j) || left-- <= 0))) continue;
        bits[at] = value;
        touched = true;
      }
    }
    stroke.last = on ? [q, k] : null;
    if (!touched) return;
    this.paintedKnown.cells = paintedPairs(bits, S);
    this.change({ painted: this.paintedKnown.cells });
  },

  strokeEnd() {
    const { before } = this.stroke || {},
      { undo } = this.paintedMap();
    this.stroke = null;
    if (!before || before === this.state.painted) return;
    undo.push(before);
    if (undo.length > UNDO_STEPS) undo.shift();
    this.mark("controls");
    this.send();
  },

  /** A second finger came: what the first one painted is taken back. */
  strokeCancel() {
    const { before } = this.stroke || {};
    this.stroke = null;
    if (before && before !== this.state.painted) this.putPainted(before);
  },

  putPainted(cells) {
    const { undo } = this.paintedMap();
    this.paintedKnown = null;
    this.state.painted = cells;
    this.paintedMap().undo = undo;
    this.change({ painted: cells });
  },

  undoPaint() {
    const last = this.paintedMap().undo.pop();
    if (!last) return;
    this.putPainted(last);
    this.speakSoon();
  },

  clearPaint() {
    if (!this.state.painted.length) return;
    this.paintedMap().undo.push(this.state.painted);
    this.putPainted([]);
    this.speakSoon();
  },

  /** Z, with or without Ctrl, undoes; true if it was that key. */
  undoKey(e) {
    if (!this.painting() || e.key.toLowerCase() !== "z" || e.altKey || e.shiftKey) return false;
    this.undoPaint();
    e.preventDefault();
    e.stopPropagation();
    return true;
  },
};
