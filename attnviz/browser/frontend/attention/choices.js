/* choices.js: what the visitor chooses and points at: heads, tokens, cells. Turns gestures into changes of the store.
   No DOM. */
import { DEFAULTS, LONGEST_LIST } from "../core/contract.js";
import { MOST_HEADS } from "./state.js";
import { headChosen, headNumber, headOf, layerOf } from "./selectors.js";
import { lockedItems } from "./selectors-scene.js";

/** @typedef {import("./store.js").Target} Target */

export class Choices {
  /**
   * @param {import("./store.js").Store} store
   * @param {import("./shown.js").Shown} shown
   * @param {() => void} onChosen called after the visitor has chosen a head or a token
   */
  constructor(store, shown, onChosen) {
    this.store = store;
    this.shown = shown;
    this.onChosen = onChosen;
  }

  /* ---- heads ------------------------------------------------------------------------------ */

  select(k) {
    const { store } = this;
    store.hoverHead = null;
    store.change({ layer: layerOf(store.model, k), head: headOf(store.model, k) });
    this.onChosen();
  }

  /** @param {number | null} k */
  preview(k) {
    if (this.store.hoverHead !== k) this.store.point({ hoverHead: k });
  }

  /** Adds a head to the curves, or takes it away. */
  toggleHead(k) {
    const { store } = this;
    const { heads } = store.state;
    const others = heads.filter(([l, h]) => headNumber(store.model, l, h) !== k);
    if (others.length < heads.length) store.change({ heads: others });
    else if (k !== headChosen(store) && heads.length < MOST_HEADS)
      store.change({ heads: [...heads, [layerOf(store.model, k), headOf(store.model, k)]] });
  }

  /* ---- tokens and cells ----------------------------------------------------------------- */

  /** @returns {Target | null} */
  locked() {
    return lockedItems(this.store, this.shown.items);
  }

  /** @param {Target | null} target */
  hover(target) {
    const { hover } = this.store;
    if (target === hover) return;
    const same = target && hover && target.side === hover.side && target.key === hover.key;
    if (same && target.queries[0] === hover.queries[0]) return;
    this.store.point({ hover: target });
  }

  /** @param {Target | null} target */
  lock(target) {
    const { queries, keys } = this.shown.items;
    this.store.hover = null;
    this.store.change({
      side: target ? target.side : "q",
      queries: target ? target.queries.slice(0, LONGEST_LIST).map((i) => queries.list[i].toks[0]) : [],
      key: target && target.key !== null ? keys.list[target.key].toks[0] : null,
    });
    this.onChosen();
  }

  /** @param {Target} target */
  toggleLock(target) {
    const now = this.locked();
    const one = now && now.queries.length === 1 && now.queries[0] === target.queries[0] && now.key === null;
    const same = now && now.side === target.side && (target.side === "k" ? now.key === target.key : one);
    this.lock(same ? null : target);
  }

  /** Adds a query to the locked ones, or takes it away. */
  toggleQuery(q) {
    const now = this.locked();
    const list = now && now.side === "q" ? now.queries : [];
    const next = list.includes(q) ? list.filter((i) => i !== q) : [...list, q];
    this.lock(next.length ? { side: "q", queries: next, key: null } : null);
  }

  /** Points at one of the products. @param {number | null} bar */
  point(bar) {
    if (this.store.bar !== bar) this.store.point({ bar });
  }

  /** Whether there is anything to let go of. */
  any() {
    const { hover, hoverHead, state } = this.store;
    return hover !== null || hoverHead !== null || state.queries.length > 0 || state.key !== null;
  }

  letGo() {
    if (this.store.hoverHead !== null) this.preview(null);
    this.lock(null);
  }

  /** Everything that differs from the model as trained, and what hides parts of it. */
  reset() {
    const { temperature, scaled, mask, window, threshold, join, hide, renormalise, diff } = DEFAULTS;
    this.store.change({ temperature, scaled, mask, window, painted: [], threshold, join, hide, renormalise, diff });
  }
}
