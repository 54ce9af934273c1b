/* overview.js: the grid of all heads on its two canvases, and the lists that order and colour it. */
import { fitCanvas } from "../core/canvas.js";
import { el } from "../core/dom.js";
import { divergingIndex, lutIndex, onColour } from "../core/theme.js";
import { layoutGrid, paintCell, paintGridOver, paintThumb } from "./paint-grid.js";
import { scoreCell } from "./scores.js";
import { headChosen, headList, headNumber, isChanged } from "./selectors.js";

const MOST_NAMED = 4; // heads whose number stands above the grid
export const LONG = 256 * 256; // weights of a head that takes longer than a frame's budget

export class Overview {
  /** @param {import("./view.js").AttentionView} view */
  constructor({ store, shown, screen, frames, heads }) {
    this.store = store;
    this.shown = shown;
    this.screen = screen;
    this.frames = frames;
    this.heads = heads;
    this.pen = null;
    this.size = ""; // of the small pictures, in pixels
  }

  /** Works on heads that are not in view, a few milliseconds per frame, so that nothing waits for them. */
  work() {
    const { heads, frames, screen, shown } = this;
    if (!heads.queue.length) return;
    const budget = frames.budget(shown.scene.a.length > LONG);
    if (!budget) return;
    const { ch, cw } = screen.lay.grid;
    heads.work(budget, Math.round(ch * screen.ratio), Math.round(cw * screen.ratio));
    frames.dirty.add("thumbs");
    if (!heads.queue.length && heads.wanted().length) for (const part of ["grid", "controls"]) frames.dirty.add(part);
  }

  /** Works on all of them at once, where nothing can wait. */
  finish() {
    const { heads, frames, screen } = this;
    if (!heads.queue.length || !screen.lay.grid) return;
    const { ch, cw } = screen.lay.grid;
    heads.work(Infinity, Math.round(ch * screen.ratio), Math.round(cw * screen.ratio));
    for (const part of ["thumbs", "controls"]) frames.dirty.add(part);
  }

  /** All heads, laid out anew; true if their pictures have another size now and need to be worked out again. */
  paint() {
    const { store, screen, heads } = this;
    const { kind, node } = screen;
    const { w, h } = screen.box.grid;
    const lay = this.layout(w, h);
    screen.lay.grid = lay;
    if (kind === "phone") node.gridStage.style.height = lay.h + "px";
    const size = `${lay.cw}x${lay.ch}x${screen.ratio}`;
    const resized = this.size !== "" && this.size !== size;
    this.size = size;
    this.pen = fitCanvas(node.grid, w, kind === "phone" ? lay.h : h, screen.ratio);
    heads.fresh = headList(store.model);
    this.paintFresh();
    return resized;
  }

  layout(w, h) {
    const { store, heads } = this;
    const { layersN, headsN } = store.model;
    const options = { bars: !heads.score(store.state.tint) };
    return layoutGrid(w, h, layersN, headsN, heads.order(), options);
  }

  /** The heads that have become ready. */
  paintFresh() {
    const { heads, screen } = this;
    for (const k of heads.fresh) this.paintHead(this.pen, screen.lay.grid, k, screen.ratio);
    heads.fresh = [];
  }

  /**
   * One head (`ratio` as in paintThumb): its weights with the bar of its score below, or a cell in the colour of its
   * score.
   */
  paintHead(g, lay, k, ratio) {
    const { store, screen, heads } = this;
    const { sort, tint, threshold, colour, diff } = store.state;
    const order = heads.score(sort);
    const tinted = heads.score(tint);
    if (tinted) return paintCell(g, lay, k, screen.theme, this.tintOf(tinted, heads.scoreAt(tinted, k)));
    const bar = order ? Math.min(1, Math.abs(heads.scoreAt(order, k) || 0) / order.top) : null;
    const options = { threshold, colour, signed: diff && isChanged(store) };
    paintThumb(g, lay, k, heads.thumbs[k]?.pooled, screen.theme, ratio, bar, options);
  }

  /** Colour, number and its ink for a score; shares on the scale that the weights have, the others linear. */
  tintOf(score, v) {
    const { theme } = this.screen;
    if (v == null || !Number.isFinite(v))
      return { fill: theme.paper, ink: theme.ink2, text: v === undefined ? "" : "–" };
    const lut = score.signed ? theme.div : theme.lut;
    const x = v / score.top;
    const scale = score.kind === "share" ? this.store.state.colour : "linear";
    const i = score.signed ? divergingIndex(x, "linear") : lutIndex(x, scale);
    return { fill: lut.css[i], ink: onColour(lut, i), text: scoreCell(score, v) };
  }

  /** The rings around the heads in view. */
  paintRings() {
    const { store, screen } = this;
    const { w, h } = screen.box.grid;
    const { grid } = screen.lay;
    const pen = fitCanvas(screen.node.gridOver, w, screen.kind === "phone" ? grid.h : h, screen.ratio);
    paintGridOver(pen, grid, screen.theme, ringed(store));
  }
}

/** The heads that wear rings. @param {import("./store.js").Store} store */
export function ringed(store) {
  const extra = store.state.heads.map(([l, h]) => headNumber(store.model, l, h));
  return { head: headChosen(store), hover: store.hoverHead, extra };
}

/** Two small lists above the grid: the order of the heads, and what colours them. */
export function orderLists({ store, heads, choices }) {
  const order = scoreList("sort", "Order of the heads", "layer", store, heads);
  const tint = scoreList("tint", "Colour of the heads", "weights", store, heads);
  const gloss = el("p", { hidden: true });
  const best = el("p", { class: "av-best", role: "group", "aria-label": "The first heads of the order" });
  let shown = "";
  const labels = [el("label", {}, "by ", order.node), el("label", {}, "colour ", tint.node)];
  const sync = () => {
    order.sync();
    tint.sync();
    gloss.textContent = heads.gloss();
    gloss.hidden = !gloss.textContent;
    best.hidden = !heads.needsWords(); // it has its place before its numbers are known
    const first = best.hidden ? [] : heads.best(MOST_NAMED);
    if (shown === String(first)) return; // a button that is being pressed stays
    shown = String(first);
    best.replaceChildren(...first.map(([k, name, value]) => bestButton(k, name, value, choices, heads)));
  };
  return { node: el("div", { class: "av-order" }, labels, gloss, best), sync };
}

/** A head of the order with its number, without pointing at it. */
function bestButton(k, name, value, choices, heads) {
  const onclick = () => choices.select(k);
  return el(
    "button",
    { type: "button", class: "av-link", "aria-label": heads.label(k), onclick },
    name,
    el("b", {}, value),
  );
}

/** A list of all scores that writes one field of the state; `plain` is the choice of none. */
function scoreList(field, label, plain, store, heads) {
  const node = el("select", { "aria-label": label, onchange: () => store.change({ [field]: node.value }) });
  const sync = () => {
    const names = heads.offered.map((score) => score.name).join();
    if (node.dataset.names !== names) {
      node.dataset.names = names;
      const options = [[plain, plain], ...heads.offered.map((score) => [score.name, score.label])];
      node.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
    }
    node.value = heads.score(store.state[field]) ? store.state[field] : plain;
  };
  return { node, sync };
}
