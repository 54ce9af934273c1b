/* view.js: the attention view. Holds the state, computes what is shown, paints only what changed, once per frame. */
import { fold, items, maskOf, opener, weights } from "./maths.js";
import { unpack } from "./unpack.js";
import { isDark, readTheme } from "../core/theme.js";
import { forgetWidths } from "../core/canvas.js";
import { scoreTable } from "./scores.js";
import { pageMethods } from "./page.js";
import { DEFAULTS } from "../core/contract.js";
import { choiceMethods } from "./choices.js";
import { overviewMethods } from "./overview.js";
import { panelMethods } from "./panels.js";
import { chipMethods } from "./chips.js";
import { zoomMethods } from "./zoom.js";
import { voiceMethods } from "./voice.js";
import { brushMethods } from "./brush.js";
import { compactMethods } from "./compact.js";

/**
 * Shows the message in root and keeps it in step. Returns {update({message, state}), destroy()}.
 * `onState(state)` is called 250 ms after the last choice (60 ms if a run is waited for), `onRun(state)` at once when the whole model shall run with
 * a change, `onExport(kind)` for exports that need the server; without onRun the view offers no rerun.
 * `compact` = {title, height}, each null for its default: the small form for lessons.
 */
export function mount(root, options) {
  const view = new AttentionView(root, options);
  return { update: (next) => view.update(next), destroy: () => view.destroy(), view };
}

class AttentionView {
  constructor(
    root,
    { message, state, question = "Where does each word look?", compact = null, onState, onRun, onExport },
  ) {
    Object.assign(this, compact && compactMethods, {
      root,
      question,
      compact,
      onState,
      onRun,
      onExport,
      live: !!onRun,
      state: structuredClone(DEFAULTS),
    });
    Object.assign(this, {
      lay: {},
      hover: null,
      hoverHead: null,
      bar: null,
      chips: [],
      curves: { rows: [], columns: [] },
      dirty: new Set(),
      later: new Set(),
      changedAt: -Infinity,
      moving: false,
      queue: [],
      stamp: 0,
      touched: 0,
    });
    this.set = (patch) => this.change(patch);
    this.mark = (...names) => {
      names.forEach((n) => this.dirty.add(n));
      this.frame();
    };
    root.classList.add("av");
    this.load(message);
    Object.assign(this.state, this.legal(state));
    this.lastGiven = state && JSON.stringify({ ...DEFAULTS, ...state });
    this.lastSent = JSON.stringify(this.state);
    this.theme = readTheme(root);
    this.build();
    this.watch();
    this.items = items(this.model, this.state);
    this.syncControls(); // before measuring: their texts take room
    this.measure();
    this.compute();
    this.paint();
    this.boxes = this.boxesNow(); // the observer reports once at the start: nothing has changed since
  }

  /* ---- data --------------------------------------------------------------------------- */

  load(message) {
    this.bytes = message;
    this.model = unpack(message);
    this.heads = this.model.headsN * this.model.layersN;
    this.scores = scoreTable(this.model);
    this.lastOrder = null;
    this.pending = false;
  }

  /** The given state, with whatever does not fit this text or this model left at its default. */
  legal(given) {
    const s = { ...structuredClone(DEFAULTS), ...(given || {}) },
      { model } = this;
    s.layer = Math.min(s.layer, model.layersN - 1);
    s.head = Math.min(s.head, model.layers[s.layer].heads - 1);
    s.queries = s.queries.filter((i) => i < model.T);
    if (!(s.key < model.S)) s.key = null;
    s.painted = s.painted.filter(([i, j]) => i < model.T && j < model.S);
    s.heads = s.heads.filter(([l, h]) => l < model.layersN && h < model.layers[l].heads).slice(0, 3);
    if (s.sentences && (s.sentences[0] >= model.sentences.length || s.sentences[1] >= model.keySentences.length))
      s.sentences = null;
    if (s.zoom && (s.zoom[1] > model.T || s.zoom[3] > model.S || s.zoom[0] >= s.zoom[1] || s.zoom[2] >= s.zoom[3]))
      s.zoom = null;
    return s;
  }

  plainModel() {
    return this.model.before || this.model;
  }

  /** Whether the message is a run of the whole model with the change. */
  ran() {
    return (this.state.whole || this.compact !== null) && this.model.before !== null;
  }

  /** Whether anything differs from the model as trained. */
  changed() {
    const s = this.state,
      own = this.plainModel().mask;
    const same =
      s.mask === "model" ||
      (s.mask === "causal" && own.causal && own.window == null) ||
      (s.mask === "none" && !own.causal && own.window == null && !own.dense) ||
      (s.mask === "painted" && !s.painted.length);
    return this.ran() || s.temperature !== 1 || !s.scaled || !same;
  }

  settings() {
    const s = this.state;
    const painted = s.mask === "painted" ? this.paintedMap().bits : null;
    if (this.ran()) return painted ? { mask: "painted", painted, under: this.plainModel() } : {}; // cells painted since the run show at once
    return {
      temperature: s.temperature === 1 ? null : s.temperature,
      scaled: s.scaled ? null : false,
      mask: s.mask,
      window: s.window,
      painted,
    };
  }

