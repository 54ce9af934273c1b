/* view.js: the attention view. Holds the state, computes what is shown, paints only what changed, once per frame. */
import {allowed, argmax, fold, items, maskOf, weights} from "./maths.js";
import {unpack} from "./unpack.js";
import {isDark, readTheme} from "./theme.js";
import {forgetWidths} from "./kit.js";
import {colourThumb, poolHead} from "./paint-grid.js";
import {meanEntropy} from "./say.js";
import {pageMethods} from "./page.js";
import {SETTLED, panelMethods} from "./panels.js";
import {chipMethods} from "./chips.js";
import {zoomMethods} from "./zoom.js";
import {voiceMethods} from "./voice.js";

const DEFAULTS = {
  layer: 0, head: 0, queries: [], key: null, side: "q", temperature: 1, scaled: true, mask: "model", window: 4, threshold: 0,
  join: false, hide: false, renormalise: false, colour: "sqrt", diff: false, whole: false, sort: "layer", heads: [],
  horizontal: null, sentences: null, zoom: null,
};
const FRAME_BUDGET = 7; // ms of each frame that may go into heads that are not in view,
const IDLE_BUDGET = 40; // while nobody touches anything,
const DRAG_BUDGET = 1; // and while a slider moves
const LONG = 256 * 256; // weights of a head that takes longer than a frame's budget
const RECOMPUTE = new Set(["temperature", "scaled", "mask", "window", "join", "hide", "renormalise", "whole", "layer", "head", "heads"]);
const SETTINGS = ["temperature", "scaled", "mask", "window", "whole"];

/**
 * Shows the message in root and keeps it in step. Returns {update({message, state}), destroy()}.
 * `onState(state)` is called 250 ms after the last choice (60 ms if a run is waited for), `onRun(state)` at once when the whole model shall run with
 * a change, `onExport(kind)` for exports that need the server; without onRun the view offers no rerun.
 */
export function mount(root, options) {
  const view = new AttentionView(root, options);
  return { update: (next) => view.update(next), destroy: () => view.destroy(), view };
}

class AttentionView {
  constructor(root, { message, state, question = "Where does each word look?", onState, onRun, onExport }) {
    Object.assign(this, { root, question, onState, onRun, onExport, live: !!onRun, state: structuredClone(DEFAULTS) });
    Object.assign(this, { lay: {}, hover: null, hoverHead: null, bar: null, chips: [], curves: { rows: [], columns: [] }, dirty: new Set(), later: new Set(), changedAt: -Infinity, moving: false, queue: [], stamp: 0, touched: 0 });
    this.set = (patch) => this.change(patch);
    this.mark = (...names) => { names.forEach((n) => this.dirty.add(n)); this.frame(); };
    root.classList.add("av");
    this.load(message);
    Object.assign(this.state, this.legal(state));
    this.lastGiven = state && JSON.stringify({ ...DEFAULTS, ...state });
    this.lastSent = JSON.stringify(this.state);
    this.theme = readTheme(root);
    this.build();
    this.watch();
    this.measure();
    this.compute();
    this.paint();
  }

  /* ---- data --------------------------------------------------------------------------- */

  load(message) {
    this.bytes = message;
    this.model = unpack(message);
    this.heads = this.model.headsN * this.model.layersN;
    this.pending = false;
  }

  /** The given state, with whatever does not fit this text or this model left at its default. */
  legal(given) {
    const s = { ...structuredClone(DEFAULTS), ...(given || {}) }, { model } = this;
    s.layer = Math.min(s.layer, model.layersN - 1);
    s.head = Math.min(s.head, model.layers[s.layer].heads - 1);
    s.queries = s.queries.filter((i) => i < model.T);
    if (!(s.key < model.S)) s.key = null;
    s.heads = s.heads.filter(([l, h]) => l < model.layersN && h < model.layers[l].heads).slice(0, 3);
    if (s.sentences && (s.sentences[0] >= model.sentences.length || s.sentences[1] >= model.keySentences.length)) s.sentences = null;
    if (s.zoom && (s.zoom[1] > model.T || s.zoom[3] > model.S || s.zoom[0] >= s.zoom[1] || s.zoom[2] >= s.zoom[3])) s.zoom = null;
    return s;
  }

  plainModel() { return this.model.before || this.model; }

  /** Whether the message is a run of the whole model with the change. */
  ran() { return this.state.whole && this.model.before !== null; }

  /** Whether anything differs from the model as trained. */
  changed() {
    const s = this.state, own = this.plainModel().mask;
    const same = s.mask === "model" || s.mask === "causal" && own.causal && own.window == null || s.mask === "none" && !own.causal && own.window == null && !own.dense;
    return this.ran() || s.temperature !== 1 || !s.scaled || !same;
  }

