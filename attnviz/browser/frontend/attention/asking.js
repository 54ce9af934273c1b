/* asking.js: the question to all heads and what is known of their answers, worked out a little at a time. No DOM. */
import { answerOf, ownRows, askedOf, rolledOn } from "./selectors-ask.js";
import { headList, headWeights, layerOf } from "./selectors.js";

/** @typedef {import("./selectors-ask.js").Answer} Answer */

export class Asking {
  /** @param {import("./store.js").Store} store @param {import("./shown.js").Shown} shown */
  constructor(store, shown) {
    this.store = store;
    this.shown = shown;
    this.spare = new Float32Array(0);
    this.restart();
  }

  /** The question anew: something was chosen, or the weights are others. */
  restart() {
    const { store, shown } = this;
    /** @type {import("./selectors-ask.js").Question | null} */
    this.question = store.compact ? null : askedOf(store, shown.items);
    /** @type {number[]} heads that have not answered, layer by layer */
    this.queue = this.question ? headList(store.model) : [];
    /** @type {Answer[]} by number of the head */
    this.answers = [];
    /** @type {Float64Array | null} what each position has of the token, by rollout; null where it is not asked */
    this.reach = null;
    if (this.question?.kind === "token" && store.model.keys === store.model.tokens) this.startRollout();
  }

  startRollout() {
    const { T } = this.store.model;
    const own = new Set(this.shown.items.keys.list[this.question.key].toks);
    this.reach = Float64Array.from({ length: T }, (_, i) => (own.has(i) ? 1 : 0));
    this.moved = new Float64Array(T);
    this.sums = new Float64Array(T);
  }

  /** Whether every head has answered, or nothing is asked. */
  get done() {
    return !this.queue.length;
  }

  /** Asks heads for at most `budget` ms, one at least. */
  work(budget) {
    const { store, shown, question } = this;
    const start = performance.now();
    do {
      const k = this.queue.shift();
      this.answers[k] = answerOf(store, shown.items, question, k, this.rowsOf(k));
    } while (this.queue.length && performance.now() - start < budget);
  }

  /** A head's rows: of a pair only those that it needs. */
  rowsOf(k) {
    const { store } = this;
    const { T, S } = store.model;
    if (this.question.kind === "pair") return ownRows(store, k);
    if (this.spare.length !== T * S) this.spare = new Float32Array(T * S);
    const a = headWeights(store, k, false, this.spare);
    if (this.reach) this.roll(a, layerOf(store.model, k));
    return (token) => a.subarray(token * S, (token + 1) * S);
  }

  /** Takes one more head into the rollout, and with the last of a layer the layer. */
  roll(a, layer) {
    const { model } = this.store;
    const { T } = model;
    const { reach, moved, sums } = this;
    for (let i = 0, p = 0; i < T; i++)
      for (let j = 0; j < T; j++, p++) {
        moved[i] += a[p] * reach[j];
        sums[i] += a[p];
      }
    const next = this.queue[0];
    if (next !== undefined && layerOf(model, next) === layer) return;
    this.reach = rolledOn(reach, moved, sums, model.layers[layer].heads);
    moved.fill(0);
    sums.fill(0);
  }

  /** A head's answer: undefined until it is known. @returns {number | undefined} */
  value(k) {
    return this.answers[k]?.value;
  }

  /** Heads with an answer, most first. @returns {number[]} */
  ranked() {
    const value = (k) => this.answers[k].value;
    const known = headList(this.store.model).filter((k) => this.answers[k] && !Number.isNaN(value(k)));
    return known.sort((x, y) => value(y) - value(x) || x - y);
  }

  /** Items that have most of the token, but for itself: [item, share], most first. */
  reached(most) {
    const { reach, question, shown } = this;
    if (!reach || !this.done) return [];
    const share = ({ toks }) => toks.reduce((sum, t) => sum + reach[t], 0) / toks.length;
    return shown.items.queries.list
      .map((item, i) => /** @type {[number, number]} */ ([i, share(item)]))
      .filter(([i, part]) => i !== question.key && part > 0)
      .sort((x, y) => y[1] - x[1])
      .slice(0, most);
  }
}
