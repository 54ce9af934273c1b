/* why.js: why the weight in focus is what it is: its products as bars, the way to the share, the row's shares. */
import { fitCanvas } from "../core/canvas.js";
import { el, tokenNode } from "../core/dom.js";
import { paintShare, paintWhy } from "./paint-why.js";
import { cellActions } from "./cell-actions.js";
import { whyDetail, whyNote, whySteps } from "./selectors-why.js";

const SHARE_HEIGHT = 38;
const SHORT_BELOW = 350; // px below which texts are short

export class WhyPanel {
  /** @param {import("./view.js").AttentionView} view */
  constructor(view) {
    const { store, shown, screen, onAsk, reach } = view;
    this.store = store;
    this.shown = shown;
    this.screen = screen;
    this.actions = () => cellActions(view, onAsk, reach);
  }

  /** The section under its title. @returns {HTMLElement[]} */
  build() {
    const { node: n } = this.screen;
    this.buttons = this.actions();
    return [n.whyDetail, n.why, n.sum, n.shareBox, n.whyNote, this.buttons.node];
  }

  paint() {
    const { store, shown, screen } = this;
    const { node, box, theme, ratio } = screen;
    const { w, h } = box.why;
    const why = shown.why();
    this.buttons.sync();
    const pen = fitCanvas(node.whyCanvas, w, h, ratio);
    const share = fitCanvas(node.share, box.share.w, SHARE_HEIGHT, ratio);
    if (!why) {
      for (const text of [node.whyPair, node.whyDetail, node.whyNote]) text.textContent = "";
      node.sum.replaceChildren(el("p", { class: "av-empty" }, "Choose a cell to see the products behind its weight."));
      return;
    }
    const { a, nk, queries, keys, focus } = shown.scene;
    const { tokens, keys: keyTokens } = store.model;
    paintWhy(pen, theme, w, h, why.parts, store.bar);
    paintShare(share, theme, box.share.w, a.subarray(focus.q * nk, (focus.q + 1) * nk), keys, focus.k);
    const [i, j] = why.pair;
    node.whyPair.replaceChildren(tokenNode(tokens[i], "q"), " × ", tokenNode(keyTokens[j], "k"));
    node.whyDetail.textContent = whyDetail(why, store.bar);
    const value = a[focus.q * nk + focus.k];
    const { hide, renormalise } = store.state;
    node.whyNote.textContent = whyNote(why, queries[focus.q], keys[focus.k], value, hide && renormalise);
    node.sum.replaceChildren(...stepNodes(whySteps(why, w < SHORT_BELOW)));
  }
}

/** The way to the share, an arrow before each step but the first. */
function stepNodes(steps) {
  return steps.flatMap(([name, value], i) => {
    const step = el("div", { class: i === steps.length - 1 ? "res" : null }, el("span", {}, name), el("b", {}, value));
    return i ? [el("i", { "aria-hidden": "true" }, "→"), step] : [step];
  });
}
