/* view.js: the attention view. Holds the state, computes what is shown, paints only what changed, once per frame. */
import {allowed, argmax, entropy, explain, fold, items, num, pct, products, weights} from "./maths.js";
import {unpack} from "./unpack.js";
import {isDark, lutIndex, onColour, readTheme} from "./theme.js";
import {el, fitCanvas, forgetWidths, plainLabel, tokenNode} from "./kit.js";
import {colourThumb, layoutGrid, paintGridOver, paintThumb, poolHead} from "./paint-grid.js";
import {layoutMatrix, paintLegend, paintMatrix, paintMatrixOver} from "./paint-matrix.js";
import {layoutLines, paintLinesBase, paintLinesOver, strongCurves} from "./paint-lines.js";
import {paintShare, paintWhy} from "./paint-why.js";
import {entropyNodes, headSummary, headText, meanEntropy, sentence, spoken} from "./say.js";
import {changeSwitch, moreSettings, temperatureText, tokenSwitches, whatIf} from "./controls.js";
import {saveMenu} from "./save.js";
import {listenChips, listenGrid, listenLines, listenMatrix, listenWhy} from "./pointer.js";

const DEFAULTS = {
  layer: 0, head: 0, queries: [], key: null, side: "q", temperature: 1, scaled: true, mask: "model", window: 4, threshold: 0,
  join: false, hide: false, renormalise: false, colour: "sqrt", diff: false, whole: false, sort: "layer", heads: [],
  horizontal: null, sentences: null, zoom: null,
};
const FRAME_BUDGET = 7; // ms of each frame that may go into heads that are not in view,
const IDLE_BUDGET = 24; // and while nobody touches anything
const RECOMPUTE = new Set(["temperature", "scaled", "mask", "window", "join", "hide", "renormalise", "whole", "layer", "head", "heads"]);
const RERUN = ["temperature", "scaled", "mask", "window", "whole"];
const CURVES = 500; // at most so many curves of a head are drawn

/**
 * Shows the message in root and keeps it in step. Returns {update({message, state}), destroy()}.
 * `onState(state)` is called 250 ms after the last choice, `onRun(state)` at once when the whole model shall run with
 * a change, `onExport(kind)` for exports that need the server; without onRun the view offers no rerun.
 */
export function mount(root, options) {
  const view = new AttentionView(root, options);
  return { update: (next) => view.update(next), destroy: () => view.destroy(), view };
}

