/* texts.js: the sentences, titles and notes of the full view. */
import { el } from "../core/dom.js";
import { percent } from "../core/format.js";
import { aboutLines } from "./about.js";
import { headOf, headShown, headName, layerOf } from "./selectors.js";
import { entropyNodes, headSummary, headText, sentence } from "./say.js";

export class Texts {
  /** @param {import("./view.js").AttentionView} view */
  constructor({ store, shown, screen, frames }) {
    this.store = store;
    this.shown = shown;
    this.screen = screen;
    this.frames = frames;
  }

  /** What stands around the pictures. */
  show() {
    const { store, shown, screen } = this;
    const { node, lay } = screen;
    const { scene, spread } = shown;
    const what = store.state.join ? "words" : "tokens";
    const means = shown.means();
    const { order } = lay.grid;
    sayHead(this);
    node.matrixTitle.textContent = headName(store.model, headShown(store));
    node.gridInfo.textContent = order ? "best first" : "heads → layers ↓";
    node.linesInfo.textContent = shown.curves.heads.length > 1 ? "" : "thicker: more attention";
    node.entropy.replaceChildren(...entropyNodes(scene, spread, means, what));
    node.matrixInfo.replaceChildren(...this.note());
    node.about.textContent = aboutLines(store).join("\n");
  }

  /** One line on how to read the matrix. */
  note() {
    const { store, shown, frames } = this;
    const { state, model } = store;
    const { a, nk, change, focus } = shown.scene;
    if (change) return ["change in percentage points"];
    if (state.hide && focus.q >= 0 && !state.renormalise) {
      let sum = 0;
      for (let j = 0; j < nk; j++) sum += a[focus.q * nk + j];
      const hidden = percent(Math.max(0, 1 - sum));
      return ["hidden special tokens take ", hidden, " of this row"];
    }
    if (state.join) return ["joined words: keys add up, queries average"];
    if (!frames.touched) return ["layers, heads and positions count from 0"];
    const query = model.keys === model.tokens ? "word" : "target word";
    return [`each row is one ${query} looking; it adds up to 100\u202f%`];
  }
}

/** The sentence on the cell in focus. */
export function sayHead({ store, shown, screen }) {
  const k = headShown(store);
  screen.node.say.replaceChildren(...sentence(shown.scene, layerOf(store.model, k), headOf(store.model, k)));
}

/** What a screen reader is told of the picture, and the head as a list where that is open. */
export function describeHead({ store, shown, screen }, list) {
  const k = headShown(store);
  const { model } = store;
  if (store.hoverHead === null)
    screen.node.summary.textContent = headSummary(shown.scene, layerOf(model, k), headOf(model, k));
  if (list) list.replaceChildren(...headText(shown.scene).map((text) => el("li", {}, text)));
}