  settings() {
    const s = this.state;
    if (this.ran()) return {};
    return { temperature: s.temperature === 1 ? null : s.temperature, scaled: s.scaled ? null : false, mask: s.mask, window: s.window };
  }

  source() { return this.ran() ? this.model : this.plainModel(); }
  head() { return this.state.layer * this.model.headsN + this.state.head; }
  shown() { return this.hoverHead ?? this.head(); }
  layerOf(k) { return k / this.model.headsN | 0; }
  headOf(k) { return k % this.model.headsN; }
  headAt(k) { return k != null && k < this.heads && this.headOf(k) < this.model.layers[this.layerOf(k)].heads ? k : null; }

  tokenWeights(k, keep = true, out = null) { return weights(this.source(), this.layerOf(k), this.headOf(k), this.settings(), out, keep); }
  plainWeights(k, keep = true) { return weights(this.plainModel(), this.layerOf(k), this.headOf(k), {}, null, keep); }
  folded(a) { return fold(this.model, a, this.items, { renormalise: this.state.renormalise }); }

  /** Items, and everything about the head in view. */
  compute(parts = "all") {
    this.items = items(this.model, this.state);
    this.headScene();
    this.stamp++;
    this.thumbs ||= [];
    this.queue = [];
    for (let i = 0; i < this.heads; i++) { // goes on where it stopped, so that no head starves while a slider moves
      const k = ((this.next ?? this.shown()) + i) % this.heads;
      if (this.headAt(k) !== null) this.queue.push(k);
    }
    this.mark(parts, "controls");
  }

  headScene() {
    const { state, model } = this, k = this.shown(), queries = this.items.queries.list, keys = this.items.keys.list, nq = queries.length, nk = keys.length;
    if (this.full?.length !== model.T * model.S) this.full = new Float32Array(model.T * model.S);
    this.tokenWeights(k, true, this.full);
    const a = this.folded(this.full), changed = this.changed();
    const before = changed ? this.plainFolded(k) : null;
    let change = null;
    if (state.diff && before) {
      change = new Float32Array(nq * nk);
      for (let p = 0; p < change.length; p++) change[p] = a[p] - before[p];
    }
    this.scene = { a, before, change, nq, nk, queries, keys, threshold: state.threshold, colour: state.colour, allowed: this.allowedItems(k), focus: null };
    this.scene.focus = this.focus();
  }

  /** The head as trained; remembered, because a slider asks for it in every frame. */
  plainFolded(k) {
    const key = [this.model.id, k, this.state.join, this.state.hide, this.state.renormalise].join();
    if (this.plainKnown?.key !== key) {
      const a = this.folded(this.plainWeights(k));
      this.plainKnown = { key, a };
    }
    return this.plainKnown.a;
  }

  /** Which query item may see which key item, or null where every one may. */
  allowedItems(k) {
    const m = this.source(), layer = this.layerOf(k), head = this.headOf(k), s = this.settings(), { queries, keys } = this.items;
    const rule = maskOf(m, layer, s), { causal, window: reach } = rule;
    const special = rule.dense || rule.keys || rule.blocked?.length || rule.extra || rule.length < m.S;
    if (!causal && reach == null && !special) return null;
    const pair = special ? (i, j) => allowed(m, layer, head, i, j, s) : (i, j) => (!causal || j <= i) && (reach == null || Math.abs(i - j) <= reach);
    const some = (i, j) => queries.list[i].toks.some((t) => keys.list[j].toks.some((u) => pair(t, u)));
    const n = keys.list.length;
    if (!special || queries.list.length * n > 65536) return some;
    const known = Int8Array.from({ length: queries.list.length * n }, (_, p) => some(p / n | 0, p % n) ? 1 : 0);
    return (i, j) => known[i * n + j] === 1;
  }

  /** The other heads, a few milliseconds per frame, so that nothing waits for them. */
  pump() {
    if (!this.queue.length) return;
    const start = performance.now(), idle = start - this.touched;
    if (idle < 120 && this.scene.a.length > LONG) return; // long text: the hand goes first
    const budget = idle > 300 ? IDLE_BUDGET : idle > 60 ? FRAME_BUDGET : DRAG_BUDGET, { nq, nk } = this.scene, lay = this.lay.grid, ratio = this.ratio;
    do {
      const k = this.queue.shift(), seen = k === this.shown(), a = seen ? this.scene.a : this.folded(this.tokenWeights(k, false));
      let values = a;
      if (this.state.diff && this.changed()) {
        const b = this.folded(this.plainWeights(k, false));
        values = a.map((v, i) => v - b[i]);
      }
      this.next = k + 1;
      const thumb = this.thumbs[k] ||= { canvas: document.createElement("canvas") };
      thumb.pooled = poolHead(values, nq, nk, Math.round(lay.ch * ratio), Math.round(lay.cw * ratio));
      thumb.stamp = this.stamp;
      if (this.state.sort !== "layer") thumb.score = meanEntropy(a, nq, nk);
      this.colour(thumb);
      this.fresh.push(k);
    } while (this.queue.length && performance.now() - start < budget);
    this.dirty.add("thumbs");
    if (!this.queue.length && this.state.sort !== "layer") this.dirty.add("grid");
  }

