/* choices.js: what the reader chooses and sets: the state, and what each change of it asks for. Methods of the view. */
import { DEFAULTS } from "../core/contract.js";
import { argmax } from "./maths.js";

const RECOMPUTE = new Set([
  "temperature",
  "scaled",
  "mask",
  "window",
  "painted",
  "join",
  "hide",
  "renormalise",
  "whole",
  "layer",
  "head",
  "heads",
]);
const SETTINGS = ["temperature", "scaled", "mask", "window", "painted", "whole"];
export const SETTLED = 200; // ms after its last change a slider counts as still

export const choiceMethods = {
  change(patch) {
    const names = Object.keys(patch),
      now = (this.touched = performance.now());
    this.moving = names.join() === this.slid && now - this.changedAt < SETTLED; // the same slider again, at once
    this.slid = names.join();
    this.changedAt = now;
    Object.assign(this.state, patch);
    if (names.some((n) => RECOMPUTE.has(n))) {
      if ("join" in patch || "hide" in patch) this.hover = null;
      if (this.live && names.some((n) => SETTINGS.includes(n))) this.rerun();
      if (this.pending && this.model.before && this.state.whole && !("painted" in patch)) this.mark("controls");
      else this.compute(names.every((n) => SETTINGS.includes(n)) ? "values" : "all");
    } else if ("sort" in patch || "tint" in patch) {
      if (!this.scored()) this.compute("grid");
      this.mark("grid", "text", "controls");
    } else if ("threshold" in patch || "colour" in patch || "diff" in patch) {
      this.headScene();
      if ("diff" in patch) this.compute();
      this.mark("all");
    } else this.mark("all");
    this.send();
  },

  /** Asks the server to run the model with the change; the old picture stays until the answer is here. */
  rerun() {
    if (!this.state.whole) return void this.wait(false);
    if (!this.changed() && !this.model.before) return;
    this.wait(true);
    this.onRun(this.state);
  },

  wait(on) {
    this.pending = on;
    clearTimeout(this.patience);
    if (on)
      this.patience = setTimeout(() => {
        this.wait(false);
        this.compute();
      }, 15000);
    this.node.main.classList.toggle("av-busy", on);
    this.node.main.setAttribute("aria-busy", String(on));
  },

  reset() {
    const { temperature, scaled, mask, window, threshold, join, hide, renormalise, diff } = DEFAULTS;
    this.change({ temperature, scaled, mask, window, painted: [], threshold, join, hide, renormalise, diff });
  },

  select(k) {
    this.hoverHead = null;
    this.state.layer = this.layerOf(k);
    this.state.head = this.headOf(k);
    this.headScene();
    this.mark("head");
    this.send();
    this.speakSoon();
  },

  preview(k) {
    if (this.hoverHead === k) return;
    this.hoverHead = k;
    this.headScene();
    this.mark("head");
  },

  toggleHead(k) {
    const pair = [this.layerOf(k), this.headOf(k)],
      same = ([l, h]) => l === pair[0] && h === pair[1],
      { heads } = this.state;
    if (heads.some(same)) this.change({ heads: heads.filter((p) => !same(p)) });
    else if (k !== this.head() && heads.length < 3) this.change({ heads: [...heads, pair] });
  },

  /** Chosen tokens as items: {side, queries, key}; from the state, which counts tokens. */
  locked() {
    const { queries, keys } = this.items,
      s = this.state,
      q = [...new Set(s.queries.map((t) => queries.of[t]).filter((i) => i >= 0))],
      k = s.key === null ? null : keys.of[s.key];
    if (s.side === "k" ? !(k >= 0) : !q.length) return null;
    return { side: s.side, queries: q, key: k >= 0 ? k : null };
  },

  setHover(hover) {
    if (hover === null && this.hover === null) return;
    if (
      hover &&
      this.hover &&
      hover.side === this.hover.side &&
      hover.key === this.hover.key &&
      hover.queries[0] === this.hover.queries[0]
    )
      return;
    this.hover = hover;
    this.mark("focus");
  },

  setLock(lock) {
    const { queries, keys } = this.items;
    this.state.side = lock ? lock.side : "q";
    this.state.queries = lock ? lock.queries.slice(0, 64).map((i) => queries.list[i].toks[0]) : [];
    this.state.key = lock && lock.key !== null ? keys.list[lock.key].toks[0] : null;
    this.hover = null;
    this.mark("focus");
    this.send();
    this.speakSoon();
  },

  toggleLock(target) {
    const now = this.locked(),
      one = now && now.queries.length === 1 && now.queries[0] === target.queries[0] && now.key === null;
    const same = now && now.side === target.side && (target.side === "k" ? now.key === target.key : one);
    this.setLock(same ? null : target);
  },

  toggleQuery(q) {
    const now = this.locked(),
      list = now && now.side === "q" ? now.queries : [];
    const next = list.includes(q) ? list.filter((i) => i !== q) : [...list, q];
    this.setLock(next.length ? { side: "q", queries: next, key: null } : null);
  },

  setBar(bar) {
    if (this.bar === bar) return;
    this.bar = bar;
    this.mark("why");
  },

  /** The rows, columns and cell that every picture marks. */
  focus() {
    const s = this.scene,
      chosen = this.hover || this.locked();
    if (!chosen || !s.nq || !s.nk) return { side: "q", q: -1, k: -1, queries: [], keys: [] };
    let q = chosen.queries[0] ?? -1,
      k = chosen.key ?? -1;
    if (chosen.side === "k" && q < 0) {
      q = 0;
      for (let i = 1; i < s.nq; i++) if (s.a[i * s.nk + k] > s.a[q * s.nk + k]) q = i;
    } else if (k < 0) {
      const sum = new Float32Array(s.nk);
      for (const i of chosen.queries) for (let j = 0; j < s.nk; j++) sum[j] += s.a[i * s.nk + j];
      k = argmax(sum, 0, s.nk);
      if (chosen.queries.length > 1)
        q = chosen.queries.reduce((best, i) => (s.a[i * s.nk + k] > s.a[best * s.nk + k] ? i : best));
    }
    return { side: chosen.side, q, k, queries: chosen.side === "q" ? chosen.queries : [q], keys: [k] };
  },
};
