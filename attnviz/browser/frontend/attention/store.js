/* store.js: what the view shows and what points at it. The one place where either changes, and which tells who
   listens. No DOM. */
import { legalState, stateOf } from "./state.js";

/**
 * Items that are pointed at or locked: rows and a column of the matrix.
 *
 * @typedef {{side: "q" | "k", queries: number[], key: number | null}} Target
 */

/** @typedef {import("./state.js").State} State */

export class Store {
  /**
   * @param {object} options
   * @param {import("./unpack.js").Model} options.model
   * @param {Partial<State> | null} [options.state]
   * @param {boolean} [options.compact] the small form, which shows the run with the change if there is one
   * @param {boolean} [options.live] whether the whole model can run again
   */
  constructor({ model, state = null, compact = false, live = false }) {
    this.model = model;
    this.compact = compact;
    this.live = live;
    this.state = legalState(state, model);
    /** @type {Target | null} */
    this.hover = null;
    /** @type {number | null} number of the head under the pointer: layer · heads + head */
    this.hoverHead = null;
    /** @type {number | null} dimension under the pointer, of the products */
    this.bar = null;
    /** whether a run of the whole model is waited for */
    this.pending = false;
    /** @type {((names: string[]) => void)[]} */
    this.listeners = [];
  }

  /** `listener` is called after every change with the names of what changed. */
  listen(listener) {
    this.listeners.push(listener);
  }

  /** What the visitor chooses or sets. @param {Partial<State>} patch */
  change(patch) {
    Object.assign(this.state, patch);
    this.tell(Object.keys(patch));
  }

  /** What is under the pointer: `hover`, `hoverHead` or `bar`. */
  point(patch) {
    Object.assign(this, patch);
    this.tell(Object.keys(patch));
  }

  wait(pending) {
    this.pending = pending;
    this.tell(["pending"]);
  }

  /** Another text or model; nothing points at it yet. */
  load(model) {
    this.model = model;
    this.hover = this.hoverHead = null;
  }

  /** A state from outside; tells nobody, for whoever gives one shows everything anew. */
  replace(given) {
    Object.assign(this.state, legalState(given, this.model));
  }

  tell(names) {
    for (const listener of this.listeners) listener(names);
  }
}

/** The state as text, to be compared: the same choices give the same text. */
export const stateText = (given) => JSON.stringify(stateOf(given));
