/* why.js: why the weight in focus is what it is: its products as bars, the way to the share, the row's shares. */
import { fitCanvas } from "../core/canvas.js";
import { el, tokenNode } from "../core/dom.js";
import { paintShare, paintWhy } from "./paint-why.js";
import { whyDetail, whySteps } from "./selectors-why.js";

const SHARE_HEIGHT = 38;
const SHORT_BELOW = 350; // px below which texts are short

export class WhyPanel {
  /** @param {import("./view.js").AttentionView} view */
  constructor({ store, shown, screen }) {
    this.store = store;
    this.shown = shown;
    this.screen = screen;
  }

  paint() {
    const { store, shown, screen } = this;
    const { node, box, theme, ratio } = screen;
    const { w, h } = box.why;
    const why = shown.why();
    const pen = fitCanvas(node.whyCanvas, w, h, ratio);
    const share = fitCanvas(node.share, box.share.w, SHARE_HEIGHT, ratio);
    if (!why) {
      node.whyPair.textContent = "";
      node.sum.replaceChildren(el("p", { class: "av-empty" }, "Choose a cell to see the products behind its weight."));
      return;
    }
    const { a, nk, queries, keys, focus } = shown.scene;
    paintWhy(pen, theme, w, h, why.parts, store.bar);
    paintShare(share, theme, box.share.w, a.subarray(focus.q * nk, (focus.q + 1) * nk), keys, focus.k);
    const detail = whyDetail(why, store.bar, w < SHORT_BELOW);
    node.whyPair.replaceChildren(tokenNode(queries[focus.q], "q"), " × ", tokenNode(keys[focus.k], "k"), " " + detail);
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
