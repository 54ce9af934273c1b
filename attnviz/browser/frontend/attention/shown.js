/* shown.js: what the view shows now. Each selector's result is worked out when it is first asked for, and kept until
   it is forgotten. No DOM. */
import { fold, items } from "./items.js";
import { meanEntropy, seenRange } from "./entropy.js";
import { allowedItems, curvesFocus, curvesOf, focusOf, sceneOf } from "./selectors-scene.js";
import { pairOf, whyOf } from "./selectors-why.js";
import { headShown, headWeights, isChanged, plainWeights } from "./selectors.js";

/**
 * @typedef {"scene" | "curves" | "focus"} Part what may be forgotten; each takes with it what rests on it
 */

/**
 * Rows of weights, and which keys they may see.
 *
 * @typedef {{a: Float32Array, before: Float32Array | null, nq: number, nk: number,
 *   allowed: import("./selectors-scene.js").Scene["allowed"]}} Spread
 */

export class Shown {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
    /** the weights of the head in view, tokens by tokens, in memory that the next head takes again */
    this.full = new Float32Array(0);
    this.plain = { key: "", a: new Float32Array(0), mean: NaN };
    /** @type {{key: string, items: import("./items.js").Items, all?: import("./items.js").Items} | null} */
    this.knownItems = null;
    this.forget("scene");
  }

  /** @param {Part} part */
  forget(part) {
    if (part === "scene") this.knownScene = null;
    if (part !== "focus") this.knownCurves = null;
    this.knownFocus = false;
  }

  /** The same objects as long as they hold the same: chips and labels are made once for them. */
  get items() {
    const { model, state } = this.store;
    const key = [model.id, state.join, state.hide].join();
    if (this.knownItems?.key !== key) this.knownItems = { key, items: items(model, state) };
    return this.knownItems.items;
  }

  get scene() {
    const { store } = this;
    this.knownScene ||= this.makeScene();
    if (!this.knownFocus) {
      this.knownScene.focus = focusOf(store, this.items, this.knownScene);
      this.knownFocus = true;
    }
    return this.knownScene;
  }

  makeScene() {
    const { store } = this;
    const { model } = store;
    const shown = headShown(store);
    if (this.full.length !== model.T * model.S) this.full = new Float32Array(model.T * model.S);
    headWeights(store, shown, true, this.full);
    return sceneOf(store, this.items, this.folded(this.full), isChanged(store) ? this.plainFolded(shown) : null);
  }

  /** The curves, without the colours of their heads. */
  get curves() {
    this.knownCurves ||= curvesOf(this.store, this.scene, (k) => this.folded(headWeights(this.store, k)));
    this.knownCurves.focus = curvesFocus(this.knownCurves, this.scene);
    return this.knownCurves;
  }

  /** Why the weight in focus is what it is, or null where nothing is. */
  why() {
    const { store, scene } = this;
    const pair = pairOf(this.items, scene.focus, this.full, store.model.S);
    return pair && whyOf(store, pair, this.full);
  }

  /** The rows whose entropy is told: those that show, with what hidden tokens take unless they are scaled up. */
  get spread() {
    const { scene, store, knownItems } = this;
    const { hide, renormalise, join } = store.state;
    if (!hide || renormalise) return scene;
    const { model } = store;
    const keys = (knownItems.all ||= items(model, { join, hide: false })).keys;
    const whole = (a) => fold(model, a, { queries: this.items.queries, keys });
    scene.spread ||= {
      a: whole(this.full),
      before: scene.before && whole(plainWeights(store, headShown(store))),
      nq: scene.nq,
      nk: keys.list.length,
      allowed: allowedItems(store, { queries: this.items.queries, keys }, headShown(store)),
    };
    return scene.spread;
  }

  /** Mean entropies of the head's rows, in bits: now, and as trained where that differs; how many keys rows may see. */
  means() {
    const { scene, plain } = this;
    const { a, before, nq, nk, allowed } = this.spread;
    scene.mean ??= meanEntropy(a, nq, nk);
    if (scene.seen === undefined) scene.seen = seenRange(allowed, nq, nk);
    if (before && Number.isNaN(plain.mean)) plain.mean = meanEntropy(before, nq, nk);
    return { mean: scene.mean, meanBefore: before ? plain.mean : null, seen: scene.seen };
  }

  /** Weights of tokens as weights of items. */
  folded(a) {
    return fold(this.store.model, a, this.items, { renormalise: this.store.state.renormalise });
  }

  /** The head as trained; remembered, because a slider asks for it in every frame. */
  plainFolded(k) {
    const { model, state } = this.store;
    const key = [model.id, k, state.join, state.hide, state.renormalise].join();
    if (this.plain.key !== key) this.plain = { key, a: this.folded(plainWeights(this.store, k)), mean: NaN };
    return this.plain.a;
  }
}