class AttentionView {
  constructor(root, { message, state, question = "Where does each word look?", onState, onRun, onExport, extras }) {
    Object.assign(this, { root, question, onState, onRun, onExport, extras, live: !!onRun, state: structuredClone(DEFAULTS) });
    Object.assign(this, { lay: {}, hover: null, hoverHead: null, bar: null, chips: [], curves: { rows: [], columns: [] }, dirty: new Set(), queue: [], stamp: 0, touched: 0 });
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

  /* ---- data ---------------------------------------------------------------------------- */

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

  tokenWeights(k, keep = true) { return weights(this.source(), this.layerOf(k), this.headOf(k), this.settings(), null, keep); }
  plainWeights(k, keep = true) { return weights(this.plainModel(), this.layerOf(k), this.headOf(k), {}, null, keep); }
  folded(a) { return fold(this.model, a, this.items, { renormalise: this.state.renormalise }); }

  /** Items, and everything about the head in view. */
  compute() {
    this.items = items(this.model, this.state);
    this.headScene();
    this.stamp++;
    this.thumbs ||= [];
    this.queue = [];
    for (let i = 0; i < this.heads; i++) { // goes on where it stopped, so that no head starves while a slider moves
      const k = ((this.next ?? this.shown()) + i) % this.heads;
      if (this.headAt(k) !== null) this.queue.push(k);
    }
    this.mark("all");
  }

  headScene() {
    const { state, model } = this, k = this.shown(), queries = this.items.queries.list, keys = this.items.keys.list, nq = queries.length, nk = keys.length;
    this.full = this.tokenWeights(k);
    const a = this.folded(this.full), changed = this.changed();
    const before = changed ? this.plainFolded(k) : null;
    let change = null;
    if (state.diff && before) {
      change = new Float32Array(nq * nk);
      for (let p = 0; p < change.length; p++) change[p] = a[p] - before[p];
    }
    this.scene = { a, before, change, nq, nk, queries, keys, threshold: state.threshold, colour: state.colour, allowed: this.allowedItems(k), focus: null };
    this.mean = meanEntropy(a, nq, nk);
    this.meanBefore = before ? this.plainKnown.mean : null;
    this.scene.focus = this.focus();
  }

  /** The head as trained; remembered, because a slider asks for it in every frame. */
  plainFolded(k) {
    const key = [this.model.id, k, this.state.join, this.state.hide, this.state.renormalise].join();
    if (this.plainKnown?.key !== key) {
      const a = this.folded(this.plainWeights(k));
      this.plainKnown = { key, a, mean: meanEntropy(a, this.items.queries.list.length, this.items.keys.list.length) };
    }
    return this.plainKnown.a;
  }

  /** Which query item may see which key item, or null where every one may. */
  allowedItems(k) {
    const m = this.source(), layer = this.layerOf(k), head = this.headOf(k), s = this.settings(), own = m.layers[layer].mask, { queries, keys } = this.items;
    const replaced = s.mask && s.mask !== "model", causal = replaced && s.mask !== "window" ? s.mask === "causal" : own.causal, reach = replaced ? (s.mask === "window" ? s.window : null) : own.window;
    const special = own.dense || own.blocked?.length || own.length != null && own.length < m.S;
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
    const start = performance.now(), budget = start - this.touched > 300 ? IDLE_BUDGET : FRAME_BUDGET, { nq, nk } = this.scene, lay = this.lay.grid, ratio = this.ratio;
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

  /* ---- choices --------------------------------------------------------------------------- */

  change(patch) {
    this.touched = performance.now();
    Object.assign(this.state, patch);
    const names = Object.keys(patch);
    if (names.some((n) => RECOMPUTE.has(n))) {
      if ("join" in patch || "hide" in patch) this.hover = null;
      if (this.live && names.some((n) => RERUN.includes(n))) this.rerun();
      if (this.pending && this.model.before && this.state.whole) this.mark("controls");
      else this.compute();
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
    const now = this.locked(), same = now && now.side === target.side && (target.side === "k" ? now.key === target.key : now.queries.length === 1 && now.queries[0] === target.queries[0] && now.key === null);
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

  /* ---- to and from the page around -------------------------------------------------------- */

  send() {
    clearTimeout(this.sending);
    this.sending = setTimeout(() => this.flush(), 250);
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
    this.observer = new ResizeObserver(() => { this.measure(); this.mark("all"); this.repool(); });
    this.observer.observe(this.root);
    this.onTheme = () => { this.theme = readTheme(this.root); this.thumbs.forEach((t) => t.pooled && this.colour(t)); this.mark("all"); };
    this.onFonts = () => { forgetWidths(); this.mark("all"); };
    this.onResize = () => { this.measure(); this.mark("all"); };
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.onTheme);
    document.fonts?.addEventListener("loadingdone", this.onFonts);
    addEventListener("resize", this.onResize);
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

  /* ---- the page --------------------------------------------------------------------------- */

  build() {
    const canvas = (name, label, role = "application") => el("canvas", { class: name, tabindex: label ? "0" : null, role: label ? role : null, "aria-label": label, "aria-hidden": label ? null : "true" });
    const n = this.node = {
      say: el("p", { class: "av-say" }), live: el("p", { class: "av-sr", "aria-live": "polite", role: "status" }), note: el("p", { class: "av-note", role: "alert", hidden: true }),
      tools: el("div", { class: "av-tools" }), chips: el("div", { class: "av-chips", role: "group", "aria-label": "Tokens of the text. Choose one to follow it in every view." }),
      grid: canvas("base"), gridOver: canvas("over", "All heads, by layer and head. Arrow keys choose a head."), gridInfo: el("small"),
      matrixTitle: el("span"), matrixInfo: el("small"), matrixBase: canvas("base"), matrixOver: canvas("over", "Attention matrix. Arrow keys move the cell, Enter locks it, Escape lets go, plus and minus zoom."),
      legend: canvas("legend"), entropy: el("p", { class: "av-entropy" }), summary: el("p", { class: "av-sr", id: `av-summary-${++viewCount}` }),
      linesBase: canvas("base"), linesOver: canvas("over", "Curves from each query to the keys it looks at. Arrow keys choose a token, Enter locks it."), linesInfo: el("small"), linesHeads: el("div", { class: "av-legend", hidden: true }),
      whyCanvas: canvas("base", "The products of query and key, one bar per dimension. Left and right read them."), whyPair: el("small"), sum: el("div", { class: "av-sum" }), share: canvas("share"),
      tip: el("div", { class: "av-tip", hidden: true, "aria-hidden": "true" }),
    };
    const stage = (...c) => el("div", { class: "av-stage" }, c);
    n.gridStage = stage(n.grid, n.gridOver);
    n.matrix = stage(n.matrixBase, n.matrixOver);
    n.lines = stage(n.linesBase, n.linesOver);
    n.why = stage(n.whyCanvas);
    n.shareBox = el("div", { class: "av-share" }, n.share);
    this.panel = whatIf(this);
    this.switches = tokenSwitches(this);
    this.changing = changeSwitch(this);
    this.more = moreSettings(this);
    n.tools.append(...this.switches.nodes, saveMenu(this));
    n.foot = el("div", { class: "av-foot" }, n.legend, n.entropy);
    n.matrixOver.setAttribute("aria-describedby", n.summary.id);
    n.main = el("div", { class: "av-main" },
      el("section", { class: "av-heads", "aria-label": "All heads" }, el("h2", {}, "All heads ", n.gridInfo), n.gridStage),
      el("section", { class: "av-matrix", "aria-label": "Attention matrix" }, el("h2", {}, n.matrixTitle, " ", n.matrixInfo, this.changing.node), n.matrix, n.foot, n.summary),
      el("section", { class: "av-lines", "aria-label": "Who looks at whom" }, el("h2", {}, "Who looks at whom ", n.linesInfo), n.linesHeads, n.lines),
      el("section", { class: "av-why", "aria-label": "Why this weight" }, el("h2", {}, "Why this weight ", n.whyPair), n.why, n.sum, n.shareBox),
      this.panel.node);
    const head = el("div", { class: "av-head" }, this.question ? el("h1", {}, this.question) : null, n.tools, n.say, n.live);
    this.root.textContent = "";
    this.root.append(head, n.note, n.chips, n.main, this.more.node, n.tip);
    listenGrid(this, n.gridOver, (k) => `Layer ${this.layerOf(k)}, head ${this.headOf(k)}`);
    listenMatrix(this, n.matrixOver);
    listenLines(this, n.linesOver);
    listenWhy(this, n.whyCanvas);
    listenChips(this, n.chips);
    this.root.addEventListener("keydown", (e) => { if (e.key === "Escape") this.escape(e); });
    for (const kind of ["pointermove", "pointerdown", "keydown"]) this.root.addEventListener(kind, () => { this.touched = performance.now(); }, { passive: true });
    this.fresh = [];
    this.sentencesKey = this.sentenceCount();
    this.warn();
  }

  sentenceCount() { return `${this.model.sentences.length}/${this.model.keySentences.length}`; }

  /** After a new message: what depends on the text or the model. */
  rebuild() {
    if (this.sentencesKey !== this.sentenceCount()) {
      const open = this.more.node.open, next = moreSettings(this);
      next.node.open = open;
      this.more.node.replaceWith(next.node);
      this.more = next;
      this.sentencesKey = this.sentenceCount();
    }
    this.chipsKey = null;
    this.warn();
  }

  warn() {
    const bad = this.model.layers.flatMap((layer, l) => layer.broken.map((h) => `${l}.${h}`));
    this.node.note.hidden = !bad.length;
    this.node.note.textContent = bad.length ? `The queries or keys of ${bad.length === 1 ? "head" : `${bad.length} heads,`} ${bad.slice(0, 4).join(", ")}${bad.length > 4 ? ", …" : ""} hold values that are not finite (NaN or infinite). Rows that need them are empty here; everything else is as computed.` : "";
  }

  escape(e) {
    if (this.hover || this.hoverHead != null || this.state.queries.length || this.state.key !== null) e.stopPropagation();
    this.hideTip();
    if (this.hoverHead != null) this.preview(null);
    this.setLock(null);
  }

  /* ---- sizes ------------------------------------------------------------------------------ */

  /** Distance of the main part from the top of what scrolls around it, so that its height does not depend on the scroll. */
  offset() {
    const top = this.node.main.getBoundingClientRect().top;
    for (let e = this.root; e; e = e.parentElement || e.getRootNode().host) {
      if (e !== this.root && e.scrollHeight > e.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(e).overflowY)) return top - e.getBoundingClientRect().top + e.scrollTop;
    }
    return top + scrollY;
  }

  measure() {
    const { root, node: n } = this, outer = root.getBoundingClientRect().width || 1200, Z = this.scale = outer < 1500 || innerHeight < 900 ? 1 : Math.round(Math.max(1, Math.min(3, outer / 1400, innerHeight / 900)) * 100) / 100;
    if (root.style.zoom !== String(Z)) root.style.zoom = String(Z);
    const W = Math.round(outer / Z), name = W >= 1080 ? "av-wide" : W >= 700 ? "av-mid" : "av-phone";
    this.ratio = Math.min(4, (window.devicePixelRatio || 1) * Z);
    if (!root.classList.contains(name)) {
      root.classList.remove("av-wide", "av-mid", "av-phone");
      root.classList.add(name);
    }
    this.kind = name.slice(3);
    this.buildChips();
    const gap = Math.round(Math.max(26, Math.min(44, W * 0.028))), heads = W >= 1200 ? 236 : 224;
    const height = Math.round(Math.max(560, Math.min(820, (innerHeight - this.offset()) / Z - 60)));
    const lines = Math.max(280, Math.min(420, W * 0.27)), matrix = Math.min(W - heads - 2 * gap - lines, height + 10);
    const set = (k, v) => { if (root.style.getPropertyValue(k) !== v) root.style.setProperty(k, v); };
    set("--gap", gap + "px");
    set("--heads", heads + "px");
    set("--matrix", matrix + "px");
    set("--height", height + "px");
    set("--panel", this.panel.node.offsetHeight + "px");
    if (this.kind !== "phone") n.gridStage.style.height = n.matrix.style.height = "";
    this.stacked = this.kind === "phone" || n.foot.clientWidth < 600;
    n.foot.classList.toggle("stack", this.stacked);
    n.legend.style.height = "38px";
    const box = (e) => ({ w: e.clientWidth, h: e.clientHeight });
    this.box = { grid: box(n.gridStage), matrix: box(n.matrix), lines: box(n.lines), why: box(n.why), share: box(n.shareBox), foot: box(n.foot) };
    if (this.kind === "phone") { // the pictures set their own height when they are painted
      this.box.matrix.h = Math.round(this.box.matrix.w * 1.2);
      this.box.grid.h = Math.round(Math.min(420, 26 + this.model.layersN * ((this.box.grid.w - 25) / this.model.headsN) * 0.85));
    }
  }

  /** Thumbnails again, if their size in pixels has changed. */
  repool() {
    if (!this.lay.grid || this.poolSize === `${this.lay.grid.cw}x${this.lay.grid.ch}x${this.ratio}`) return;
    this.poolSize = `${this.lay.grid.cw}x${this.lay.grid.ch}x${this.ratio}`;
    if (this.items) this.compute();
  }

  /* ---- painting --------------------------------------------------------------------------- */

  frame() {
    if (this.raf || this.dead) return;
    this.raf = requestAnimationFrame(() => {
      this.raf = 0;
      this.pump();
      this.paint();
      if (this.queue.length) this.frame();
    });
  }

  paint() {
    const d = this.dirty, all = d.has("all"), head = all || d.has("head"), focus = head || d.has("focus");
    this.dirty = new Set();
    if (focus) this.scene.focus = this.focus();
    if (all || d.has("grid")) this.paintGrid();
    else if (d.has("thumbs")) this.paintThumbs();
    if (all || d.has("grid") || head) this.paintRings();
    if (head || d.has("matrix")) this.paintMatrix();
    if (focus || d.has("matrix")) this.paintOver();
    if (head || d.has("lines")) this.linesScene();
    if (focus || d.has("lines")) this.paintLines();
    if (focus || d.has("why")) this.paintWhy();
    if (focus) this.paintText();
    if (focus) this.tintChips();
    if (head || d.has("words")) this.words();
    if (all || d.has("controls")) [this.panel, this.switches, this.changing, this.more].forEach((c) => c.sync());
  }

  /** Heads from the sharpest to the most even one, or null for the order of the layers. */
  order() {
    if (this.state.sort === "layer") return null;
    const known = [];
    for (let k = 0; k < this.heads; k++) if (this.headAt(k) !== null) known.push(k);
    if (this.queue.length || known.some((k) => this.thumbs[k]?.score == null)) return this.lastOrder || known;
    return this.lastOrder = known.sort((x, y) => this.thumbs[x].score - this.thumbs[y].score);
  }

  paintGrid() {
    const { w, h } = this.box.grid, { model } = this, lay = this.lay.grid = layoutGrid(w, h, model.layersN, model.headsN, this.order());
    if (this.kind === "phone") this.node.gridStage.style.height = lay.h + "px";
    this.poolSize ||= `${lay.cw}x${lay.ch}x${this.ratio}`;
    this.gridPen = fitCanvas(this.node.grid, w, this.kind === "phone" ? lay.h : h, this.ratio);
    this.fresh = [];
    for (let k = 0; k < this.heads; k++) if (this.headAt(k) !== null) this.fresh.push(k);
    this.paintThumbs();
  }

  paintThumbs() {
    const most = Math.log2(Math.max(2, this.scene.nk));
    for (const k of this.fresh) paintThumb(this.gridPen, this.lay.grid, k, this.thumbs[k]?.pooled ? this.thumbs[k].canvas : null, this.theme, this.ratio, this.state.sort === "layer" ? null : Math.min(1, (this.thumbs[k]?.score ?? 0) / most));
    this.fresh = [];
  }

  paintRings() {
    const { w, h } = this.box.grid, g = fitCanvas(this.node.gridOver, w, this.kind === "phone" ? this.lay.grid.h : h, this.ratio);
    paintGridOver(g, this.lay.grid, this.theme, { head: this.head(), hover: this.hoverHead, extra: this.state.heads.map(([l, hd]) => l * this.model.headsN + hd) });
  }

  /** The visible part in items; the state counts tokens. */
  visible() {
    const { nq, nk } = this.scene, z = this.state.zoom;
    if (this.zoomItems) return this.zoomItems;
    if (!z) return { q0: 0, q1: nq, k0: 0, k1: nk };
    const at = (of, t) => { for (let i = t; i < of.length; i++) if (of[i] >= 0) return of[i]; return null; }, { queries, keys } = this.items;
    const q0 = at(queries.of, z[0]) ?? 0, k0 = at(keys.of, z[2]) ?? 0, q1 = (at(queries.of, z[1] - 1) ?? nq - 1) + 1, k1 = (at(keys.of, z[3] - 1) ?? nk - 1) + 1;
    const part = Math.max((q1 - q0) / nq, (k1 - k0) / nk), rows = part * nq, columns = part * nk, clip = (v, n, size) => Math.max(0, Math.min(n - size, v));
    const a = clip(q0, nq, rows), b = clip(k0, nk, columns);
    return this.zoomItems = { q0: a, q1: a + rows, k0: b, k1: b + columns };
  }

  paintMatrix() {
    const { w } = this.box.matrix, n = this.node, s = this.scene;
    let { h } = this.box.matrix;
    if (!s.nq || !s.nk) return void fitCanvas(n.matrixBase, w, h, this.ratio);
    const pen = n.matrixBase.getContext("2d");
    if (this.zoomKey !== `${s.nq}x${s.nk}`) { this.zoomItems = null; this.zoomKey = `${s.nq}x${s.nk}`; }
    this.lay.matrix = layoutMatrix(pen, w, h, s.queries, s.keys, this.visible(), this.theme);
    if (this.kind === "phone") {
      h = this.lay.matrix.top + this.lay.matrix.height + 8;
      n.matrix.style.height = h + "px";
    }
    this.overHeight = h;
    paintMatrix(fitCanvas(n.matrixBase, w, h, this.ratio), this.lay.matrix, s, this.theme);
    n.foot.style.transform = this.kind === "phone" ? "" : `translateY(${Math.round(Math.min(0, this.lay.matrix.top + this.lay.matrix.height + 8 - h))}px)`;
    n.foot.style.paddingLeft = (this.stacked ? 0 : this.lay.matrix.left) + "px";
  }

  paintOver() {
    if (!this.lay.matrix || !this.scene.nq) return;
    paintMatrixOver(fitCanvas(this.node.matrixOver, this.box.matrix.w, this.overHeight, this.ratio), this.lay.matrix, this.scene, this.theme);
  }

  /** The part of the head that the curves show (all, or one sentence to another), and further heads beside it. */
  linesScene() {
    const { state, model, scene, items: it } = this, within = (list, span) => {
      const all = list.map((_, i) => i);
      return span ? all.filter((i) => list[i].toks.some((t) => t >= span[0] && t < span[1])) : all;
    };
    const span = state.sentences, rows = within(it.queries.list, span && model.sentences[span[0]]), columns = within(it.keys.list, span && model.keySentences[span[1]]);
    const part = rows.length === scene.nq && columns.length === scene.nk ? (a) => a : (a) => {
      const out = new Float32Array(rows.length * columns.length);
      rows.forEach((i, r) => columns.forEach((j, c) => { out[r * columns.length + c] = a[i * scene.nk + j]; }));
      return out;
    };
    const extra = this.hoverHead === null ? state.heads.filter(([l, h]) => l * model.headsN + h !== this.head()) : [];
    const heads = [[this.layerOf(this.shown()), this.headOf(this.shown())], ...extra].map(([l, h], i) => {
      const a = part(i ? this.folded(this.tokenWeights(l * model.headsN + h)) : scene.a);
      return { a, name: `${l}.${h}`, layer: l, head: h, colour: extra.length ? this.theme.cat[i] : this.theme.flow, curves: strongCurves(a, rows.length, columns.length, Math.max(state.threshold, 0.015), CURVES / (extra.length + 1)) };
    });
    this.curves = { rows, columns, heads, nq: rows.length, nk: columns.length, threshold: state.threshold, queries: rows.map((i) => scene.queries[i]), keys: columns.map((j) => scene.keys[j]) };
    this.linesBase = null;
  }

  paintLines() {
    const c = this.curves, { w, h } = this.box.lines, { model, state, node: n } = this, f = this.scene.focus;
    if (!c.nq || !c.nk) return;
    const inside = (list, values) => values.map((v) => list.indexOf(v)).filter((i) => i >= 0);
    c.focus = c.nq === this.scene.nq && c.nk === this.scene.nk ? f : { side: f.side, q: c.rows.indexOf(f.q), k: c.columns.indexOf(f.k), queries: inside(c.rows, f.queries), keys: inside(c.columns, f.keys) };
    const faded = (f.side === "q" ? c.focus.queries : c.focus.keys).length > 0;
    if (!this.linesBase) {
      this.lay.lines = layoutLines(n.linesBase.getContext("2d"), w, h, c.queries, c.keys, this.theme, { horizontal: state.horizontal ?? (model.cjk || model.dir === "rtl"), rtl: model.dir === "rtl", values: true });
    }
    if (this.linesBase !== String(faded)) {
      paintLinesBase(fitCanvas(n.linesBase, w, h, this.ratio), this.lay.lines, c, this.theme, faded);
      this.linesBase = String(faded);
    }
    paintLinesOver(fitCanvas(n.linesOver, w, h, this.ratio), this.lay.lines, c, this.theme);
  }

  /** The pair of tokens behind the cell in focus: of joined words, the pair with the largest weight. */
  pair() {
    const { q, k } = this.scene.focus, { queries, keys } = this.items, { S } = this.model;
    if (q < 0 || k < 0) return null;
    let best = [queries.list[q].toks[0], keys.list[k].toks[0]];
    for (const i of queries.list[q].toks) for (const j of keys.list[k].toks) if (this.full[i * S + j] > this.full[best[0] * S + best[1]]) best = [i, j];
    return best;
  }

  paintWhy() {
    const { node: n, scene: s, theme, ratio } = this, { w, h } = this.box.why, pair = this.pair(), pen = fitCanvas(n.whyCanvas, w, h, ratio), share = fitCanvas(n.share, this.box.share.w, 38, ratio);
    if (!pair) {
      n.whyPair.textContent = "";
      n.sum.replaceChildren(el("p", { class: "av-empty" }, "Choose a cell to see the products behind its weight."));
      return;
    }
    const k = this.shown(), m = this.source(), args = [m, this.layerOf(k), this.headOf(k), pair[0], pair[1]], parts = Array.from(products(...args)), x = explain(...args, this.settings());
    this.parts = parts;
    paintWhy(pen, theme, w, h, parts, this.bar);
    const row = s.a.subarray(s.focus.q * s.nk, (s.focus.q + 1) * s.nk);
    paintShare(share, theme, this.box.share.w, row, s.keys, s.focus.k);
    const finite = parts.every(Number.isFinite), up = parts.filter((p) => p > 0).length, { q, k: keys } = m.layers[args[1]], d = this.model.d, b = this.bar;
    const detail = !finite ? "" : b === null ? `${up} of ${d} ${w < 350 ? "" : "products "}push up` : `dim ${b}: ${num(q[(args[2] * m.T + pair[0]) * d + b])} × ${num(keys[(args[2] * m.S + pair[1]) * d + b])} = ${num(parts[b])}`;
    n.whyPair.replaceChildren(tokenNode(s.queries[s.focus.q], "q"), " × ", tokenNode(s.keys[s.focus.k], "k"), " " + detail);
    const step = (name, value, kind) => [el("i", { "aria-hidden": "true" }, "→"), el("div", { class: kind }, el("span", {}, name), el("b", {}, value))], steps = [];
    steps.push(...step("sum q·k", num(x.sum, 1)).slice(1));
    const root = Math.round(1 / x.scale ** 2);
    if (x.scale !== 1) steps.push(...step(Math.abs(1 / Math.sqrt(root) - x.scale) < 1e-6 ? `÷ √${root}` : `× ${num(x.scale, 3)}`, num(x.sum * x.scale)));
    if (x.bias) steps.push(...step(x.bias < 0 ? `− ${num(-x.bias)} position` : `+ ${num(x.bias)} position`, num(x.score)));
    if (x.temperature !== 1) steps.push(...step(steps.length > 5 ? "÷ temp." : "÷ temperature", num(x.logit)));
    steps.push(...step("share of softmax", x.allowed ? pct(this.full[pair[0] * m.S + pair[1]]) : "masked", "res"));
    n.sum.replaceChildren(...steps);
  }

  paintText() {
    const { node: n, scene: s, state, model } = this, k = this.shown(), layer = this.layerOf(k), head = this.headOf(k), what = state.join ? "words" : "tokens";
    n.say.replaceChildren(...sentence(s, layer, head));
    n.matrixTitle.textContent = `Layer ${layer}, head ${head}`;
    n.gridInfo.textContent = state.sort !== "layer" ? "sharpest first" : this.lay.grid.across ? "heads → layers ↓" : "layers → heads ↓";
    n.linesInfo.textContent = this.curves.heads.length > 1 ? "" : "heavier: more attention";
    this.headChips();
    n.entropy.replaceChildren(...entropyNodes(s, this.mean, this.meanBefore, what));
    n.matrixInfo.replaceChildren(...this.matrixNote());
    const w = this.stacked ? Math.min(320, this.box.foot.w) : Math.max(150, Math.min(236, this.box.foot.w - this.lay.matrix.left - 400)), { q, k: key } = s.focus;
    paintLegend(fitCanvas(n.legend, w, 38, this.ratio), this.theme, w, q >= 0 && key >= 0 ? (s.change || s.a)[q * s.nk + key] : NaN, !!s.change, state.colour);
  }

  matrixNote() {
    const { scene: s, state, model } = this, { q } = s.focus;
    if (s.change) return ["change against the model as trained, in points"];
    if (state.hide && q >= 0 && !state.renormalise) {
      let sum = 0;
      for (let j = 0; j < s.nk; j++) sum += s.a[q * s.nk + j];
      return ["hidden special tokens take ", pct(Math.max(0, 1 - sum)), " of “", tokenNode(s.queries[q], "name"), "”"];
    }
    if (state.join) return ["joined words: keys add up, queries average"];
    if (!this.touched) return ["layers, heads and positions count from 0"];
    return [`each row is one ${model.keys === model.tokens ? "word" : "target word"} looking; it adds up to 100\u202f%`];
  }

  headChips() {
    const { linesHeads: box } = this.node, { heads } = this.curves, key = heads.map((h) => h.name).join() + this.theme.id;
    if (box.dataset.key === key) return;
    box.dataset.key = key;
    box.hidden = heads.length < 2;
    box.replaceChildren(...(heads.length < 2 ? [] : heads.map((h, i) => {
      const b = el("button", { type: "button", "aria-label": i ? `Take layer ${h.layer}, head ${h.head} out of the curves` : `Layer ${h.layer}, head ${h.head}: show it alone`, onclick: () => i ? this.toggleHead(h.layer * this.model.headsN + h.head) : this.change({ heads: [] }) }, `layer ${h.layer}, head ${h.head}`);
      b.style.setProperty("--c", h.colour);
      return b;
    })));
    this.measure();
    this.mark("lines");
  }

  words() {
    const k = this.shown();
    if (this.hoverHead === null) this.node.summary.textContent = headSummary(this.scene, this.layerOf(k), this.headOf(k));
    if (!this.more.list.hidden && this.more.node.open) this.more.list.replaceChildren(...headText(this.scene).map((t) => { const li = el("li"); li.textContent = t; return li; }));
  }

  /* ---- chips -------------------------------------------------------------------------------- */

  buildChips() {
    const { model, state } = this, key = `${model.id}${state.join}${state.hide}`;
    if (this.chipsKey === key) return;
    this.chipsKey = key;
    const it = items(model, state), cross = model.keys !== model.tokens, box = this.node.chips, keep = box.scrollTop;
    this.chips = [];
    this.chipSides = [];
    const row = (list, side) => {
      let word = null, last = null;
      const nodes = [];
      list.forEach((item, i) => {
        if (!word || item.sp || item.w === null || item.w !== last) nodes.push(word = el("span", { class: "av-word" }));
        last = item.sp ? null : item.w;
        const b = el("button", { type: "button", class: item.sp ? "av-chip sp" : "av-chip", "data-i": i, "data-side": side, tabindex: "-1", title: item.sp ? "Special token added by the tokenizer" : null });
        const name = el("bdi");
        name.textContent = plainLabel(item) || " ";
        b.append(name);
        word.append(b);
        this.chips.push(b);
        this.chipSides.push(side === "q" ? i : -1 - i);
      });
      return nodes;
    };
    const name = (text) => el("span", { class: "av-side" }, text), line = el("span", { style: "flex-basis:100%;height:0" });
    box.replaceChildren(...(cross ? [name("query (looks)"), ...row(it.queries.list, "q"), line, name("key (is seen)"), ...row(it.keys.list, "k")] : row(it.queries.list, "q")));
    box.classList.toggle("av-dense", Math.max(model.T, model.S) > 30);
    box.dir = model.dir;
    box.classList.remove("av-fade");
    if (box.scrollHeight > box.clientHeight + 4) box.classList.add("av-fade");
    box.scrollTop = keep;
    this.tints = new Float64Array(this.chips.length).fill(-1);
  }

  /** Colours the chips by what the chosen token gives them; touches only those that changed. */
  tintChips() {
    this.buildChips();
    const { scene: s, theme, state, model } = this, f = s.focus, cross = model.keys !== model.tokens, locked = this.hover ? null : this.locked(), active = this.root.getRootNode().activeElement;
    let at = this.chips.indexOf(active);
    if (at < 0) at = locked ? (locked.side === "k" ? (cross ? s.nq : 0) + locked.key : locked.queries[0]) : 0;
    const rows = f.queries.length > 1 ? f.queries : [f.q], marks = new Map(), least = Math.max(state.threshold, 0.01);
    for (const i of f.keys) marks.set(cross ? -1 - i : i, "k");
    for (const i of f.queries) marks.set(i, "q");
    const lockedKeys = new Set(locked ? (locked.side === "q" ? locked.queries : [cross ? -1 - locked.key : locked.key]) : []);
    for (let c = 0; c < this.chips.length; c++) {
      const id = this.chipSides[c], i = id < 0 ? -1 - id : id;
      let v = 0;
      if (f.q >= 0 && (!cross || (f.side === "k") === (id >= 0))) {
        if (f.side === "k") v = s.a[i * s.nk + f.k];
        else for (const row of rows) v += s.a[row * s.nk + i] / rows.length;
      }
      const tint = v >= least ? lutIndex(v, state.colour) : 0, mark = marks.get(id), lock = lockedKeys.has(id);
      const code = tint + (mark === "q" ? 256 : mark === "k" ? 512 : 0) + (lock ? 1024 : 0) + (c === at ? 2048 : 0) + theme.id * 4096;
      if (this.tints[c] !== code) this.tintChip(c, tint, mark, lock, c === at, this.tints[c] = code);
    }
  }

  tintChip(c, tint, mark, lock, entry) {
    const b = this.chips[c], { lut } = this.theme;
    b.style.setProperty("--c", tint ? lut.css[tint] : "transparent");
    if (tint) b.style.setProperty("--ct", onColour(lut, tint));
    else b.style.removeProperty("--ct");
    b.classList.toggle("q", mark === "q");
    b.classList.toggle("k", mark === "k");
    b.classList.toggle("lock", lock);
    b.setAttribute("aria-pressed", String(lock));
    b.tabIndex = entry ? 0 : -1;
  }

  /* ---- zoom --------------------------------------------------------------------------------- */

  zoomed() {
    const z = this.visible();
    return z.q1 - z.q0 < this.scene.nq - 1e-6;
  }

  /** Zooms the matrix about a point of its canvas (its focus or middle if none); factor 0 shows all again. */
  zoomBy(factor, x, y) {
    const { nq, nk, focus } = this.scene, z = this.visible(), lay = this.lay.matrix, n = Math.max(nq, nk);
    const least = Math.min(1, 6 / n), part = factor ? Math.max(least, Math.min(1, (z.q1 - z.q0) / nq / factor)) : 1;
    const fx = x == null ? (focus.k >= z.k0 && focus.k < z.k1 ? (focus.k + 0.5 - z.k0) / (z.k1 - z.k0) : 0.5) : Math.max(0, Math.min(1, (x - lay.left) / lay.width));
    const fy = y == null ? (focus.q >= z.q0 && focus.q < z.q1 ? (focus.q + 0.5 - z.q0) / (z.q1 - z.q0) : 0.5) : Math.max(0, Math.min(1, (y - lay.top) / lay.height));
    this.show(z.q0 + fy * (z.q1 - z.q0 - part * nq), z.k0 + fx * (z.k1 - z.k0 - part * nk), part);
  }

  pan(dx, dy) {
    const z = this.visible(), c = this.lay.matrix.c;
    this.show(z.q0 - dy / c, z.k0 - dx / c, (z.q1 - z.q0) / this.scene.nq);
  }

  /** Moves the zoomed part so that a cell is inside it. */
  reveal(q, k) {
    const z = this.visible(), rows = z.q1 - z.q0, columns = z.k1 - z.k0, into = (v, a, size) => v < a ? v : v + 1 > a + size ? v + 1 - size : a;
    if (this.zoomed()) this.show(into(q, z.q0, rows), into(k, z.k0, columns), rows / this.scene.nq);
  }

  show(q0, k0, part) {
    const { nq, nk } = this.scene, rows = part * nq, columns = part * nk, clip = (v, n, size) => Math.max(0, Math.min(n - size, v));
    q0 = clip(q0, nq, rows);
    k0 = clip(k0, nk, columns);
    this.zoomItems = part > 0.999 ? { q0: 0, q1: nq, k0: 0, k1: nk } : { q0, q1: q0 + rows, k0, k1: k0 + columns };
    const first = (list, i) => list[Math.max(0, Math.min(list.length - 1, Math.floor(i)))].toks[0], last = (list, i) => list[Math.max(0, Math.min(list.length - 1, Math.ceil(i) - 1))].toks.at(-1) + 1, { queries, keys } = this.items;
    this.state.zoom = part > 0.999 ? null : [first(queries.list, q0), last(queries.list, q0 + rows), first(keys.list, k0), last(keys.list, k0 + columns)];
    this.root.classList.toggle("av-zoomed", part <= 0.999);
    this.mark("matrix");
    this.send();
  }

  /* ---- tips and speech ------------------------------------------------------------------------ */

  showTip(node, x, y, content) {
    const { tip } = this.node, r = node.getBoundingClientRect(), o = this.root.getBoundingClientRect(), zoom = this.root.offsetWidth / o.width || 1;
    tip.replaceChildren(...[content].flat());
    tip.hidden = false;
    const px = (r.left - o.left) * zoom + x, py = (r.top - o.top) * zoom + y, w = tip.offsetWidth, h = tip.offsetHeight;
    tip.style.transform = `translate(${Math.round(Math.max(0, Math.min(this.root.clientWidth - w, px - w / 2)))}px,${Math.round(py - h - 10 < 0 ? py + 30 : py - h - 10)}px)`;
  }

  hideTip() { this.node.tip.hidden = true; }

  /** Reads the cell in focus aloud. */
  speak() {
    this.scene.focus = this.focus();
    const k = this.shown(), text = spoken(this.scene, this.layerOf(k), this.headOf(k));
    if (this.node.live.textContent !== text) this.node.live.textContent = text;
  }

  speakSoon() {
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => this.speak(), 120);
  }

  speakBar() {
    if (this.parts && this.bar !== null) this.node.live.textContent = `dimension ${this.bar}: product ${num(this.parts[this.bar])}`;
  }
}

let viewCount = 0;

function sameBytes(a, b) {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
