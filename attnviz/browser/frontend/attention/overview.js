/* overview.js: the grid of all heads: computed a few milliseconds per frame, ordered, painted. Methods of the view. */
import { layoutGrid, paintCell, paintGridOver, paintThumb, poolHead } from "./paint-grid.js";
import { fitCanvas } from "../core/canvas.js";
import { el } from "../core/dom.js";
import { rankHeads, scoreCell, scoreHead, scoreRange, scoreText } from "./scores.js";
import { divergingIndex, lutIndex, onColour } from "../core/theme.js";

const FRAME_BUDGET = 7; // ms of each frame that may go into heads that are not in view,
const IDLE_BUDGET = 40; // while nobody touches anything,
const DRAG_BUDGET = 1; // and while a slider moves
const LONG = 256 * 256; // weights of a head that takes longer than a frame's budget

export const overviewMethods = {
  /** The other heads, a few milliseconds per frame, so that nothing waits for them. */
  pump() {
    if (!this.queue.length) return;
    const start = performance.now(),
      idle = start - this.touched;
    if (idle < 120 && this.scene.a.length > LONG) return; // long text: the hand goes first
    const budget = idle > 300 ? IDLE_BUDGET : idle > 60 ? FRAME_BUDGET : DRAG_BUDGET,
      { nq, nk } = this.scene,
      { ch, cw } = this.lay.grid,
      wanted = this.scoresWanted();
    if (this.spare?.length !== this.full.length) this.spare = new Float32Array(this.full.length);
    const { spare } = this;
    do {
      const k = this.queue.shift(),
        seen = k === this.shown(),
        own = seen ? this.full : this.tokenWeights(k, false, spare),
        a = seen ? this.scene.a : this.folded(own);
      let values = a;
      if (this.state.diff && this.changed()) {
        const b = this.folded(this.plainWeights(k, false));
        values = a.map((v, i) => v - b[i]);
      }
      this.next = k + 1;
      const thumb = (this.thumbs[k] ||= {});
      thumb.pooled = poolHead(values, nq, nk, Math.round(ch * this.ratio), Math.round(cw * this.ratio));
      thumb.scores = {};
      for (const score of wanted)
        if (score.kind !== "given") thumb.scores[score.name] = scoreHead(this.model, score, own);
      this.fresh.push(k);
    } while (this.queue.length && performance.now() - start < budget);
    this.dirty.add("thumbs");
    if (!this.queue.length && this.score(this.state.sort)) this.dirty.add("grid");
  },

  /* ---- scores: the order of the heads, and their colour -------------------------------- */

  /** A score by name; undefined for "layer", "weights" and what this model lacks. */
  score(name) {
    return this.scores.find((score) => score.name === name);
  },

  scoresWanted() {
    return [...new Set([this.state.sort, this.state.tint])].map((name) => this.score(name)).filter(Boolean);
  },

  scoreAt(score, k) {
    return score.kind === "given"
      ? (score.values[this.layerOf(k)]?.[this.headOf(k)] ?? null)
      : this.thumbs[k]?.scores?.[score.name];
  },

  /** Whether every head's chosen scores are known. */
  scored() {
    return (
      !this.queue.length &&
      this.scoresWanted().every((score) => this.headList().every((k) => this.scoreAt(score, k) !== undefined))
    );
  },

  headList() {
    return Array.from({ length: this.heads }, (_, k) => k).filter((k) => this.headAt(k) !== null);
  },

  /** Heads in the order of the chosen score, or null for the order of the layers. */
  order() {
    const score = this.score(this.state.sort);
    if (!score) return null;
    if (!this.scored()) return this.lastOrder || this.headList();
    return (this.lastOrder = rankHeads(this.headList(), score, (k) => this.scoreAt(score, k)));
  },

  /** The name of a head with its scores, as in "Layer 2, head 5: previous token 68 %". */
  headLabel(k) {
    const scores = this.scoresWanted()
      .filter((score) => this.scoreAt(score, k) !== undefined)
      .map((score) => `${score.label} ${scoreText(score, this.scoreAt(score, k))}`);
    return `${this.headName(k)}${scores.length ? `: ${scores.join(", ")}` : ""}`;
  },

  /** The name of a head; where heads share keys and values, with the group of those that share them. */
  headName(k) {
    const layer = this.layerOf(k),
      head = this.headOf(k),
      groups = this.model.layers[layer].groups;
    return `Layer ${layer}, head ${head}${groups ? ` in key group ${groups[head]}` : ""}`;
  },

  /** What order and colour mean, in words; empty where both are plain. */
  scoreGloss() {
    const order = this.score(this.state.sort),
      tint = this.score(this.state.tint);
    const first = order && (order.kind === "bits" ? "sharpest first" : "largest first");
    if (order && order === tint) return `Order and colour: ${order.gloss}; ${first}, ${scoreRange(tint)}.`;
    return [order && `Order: ${order.gloss}, ${first}.`, tint && `Colour: ${tint.gloss}, ${scoreRange(tint)}.`]
      .filter(Boolean)
      .join(" ");
  },

  /** Two small lists above the grid: the order of the heads, and what colours them. */
  ordering() {
    const list = (name, label, plain) => {
      const node = el("select", { "aria-label": label, onchange: () => this.set({ [name]: node.value }) });
      const sync = () => {
        const names = this.scores.map((score) => score.name).join();
        if (node.dataset.names !== names) {
          node.dataset.names = names;
          node.replaceChildren(
            ...[plain, ...this.scores.map((score) => [score.name, score.label])].map(([value, text]) =>
              el("option", { value }, text),
            ),
          );
        }
        node.value = this.score(this.state[name]) ? this.state[name] : plain[0];
      };
      return { node, sync };
    };
    const order = list("sort", "Order of the heads", ["layer", "layer"]),
      tint = list("tint", "Colour of the heads", ["weights", "weights"]);
    const gloss = el("p", { hidden: true });
    const node = el(
      "div",
      { class: "av-order" },
      el("label", {}, "by ", order.node),
      el("label", {}, "colour ", tint.node),
      gloss,
    );
    const sync = () => {
      order.sync();
      tint.sync();
      gloss.textContent = this.scoreGloss();
      gloss.hidden = !gloss.textContent;
    };
    return { node, sync };
  },

  /* ---- painting ------------------------------------------------------------------------ */

  paintGrid() {
    const { w, h } = this.box.grid,
      { model } = this,
      lay = (this.lay.grid = layoutGrid(w, h, model.layersN, model.headsN, this.order(), {
        bars: !this.score(this.state.tint),
        across: this.lay.grid?.across,
      }));
    if (this.kind === "phone") this.node.gridStage.style.height = lay.h + "px";
    this.repool();
    this.gridPen = fitCanvas(this.node.grid, w, this.kind === "phone" ? lay.h : h, this.ratio);
    this.fresh = this.headList();
    this.paintThumbs();
  },

  paintThumbs() {
    for (const k of this.fresh) this.paintHead(this.gridPen, this.lay.grid, k, this.ratio);
    this.fresh = [];
  },

  /** One head in the grid (`ratio` as in paintThumb): its weights with the bar of its score below, or a cell in the colour of its score. */
  paintHead(g, lay, k, ratio) {
    const order = this.score(this.state.sort),
      tint = this.score(this.state.tint),
      thumb = this.thumbs[k];
    if (tint) return paintCell(g, lay, k, this.theme, this.tintOf(tint, this.scoreAt(tint, k)));
    const { threshold, colour } = this.state,
      bar = order ? Math.min(1, Math.abs(this.scoreAt(order, k) || 0) / order.top) : null;
    paintThumb(g, lay, k, thumb?.pooled, this.theme, ratio, bar, {
      threshold,
      colour,
      signed: this.state.diff && this.changed(),
    });
  },

  /** Colour, number and its ink for a score; shares on the scale that the weights have, the others linear. */
  tintOf(score, v) {
    if (v == null || !Number.isFinite(v))
      return { fill: this.theme.paper, ink: this.theme.ink2, text: v === undefined ? "" : "–" };
    const lut = score.signed ? this.theme.div : this.theme.lut,
      x = v / score.top;
    const i = score.signed
      ? divergingIndex(x, "linear")
      : lutIndex(x, score.kind === "share" ? this.state.colour : "linear");
    return { fill: lut.css[i], ink: onColour(lut, i), text: scoreCell(score, v) };
  },

  paintRings() {
    const { w, h } = this.box.grid,
      g = fitCanvas(this.node.gridOver, w, this.kind === "phone" ? this.lay.grid.h : h, this.ratio);
    paintGridOver(g, this.lay.grid, this.theme, {
      head: this.head(),
      hover: this.hoverHead,
      extra: this.state.heads.map(([l, hd]) => l * this.model.headsN + hd),
    });
  },
};