  colour(thumb) {
    colourThumb(thumb.canvas, thumb.pooled, { theme: this.theme, threshold: this.state.threshold, colour: this.state.colour, signed: this.state.diff && this.changed() });
  }

  /* ---- choices ------------------------------------------------------------------------ */

  change(patch) {
    const names = Object.keys(patch), now = this.touched = performance.now();
    this.moving = names.join() === this.slid && now - this.changedAt < SETTLED; // the same slider again, at once
    this.slid = names.join();
    this.changedAt = now;
    Object.assign(this.state, patch);
    if (names.some((n) => RECOMPUTE.has(n))) {
      if ("join" in patch || "hide" in patch) this.hover = null;
      if (this.live && names.some((n) => SETTINGS.includes(n))) this.rerun();
      if (this.pending && this.model.before && this.state.whole) this.mark("controls");
      else this.compute(names.every((n) => SETTINGS.includes(n)) ? "values" : "all");
    } else if ("threshold" in patch || "colour" in patch || "diff" in patch || "sort" in patch) {
      this.headScene();
      if ("diff" in patch || "sort" in patch) this.compute();
      else this.thumbs.forEach((t) => t.pooled && this.colour(t));
      this.mark("all");
    } else this.mark("all");
    this.send();
  }

  /** Asks the server to run the model with the change; the old picture stays until the answer is here. */
  rerun() {
    if (!this.state.whole) return void this.wait(false);
    if (!this.changed() && !this.model.before) return;
    this.wait(true);
    this.onRun(this.state);
  }

  wait(on) {
    this.pending = on;
    clearTimeout(this.patience);
    if (on) this.patience = setTimeout(() => { this.wait(false); this.compute(); }, 15000);
    this.node.main.classList.toggle("av-busy", on);
    this.node.main.setAttribute("aria-busy", String(on));
  }

  reset() {
    const { temperature, scaled, mask, window, threshold, join, hide, renormalise, diff } = DEFAULTS;
    this.change({ temperature, scaled, mask, window, threshold, join, hide, renormalise, diff });
  }

  select(k) {
    this.hoverHead = null;
    this.state.layer = this.layerOf(k);
    this.state.head = this.headOf(k);
    this.headScene();
    this.mark("head");
    this.send();
    this.speakSoon();
  }

  preview(k) {
    if (this.hoverHead === k) return;
    this.hoverHead = k;
    this.headScene();
    this.mark("head");
  }

  toggleHead(k) {
    const pair = [this.layerOf(k), this.headOf(k)], same = ([l, h]) => l === pair[0] && h === pair[1], { heads } = this.state;
    if (heads.some(same)) this.change({ heads: heads.filter((p) => !same(p)) });
    else if (k !== this.head() && heads.length < 3) this.change({ heads: [...heads, pair] });
  }

  /** Chosen tokens as items: {side, queries, key}; from the state, which counts tokens. */
  locked() {
    const { queries, keys } = this.items, s = this.state, q = [...new Set(s.queries.map((t) => queries.of[t]).filter((i) => i >= 0))], k = s.key === null ? null : keys.of[s.key];
    if (s.side === "k" ? !(k >= 0) : !q.length) return null;
    return { side: s.side, queries: q, key: k >= 0 ? k : null };
  }

  setHover(hover) {
    if (hover === null && this.hover === null) return;
    if (hover && this.hover && hover.side === this.hover.side && hover.key === this.hover.key && hover.queries[0] === this.hover.queries[0]) return;
    this.hover = hover;
    this.mark("focus");
  }

  setLock(lock) {
    const { queries, keys } = this.items;
    this.state.side = lock ? lock.side : "q";
    this.state.queries = lock ? lock.queries.slice(0, 64).map((i) => queries.list[i].toks[0]) : [];
    this.state.key = lock && lock.key !== null ? keys.list[lock.key].toks[0] : null;
    this.hover = null;
    this.mark("focus");
    this.send();
    this.speakSoon();
  }

