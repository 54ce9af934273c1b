/* lines.js: who looks at whom, on its two canvases, and above it the heads that are drawn. */
import { fitCanvas } from "../core/canvas.js";
import { el } from "../core/dom.js";
import { layoutLines } from "./lines-layout.js";
import { paintLinesBase, paintLinesOver } from "./paint-lines.js";
import { headNumber } from "./selectors.js";

export class Lines {
  /** @param {import("./view.js").AttentionView} view */
  constructor({ store, shown, screen, frames, choices }) {
    this.store = store;
    this.shown = shown;
    this.screen = screen;
    this.frames = frames;
    this.choices = choices;
    /** @type {import("./selectors-scene.js").Curves | null} of which the layout is */
    this.laid = null;
    this.faded = null; // whether the curves on the canvas are a shadow behind chosen ones; null: to be painted
  }

  /** The curves in their colours. */
  curves() {
    const { curves } = this.shown;
    const { theme } = this.screen;
    const several = curves.heads.length > 1;
    curves.heads.forEach((head, i) => (head.colour = several ? theme.cat[i] : theme.flow));
    return curves;
  }

  /** The curves anew; they are laid out with the next painting. */
  renew() {
    this.laid = null;
    this.curves();
  }

  paint() {
    const { store, screen } = this;
    const { node, box, theme, lay } = screen;
    const { w, h } = box.lines;
    const curves = this.curves();
    if (!curves.nq || !curves.nk) return;
    const { side, queries, keys } = curves.focus;
    const faded = (side === "q" ? queries : keys).length > 0;
    if (this.laid !== curves) {
      const { dir, cjk } = store.model;
      const rtl = dir === "rtl";
      const options = { horizontal: store.state.horizontal ?? (cjk || rtl), rtl, values: true };
      lay.lines = layoutLines(node.linesBase.getContext("2d"), w, h, curves.queries, curves.keys, theme, options);
      this.laid = curves;
      this.faded = null;
    }
    if (this.faded !== faded) {
      paintLinesBase(fitCanvas(node.linesBase, w, h, screen.ratio), lay.lines, curves, theme, faded);
      this.faded = faded;
    }
    paintLinesOver(fitCanvas(node.linesOver, w, h, screen.ratio), lay.lines, curves, theme);
  }

  /** The heads that are drawn, where there are several; true if they take another place than before. */
  showHeads() {
    const { screen } = this;
    const box = screen.node.linesHeads;
    const { heads } = this.shown.curves;
    const key = heads.map((h) => h.name).join() + screen.theme.id;
    if (box.dataset.key === key) return false;
    box.dataset.key = key;
    if (heads.length < 2 && box.hidden) return false; // nothing above the curves, as before
    box.hidden = heads.length < 2;
    box.replaceChildren(...(heads.length < 2 ? [] : this.curves().heads.map((head, i) => this.headButton(head, i))));
    return true;
  }

  headButton({ layer, head, colour }, i) {
    const name = `layer ${layer}, head ${head}`;
    const { store, choices } = this;
    const onclick = () => (i ? choices.toggleHead(headNumber(store.model, layer, head)) : store.change({ heads: [] }));
    const label = i ? `${name}: take it out of the curves` : `${name}: show it alone`;
    const button = el("button", { type: "button", "aria-label": label, onclick }, name);
    button.style.setProperty("--c", colour);
    return button;
  }
}