  source() {
    return this.ran() ? this.model : this.plainModel();
  }
  head() {
    return this.state.layer * this.model.headsN + this.state.head;
  }
  shown() {
    return this.hoverHead ?? this.head();
  }
  layerOf(k) {
    return (k / this.model.headsN) | 0;
  }
  headOf(k) {
    return k % this.model.headsN;
  }
  headAt(k) {
    return k != null && k < this.heads && this.headOf(k) < this.model.layers[this.layerOf(k)].heads ? k : null;
  }

  tokenWeights(k, keep = true, out = null) {
    return weights(this.source(), this.layerOf(k), this.headOf(k), this.settings(), out, keep);
  }
  plainWeights(k, keep = true) {
    return weights(this.plainModel(), this.layerOf(k), this.headOf(k), {}, null, keep);
  }
  folded(a) {
    return fold(this.model, a, this.items, { renormalise: this.state.renormalise });
  }

  /** Items, and everything about the head in view. */
  compute(parts = "all") {
    this.items = items(this.model, this.state);
    this.headScene();
    this.stamp++;
    this.thumbs ||= [];
    this.queue = [];
    for (let i = 0; i < this.heads; i++) {
      // goes on where it stopped, so that no head starves while a slider moves
      const k = ((this.next ?? this.shown()) + i) % this.heads;
      if (this.headAt(k) !== null) this.queue.push(k);
    }
    this.mark(parts, "controls");
  }

  headScene() {
    const { state, model } = this,
      k = this.shown(),
      queries = this.items.queries.list,
      keys = this.items.keys.list,
      nq = queries.length,
      nk = keys.length;
    if (this.full?.length !== model.T * model.S) this.full = new Float32Array(model.T * model.S);
    this.tokenWeights(k, true, this.full);
    const a = this.folded(this.full),
      changed = this.changed();
    const before = changed ? this.plainFolded(k) : null;
    let change = null;
    if (state.diff && before) {
      change = new Float32Array(nq * nk);
      for (let p = 0; p < change.length; p++) change[p] = a[p] - before[p];
    }
    this.scene = {
      a,
      before,
      change,
      nq,
      nk,
      queries,
      keys,
      threshold: state.threshold,
      colour: state.colour,
      allowed: this.allowedItems(k),
      focus: null,
    };
    this.scene.painted = this.paintedItems(this.scene.allowed);
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
    const m = this.source(),
      layer = this.layerOf(k),
      head = this.headOf(k),
      s = this.settings(),
      { queries, keys } = this.items;
    const rule = maskOf(m, layer, s),
      { causal, window: reach } = rule;
    const special = rule.dense || rule.keys || rule.blocked?.length || rule.painted || rule.extra || rule.length < m.S;
    if (!causal && reach == null && !special) return null;
    const pair = special
      ? opener(m, layer, head, s)
      : (i, j) => (!causal || j <= i) && (reach == null || Math.abs(i - j) <= reach);
    const some = (i, j) => queries.list[i].toks.some((t) => keys.list[j].toks.some((u) => pair(t, u)));
    const n = keys.list.length;
    if (!special || queries.list.length * n > 65536) return some;
    const known = Int8Array.from({ length: queries.list.length * n }, (_, p) => (some((p / n) | 0, p % n) ? 1 : 0));
    return (i, j) => known[i * n + j] === 1;
  }

  /* ---- to and from the page around ---------------------------------------------------- */

  send() {
    clearTimeout(this.sending);
    if (this.stroke) return; // all of it is one change
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
  update({ message, state, compact }) {
    if (compact) this.describe(compact);
    const given = state && JSON.stringify({ ...DEFAULTS, ...state }),
      dark = isDark(this.root);
    const chosen = given && given !== this.lastSent && given !== this.lastGiven,
      sent = message && !sameBytes(message, this.bytes);
    this.lastGiven = given || this.lastGiven;
    if (!chosen && !sent) return void (dark !== this.theme.dark && this.onTheme());
    const before = this.model;
    if (sent) {
      // before the state: the tokens it names may be those of the new text
      this.load(message);
      this.wait(false);
    }
    if (chosen) {
      Object.assign(this.state, this.legal(state));
      this.zoomItems = null;
      this.lastSent = JSON.stringify(this.state);
    }
    if (sent) {
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
    for (const e of [this.root, this.node.gridStage, this.node.matrix, this.node.lines])
      if (e) this.observer.observe(e);
    this.onTheme = () => {
      this.theme = readTheme(this.root);
      this.mark("all");
    };
    this.onFonts = () => {
      forgetWidths();
      this.boxes = null;
      this.resize();
    };
    this.onResize = () => this.resize();
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.onTheme);
    document.fonts?.addEventListener("loadingdone", this.onFonts);
    addEventListener("resize", this.onResize);
  }

  boxesNow() {
    return JSON.stringify([this.box, this.ratio]);
  }

  /** Measures again, and paints again if anything has another size. */
  resize() {
    this.measure();
    const boxes = this.boxesNow();
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

Object.assign(
  AttentionView.prototype,
  pageMethods,
  choiceMethods,
  overviewMethods,
  panelMethods,
  chipMethods,
  zoomMethods,
  voiceMethods,
  brushMethods,
);

function sameBytes(a, b) {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