  toggleLock(target) {
    const now = this.locked(), one = now && now.queries.length === 1 && now.queries[0] === target.queries[0] && now.key === null;
    const same = now && now.side === target.side && (target.side === "k" ? now.key === target.key : one);
    this.setLock(same ? null : target);
  }

  toggleQuery(q) {
    const now = this.locked(), list = now && now.side === "q" ? now.queries : [];
    const next = list.includes(q) ? list.filter((i) => i !== q) : [...list, q];
    this.setLock(next.length ? { side: "q", queries: next, key: null } : null);
  }

  setBar(bar) {
    if (this.bar === bar) return;
    this.bar = bar;
    this.mark("why");
  }

  /** The rows, columns and cell that every picture marks. */
  focus() {
    const s = this.scene, chosen = this.hover || this.locked();
    if (!chosen || !s.nq || !s.nk) return { side: "q", q: -1, k: -1, queries: [], keys: [] };
    let q = chosen.queries[0] ?? -1, k = chosen.key ?? -1;
    if (chosen.side === "k" && q < 0) {
      q = 0;
      for (let i = 1; i < s.nq; i++) if (s.a[i * s.nk + k] > s.a[q * s.nk + k]) q = i;
    } else if (k < 0) {
      const sum = new Float32Array(s.nk);
      for (const i of chosen.queries) for (let j = 0; j < s.nk; j++) sum[j] += s.a[i * s.nk + j];
      k = argmax(sum, 0, s.nk);
      if (chosen.queries.length > 1) q = chosen.queries.reduce((best, i) => s.a[i * s.nk + k] > s.a[best * s.nk + k] ? i : best);
    }
    return { side: chosen.side, q, k, queries: chosen.side === "q" ? chosen.queries : [q], keys: [k] };
  }

  /* ---- to and from the page around ---------------------------------------------------- */

  send() {
    clearTimeout(this.sending);
    this.sending = setTimeout(() => this.flush(), this.pending ? 60 : 250); // a drag is still one change
  }

  flush() {
    clearTimeout(this.sending);
    const text = JSON.stringify(this.state);
    if (text === this.lastSent || !this.onState) return;
    this.lastSent = text;
    this.onState(JSON.parse(text));
  }

  /** A new message or a state that the page chose. What the view itself sent does not come back in. */
  update({ message, state }) {
    const given = state && JSON.stringify({ ...DEFAULTS, ...state }), dark = isDark(this.root);
    const chosen = given && given !== this.lastSent && given !== this.lastGiven, sent = message && !sameBytes(message, this.bytes);
    this.lastGiven = given || this.lastGiven;
    if (!chosen && !sent) return void (dark !== this.theme.dark && this.onTheme());
    if (chosen) {
      Object.assign(this.state, this.legal(state));
      this.zoomItems = null;
      this.lastSent = JSON.stringify(this.state);
    }
    if (sent) {
      const before = this.model;
      this.load(message);
      this.wait(false);
      if (before.T !== this.model.T || before.S !== this.model.S || before.layersN !== this.model.layersN) {
        Object.assign(this.state, this.legal({ ...this.state, zoom: null }));
        this.thumbs = [];
      }
      this.hover = this.hoverHead = null;
      this.rebuild();
    }
    this.theme = readTheme(this.root);
    this.measure();
    this.compute();
  }

  watch() {
    this.observer = new ResizeObserver(() => this.resize());
    for (const e of [this.root, this.node.gridStage, this.node.matrix, this.node.lines]) this.observer.observe(e);
    this.onTheme = () => { this.theme = readTheme(this.root); this.thumbs.forEach((t) => t.pooled && this.colour(t)); this.mark("all"); };
    this.onFonts = () => { forgetWidths(); this.boxes = null; this.resize(); };
    this.onResize = () => this.resize();
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.onTheme);
    document.fonts?.addEventListener("loadingdone", this.onFonts);
    addEventListener("resize", this.onResize);
  }

  /** Measures again, and paints again if anything has another size. */
  resize() {
    this.measure();
    const boxes = JSON.stringify([this.box, this.ratio]);
    if (boxes === this.boxes) return;
    this.boxes = boxes;
    this.mark("all");
    this.frame();
  }

  destroy() {
    this.flush();
    this.observer.disconnect();
    cancelAnimationFrame(this.raf);
    clearTimeout(this.patience);
    clearTimeout(this.speaking);
    this.scheme.removeEventListener("change", this.onTheme);
    document.fonts?.removeEventListener("loadingdone", this.onFonts);
    removeEventListener("resize", this.onResize);
    this.root.textContent = "";
  }
}

Object.assign(AttentionView.prototype, pageMethods, panelMethods, chipMethods, zoomMethods, voiceMethods);

function sameBytes(a, b) {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
