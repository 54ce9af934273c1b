/* panels.js: paints each part of the view when it has changed. Methods of the view. */
import { explain, products } from "./maths.js";
import { number, percent } from "../core/format.js";
import { fitCanvas } from "../core/canvas.js";
import { el, tokenNode } from "../core/dom.js";
import { SETTLED } from "./choices.js";
import { layoutMatrix, paintLegend, paintMatrix, paintMatrixOver } from "./paint-matrix.js";
import { layoutLines, paintLinesBase, paintLinesOver, strongCurves } from "./paint-lines.js";
import { paintShare, paintWhy } from "./paint-why.js";
import { entropyNodes, headSummary, headText, meanEntropy, sentence } from "./say.js";

const CURVES = 300; // at most so many curves of a head are drawn

export const panelMethods = {
  frame() {
    if (this.raf || this.dead) return;
    this.raf = requestAnimationFrame(() => {
      this.raf = 0;
      if (this.onScreen) this.pump(); // what is in view is seen before the others are worked out
      this.onScreen = true;
      this.paint();
      if (this.queue.length) this.frame();
    });
  },

  paint() {
    const d = this.dirty,
      all = d.has("all"),
      head = all || d.has("head") || d.has("values"),
      focus = head || d.has("focus");
    this.dirty = new Set();
    if (focus) this.scene.focus = this.focus();
    const marks = JSON.stringify(this.scene.focus),
      marked = all || d.has("head") || d.has("matrix") || marks !== this.marks;
    this.marks = marks;
    if (all || d.has("grid")) this.paintGrid();
    else if (d.has("thumbs")) this.paintThumbs();
    if (all || d.has("grid") || d.has("head")) this.paintRings();
    this.moving &&= performance.now() - this.changedAt < SETTLED;
    if (all || d.has("head") || d.has("matrix")) this.paintMatrix();
    else if (d.has("values")) this.paintCells();
    if ((focus && marked) || d.has("matrix")) this.paintOver();
    const { later } = this,
      put = (due, name) => {
        if (due) later.add(name);
      };
    put(head || d.has("lines"), "curves");
    put(focus, "text");
    put(focus, "chips");
    put(focus || d.has("lines"), "lines");
    put(focus || d.has("why"), "why");
    put(head || d.has("words"), "words");
    this.paintLater(this.moving || (focus && !head));
    if (all || d.has("controls")) this.syncControls();
  },

  syncControls() {
    [this.panel, this.switches, this.changing, this.more, this.orders].forEach((c) => c.sync());
  },

  /** What stands beside the matrix: all of it, or in turn, one part per frame, while a slider or the pointer moves. */
  paintLater(inTurn) {
    for (const name of [...this.later]) {
      this.later.delete(name);
      if (name === "curves") this.linesScene();
      if (name === "lines") this.paintLines();
      if (name === "why") this.paintWhy();
      if (name === "text") this.paintText();
      if (name === "chips") this.tintChips();
      if (name === "words") this.words();
      if (name === "cells") {
        if (this.moving) {
          this.later.add("cells");
          break;
        }
        this.paintCells();
      }
      if (inTurn) break;
    }
    if (this.moving && !this.later.size) this.later.add("cells"); // once more, with all their detail, when it stands still
    if (this.later.size) this.frame();
  },

  /** The cells in the layout they have. */
  paintCells() {
    const { w } = this.box.matrix,
      scene = { ...this.scene, coarse: this.moving };
    if (scene.nq && scene.nk)
      paintMatrix(fitCanvas(this.node.matrixBase, w, this.overHeight, this.ratio), this.lay.matrix, scene, this.theme);
  },

  paintMatrix() {
    const { w } = this.box.matrix,
      n = this.node,
      s = this.scene;
    let { h } = this.box.matrix;
    if (!s.nq || !s.nk) return void fitCanvas(n.matrixBase, w, h, this.ratio);
    const pen = n.matrixBase.getContext("2d");
    if (this.zoomKey !== `${s.nq}x${s.nk}`) {
      this.zoomItems = null;
      this.zoomKey = `${s.nq}x${s.nk}`;
    }
    this.lay.matrix = layoutMatrix(pen, w, h, s.queries, s.keys, this.visible(), this.theme);
    if (this.kind === "phone") {
      h = this.lay.matrix.top + this.lay.matrix.height + 8;
      n.matrix.style.height = h + "px";
    }
    this.overHeight = h;
    this.paintCells();
    n.foot.style.transform =
      this.kind === "phone"
        ? ""
        : `translateY(${Math.round(Math.min(0, this.lay.matrix.top + this.lay.matrix.height + 8 - h))}px)`;
    n.foot.style.paddingLeft = (this.stacked ? 0 : this.lay.matrix.left) + "px";
  },

  paintOver() {
    if (!this.lay.matrix || !this.scene.nq) return;
    paintMatrixOver(
      fitCanvas(this.node.matrixOver, this.box.matrix.w, this.overHeight, this.ratio),
      this.lay.matrix,
      this.scene,
      this.theme,
    );
  },

  /** The part of the head that the curves show (all, or one sentence to another), and further heads beside it. */
  linesScene() {
    const { state, model, scene, items: it } = this,
      within = (list, span) => {
        const all = list.map((_, i) => i);
        return span ? all.filter((i) => list[i].toks.some((t) => t >= span[0] && t < span[1])) : all;
      };
    const span = state.sentences,
      rows = within(it.queries.list, span && model.sentences[span[0]]),
      columns = within(it.keys.list, span && model.keySentences[span[1]]);
    const part =
      rows.length === scene.nq && columns.length === scene.nk
        ? (a) => a
        : (a) => {
            const out = new Float32Array(rows.length * columns.length);
            rows.forEach((i, r) =>
              columns.forEach((j, c) => {
                out[r * columns.length + c] = a[i * scene.nk + j];
              }),
            );
            return out;
          };
    const extra = this.hoverHead === null ? state.heads.filter(([l, h]) => l * model.headsN + h !== this.head()) : [];
    const heads = [[this.layerOf(this.shown()), this.headOf(this.shown())], ...extra].map(([l, h], i) => {
      const a = part(i ? this.folded(this.tokenWeights(l * model.headsN + h)) : scene.a);
      const curves = strongCurves(
        a,
        rows.length,
        columns.length,
        Math.max(state.threshold, 0.015),
        CURVES / (extra.length + 1),
      );
      return {
        a,
        curves,
        name: `${l}.${h}`,
        layer: l,
        head: h,
        colour: extra.length ? this.theme.cat[i] : this.theme.flow,
      };
    });
    this.curves = {
      rows,
      columns,
      heads,
      nq: rows.length,
      nk: columns.length,
      threshold: state.threshold,
      queries: rows.map((i) => scene.queries[i]),
      keys: columns.map((j) => scene.keys[j]),
    };
    this.linesBase = null;
  },

  paintLines() {
    const c = this.curves,
      { w, h } = this.box.lines,
      { model, state, node: n } = this,
      f = this.scene.focus;
    if (!c.nq || !c.nk) return;
    const inside = (list, values) => values.map((v) => list.indexOf(v)).filter((i) => i >= 0);
    const whole = c.nq === this.scene.nq && c.nk === this.scene.nk,
      part = () => ({ queries: inside(c.rows, f.queries), keys: inside(c.columns, f.keys) });
    c.focus = whole ? f : { side: f.side, q: c.rows.indexOf(f.q), k: c.columns.indexOf(f.k), ...part() };
    const faded = (f.side === "q" ? c.focus.queries : c.focus.keys).length > 0;
    if (!this.linesBase) {
      const rtl = model.dir === "rtl",
        options = { horizontal: state.horizontal ?? (model.cjk || rtl), rtl, values: true };
      this.lay.lines = layoutLines(n.linesBase.getContext("2d"), w, h, c.queries, c.keys, this.theme, options);
    }
    if (this.linesBase !== String(faded)) {
      paintLinesBase(fitCanvas(n.linesBase, w, h, this.ratio), this.lay.lines, c, this.theme, faded);
      this.linesBase = String(faded);
    }
    paintLinesOver(fitCanvas(n.linesOver, w, h, this.ratio), this.lay.lines, c, this.theme);
  },

  /** The pair of tokens behind the cell in focus: of joined words, the pair with the largest weight. */
  pair() {
    const { q, k } = this.scene.focus,
      { queries, keys } = this.items,
      { S } = this.model;
    if (q < 0 || k < 0) return null;
    let best = [queries.list[q].toks[0], keys.list[k].toks[0]];
    for (const i of queries.list[q].toks)
      for (const j of keys.list[k].toks) if (this.full[i * S + j] > this.full[best[0] * S + best[1]]) best = [i, j];
    return best;
  },

  paintWhy() {
    const { node: n, scene: s, theme, ratio } = this,
      { w, h } = this.box.why,
      pair = this.pair(),
      pen = fitCanvas(n.whyCanvas, w, h, ratio),
      share = fitCanvas(n.share, this.box.share.w, 38, ratio);
    if (!pair) {
      n.whyPair.textContent = "";
      n.sum.replaceChildren(el("p", { class: "av-empty" }, "Choose a cell to see the products behind its weight."));
      return;
    }
    const k = this.shown(),
      m = this.source(),
      args = [m, this.layerOf(k), this.headOf(k), pair[0], pair[1]],
      parts = Array.from(products(...args)),
      x = explain(...args, this.settings());
    this.parts = parts;
    paintWhy(pen, theme, w, h, parts, this.bar);
    const row = s.a.subarray(s.focus.q * s.nk, (s.focus.q + 1) * s.nk);
    paintShare(share, theme, this.box.share.w, row, s.keys, s.focus.k);
    const finite = parts.every(Number.isFinite),
      up = parts.filter((p) => p > 0).length,
      { q, k: keys } = m.layers[args[1]],
      d = this.model.d,
      b = this.bar;
    const factor = (vectors, n, token) => number(vectors[(args[2] * n + token) * d + b]);
    const all = `${up} of ${d} ${w < 350 ? "" : "products "}push up`,
      one = () => `dim ${b}: ${factor(q, m.T, pair[0])} × ${factor(keys, m.S, pair[1])} = ${number(parts[b])}`;
    const detail = !finite ? "" : b === null ? all : one();
    n.whyPair.replaceChildren(
      tokenNode(s.queries[s.focus.q], "q"),
      " × ",
      tokenNode(s.keys[s.focus.k], "k"),
      " " + detail,
    );
    const step = (name, value, kind) => [
        el("i", { "aria-hidden": "true" }, "→"),
        el("div", { class: kind }, el("span", {}, name), el("b", {}, value)),
      ],
      steps = [];
    steps.push(...step("sum q·k", number(x.sum, 1)).slice(1));
    const root = Math.round(1 / x.scale ** 2);
    if (x.scale !== 1)
      steps.push(
        ...step(
          Math.abs(1 / Math.sqrt(root) - x.scale) < 1e-6 ? `÷ √${root}` : `× ${number(x.scale, 3)}`,
          number(x.sum * x.scale),
        ),
      );
    if (x.bias)
      steps.push(
        ...step(x.bias < 0 ? `− ${number(-x.bias)} position` : `+ ${number(x.bias)} position`, number(x.score)),
      );
    if (x.temperature !== 1)
      steps.push(...step(w < 350 || steps.length > 5 ? "÷ temp." : "÷ temperature", number(x.logit)));
    steps.push(
      ...step(
        w < 350 && steps.length > 3 ? "softmax" : "share of softmax",
        x.allowed ? percent(this.full[pair[0] * m.S + pair[1]]) : "masked",
        "res",
      ),
    );
    n.sum.replaceChildren(...steps);
  },

  paintText() {
    const { node: n, scene: s, state, model } = this,
      k = this.shown(),
      layer = this.layerOf(k),
      head = this.headOf(k),
      what = state.join ? "words" : "tokens";
    n.say.replaceChildren(...sentence(s, layer, head));
    n.matrixTitle.textContent = this.headName(k);
    n.gridInfo.textContent = this.lay.grid.order ? "" : this.lay.grid.across ? "heads → layers ↓" : "layers → heads ↓";
    n.linesInfo.textContent = this.curves.heads.length > 1 ? "" : "heavier: more attention";
    this.headChips();
    s.mean ??= meanEntropy(s.a, s.nq, s.nk);
    if (s.before) this.plainKnown.mean ??= meanEntropy(s.before, s.nq, s.nk);
    n.entropy.replaceChildren(...entropyNodes(s, s.mean, s.before ? this.plainKnown.mean : null, what));
    n.matrixInfo.replaceChildren(...this.matrixNote());
    const w = this.stacked
        ? Math.min(320, this.box.foot.w)
        : Math.max(150, Math.min(236, this.box.foot.w - this.lay.matrix.left - 400)),
      { q, k: key } = s.focus;
    paintLegend(
      fitCanvas(n.legend, w, 38, this.ratio),
      this.theme,
      w,
      q >= 0 && key >= 0 ? (s.change || s.a)[q * s.nk + key] : NaN,
      !!s.change,
      state.colour,
    );
  },

  matrixNote() {
    const { scene: s, state, model } = this,
      { q } = s.focus;
    if (s.change) return ["change in percentage points"];
    if (state.hide && q >= 0 && !state.renormalise) {
      let sum = 0;
      for (let j = 0; j < s.nk; j++) sum += s.a[q * s.nk + j];
      return [
        "hidden special tokens take ",
        percent(Math.max(0, 1 - sum)),
        " of “",
        tokenNode(s.queries[q], "name"),
        "”",
      ];
    }
    if (state.join) return ["joined words: keys add up, queries average"];
    if (!this.touched) return ["layers, heads and positions count from 0"];
    return [
      `each row is one ${model.keys === model.tokens ? "word" : "target word"} looking; it adds up to 100\u202f%`,
    ];
  },

  headChips() {
    const { linesHeads: box } = this.node,
      { heads } = this.curves,
      key = heads.map((h) => h.name).join() + this.theme.id;
    if (box.dataset.key === key) return;
    box.dataset.key = key;
    if (heads.length < 2 && box.hidden) return; // nothing above the curves, as before
    box.hidden = heads.length < 2;
    box.replaceChildren(
      ...(heads.length < 2
        ? []
        : heads.map((h, i) => {
            const name = `layer ${h.layer}, head ${h.head}`,
              label = i ? `${name}: take it out of the curves` : `${name}: show it alone`;
            const onclick = () =>
              i ? this.toggleHead(h.layer * this.model.headsN + h.head) : this.change({ heads: [] });
            const b = el("button", { type: "button", "aria-label": label, onclick }, name);
            b.style.setProperty("--c", h.colour);
            return b;
          })),
    );
    this.measure();
    this.mark("lines");
  },

  words() {
    const k = this.shown();
    if (this.hoverHead === null)
      this.node.summary.textContent = headSummary(this.scene, this.layerOf(k), this.headOf(k));
    if (!this.more.list.hidden && this.more.node.open)
      this.more.list.replaceChildren(
        ...headText(this.scene).map((t) => {
          const li = el("li");
          li.textContent = t;
          return li;
        }),
      );
  },
};
