/* heads.js: what is known about every head: a small picture and its scores, worked out a little at a time. No DOM. */
import { poolHead } from "./paint-grid.js";
import { rankHeads, scoreHead, scoreRange, scoreTable, scoreText } from "./scores.js";
import {
  headAt,
  headList,
  headName,
  headOf,
  headShown,
  headWeights,
  isChanged,
  layerOf,
  plainWeights,
} from "./selectors.js";

/** @typedef {import("./scores.js").Score} Score */

/** What is asked of all heads, as a score; its values are those of Asking. @type {Score} */
const ASKED = {
  name: "asked",
  label: "what is asked",
  gloss: "weight of what is asked",
  kind: "share",
  top: 1,
};

/**
 * @typedef {object} Thumb
 * @property {{values: Float32Array, rows: number, columns: number}} pooled
 * @property {Record<string, number>} scores
 */

export class Heads {
  /**
   * @param {import("./store.js").Store} store
   * @param {import("./shown.js").Shown} shown
   * @param {import("./asking.js").Asking} asking
   */
  constructor(store, shown, asking) {
    this.store = store;
    this.shown = shown;
    this.asking = asking;
    /** @type {Thumb[]} by number of the head */
    this.thumbs = [];
    /** @type {number[]} heads that wait */
    this.queue = [];
    /** @type {number[]} heads that are ready and not painted yet */
    this.fresh = [];
    /** @type {number | null} where the next round begins */
    this.next = null;
    this.spare = new Float32Array(0);
    this.load();
  }

  /** After a new message. */
  load() {
    this.scores = scoreTable(this.store.model);
    /** @type {number[] | null} */
    this.lastOrder = null;
  }

  /** Every head anew; goes on where it stopped, so that no head starves while a slider moves. */
  restart() {
    const { store } = this;
    if (store.compact) return; // it has no grid
    const n = store.model.headsN * store.model.layersN;
    const from = this.next ?? headShown(store);
    this.queue = Array.from({ length: n }, (_, i) => (from + i) % n).filter((k) => headAt(store.model, k) !== null);
  }

  /** Works for at most `budget` ms, on one head at least; pictures have at most rows × columns cells. */
  work(budget, rows, columns) {
    const { store, shown, queue } = this;
    const { scene } = shown;
    const start = performance.now();
    const wanted = this.wanted();
    if (this.spare.length !== shown.full.length) this.spare = new Float32Array(shown.full.length);
    do {
      const k = queue.shift();
      const seen = k === headShown(store);
      const full = seen ? shown.full : headWeights(store, k, false, this.spare);
      const a = seen ? scene.a : shown.folded(full);
      this.next = k + 1;
      const thumb = (this.thumbs[k] ||= { pooled: null, scores: {} });
      thumb.pooled = poolHead(this.drawn(k, a), scene.nq, scene.nk, rows, columns);
      thumb.scores = {};
      for (const score of wanted)
        if (score.kind !== "given" && score !== ASKED) thumb.scores[score.name] = scoreHead(store.model, score, full);
      this.fresh.push(k);
    } while (queue.length && performance.now() - start < budget);
  }

  /** What a head's small picture is of: its weights `a`, or their change. */
  drawn(k, a) {
    const { store, shown } = this;
    if (!store.state.diff || !isChanged(store)) return a;
    const before = shown.folded(plainWeights(store, k, false));
    return a.map((v, i) => v - before[i]);
  }

  /* ---- scores: the order of the heads, and their colour -------------------------------- */

  /** The scores that there are now: what is asked only where something is. */
  get offered() {
    return this.asking.question ? [...this.scores, ASKED] : this.scores;
  }

  /** A score by name; undefined for "layer", "weights" and what this model lacks. @returns {Score | undefined} */
  score(name) {
    return this.offered.find((score) => score.name === name);
  }

  wanted() {
    const { sort, tint } = this.store.state;
    return [...new Set([sort, tint])].map((name) => this.score(name)).filter(Boolean);
  }

  /** @param {Score} score */
  scoreAt(score, k) {
    const { model } = this.store;
    if (score === ASKED) return this.asking.value(k);
    if (score.kind === "given") return score.values[layerOf(model, k)]?.[headOf(model, k)] ?? null;
    return this.thumbs[k]?.scores[score.name];
  }

  /** Whether every head's chosen scores are known. */
  scored() {
    const list = headList(this.store.model);
    const known = (score) => list.every((k) => this.scoreAt(score, k) !== undefined);
    return !this.queue.length && this.wanted().every(known);
  }

  /** Heads in the order of the chosen score, or null for the order of the layers. */
  order() {
    const score = this.score(this.store.state.sort);
    if (!score) return null;
    const list = headList(this.store.model);
    if (!this.scored()) return this.lastOrder || list;
    return (this.lastOrder = rankHeads(list, score, (k) => this.scoreAt(score, k)));
  }

  /** The first heads by what orders them, else by what colours them, as [number, "layer.head", score in words]. */
  best(most) {
    const { state, model } = this.store;
    const score = this.score(state.sort) ?? this.score(state.tint);
    const list = headList(model);
    const of = (k) => this.scoreAt(score, k);
    if (!score || list.some((k) => of(k) === undefined)) return []; // not all are known yet
    const name = (k) => `${layerOf(model, k)}.${headOf(model, k)}`;
    const first = rankHeads(list, score, of).slice(0, most);
    return first.map((k) => [k, name(k), scoreText(score, of(k))]);
  }

  /** The name of a head with its scores, as in "Layer 2, head 5: previous token 68 %". */
  label(k) {
    const scores = this.wanted()
      .filter((score) => this.scoreAt(score, k) !== undefined)
      .map((score) => `${score.label} ${scoreText(score, this.scoreAt(score, k))}`);
    return `${headName(this.store.model, k)}${scores.length ? `: ${scores.join(", ")}` : ""}`;
  }

  /** Whether order or colour need words and numbers of their own: what is asked has them in its own line. */
  needsWords() {
    return this.wanted().some((score) => score !== ASKED);
  }

  /** What order and colour mean, in a sentence; empty where both are plain or asked. */
  gloss() {
    const told = (name) => (name === ASKED.name ? undefined : this.score(name));
    const order = told(this.store.state.sort);
    const tint = told(this.store.state.tint);
    const first = order && (order.kind === "bits" ? "sharpest first" : "largest first");
    if (order && order === tint) return `Order and colour: ${order.gloss}; ${first}, ${scoreRange(tint)}.`;
    return [order && `Order: ${order.gloss}, ${first}.`, tint && `Colour: ${tint.gloss}, ${scoreRange(tint)}.`]
      .filter(Boolean)
      .join(" ");
  }
}
