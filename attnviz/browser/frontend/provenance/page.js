/* page.js: the elements of the step-by-step view, and which of the reader's hands reaches which of its methods. */
import { el } from "../core/dom.js";
import { gridKeys, panelKeys, stepKeys } from "./keys.js";
import { showFull } from "./panel.js";
import { parseCell } from "./path.js";

/** Puts the page into the view's root, with what the reader's hands do; returns its nodes. */
export function buildPage(view) {
  /** @type {Record<string, any>} */
  const n = {};
  n.steps = el("div", {
    class: "aw-steps",
    role: "tablist",
    "aria-label": "Steps",
    onkeydown: (e) => stepKeys(view, e),
  });
  n.tabs = [];
  n.title = el("h2");
  n.say = el("p", { class: "aw-say" });
  n.back = el("button", { type: "button", onclick: () => view.move(-1) }, "‹ Back");
  n.next = el("button", { type: "button", onclick: () => view.move(1) }, "Next ›");
  n.stage = el("div", { class: "aw-stage", onkeydown: (e) => gridKeys(view, e) });
  n.trace = el("section", {
    class: "aw-trace",
    "aria-label": "How this number was made",
    onkeydown: (e) => panelKeys(view, e),
  });
  n.foot = el("div", { class: "aw-foot" });
  n.live = el("div", { class: "av-sr", "aria-live": "polite" });
  n.panel = el(
    "div",
    { role: "tabpanel", id: "aw-panel" },
    el("div", { class: "aw-bar" }, el("div", {}, n.title, n.say), el("div", { class: "aw-move" }, n.back, n.next)),
    el("div", { class: "aw-main" }, el("div", {}, n.stage, n.foot), n.trace),
  );
  view.root.replaceChildren(n.steps, n.panel, n.live);
  view.root.addEventListener("keydown", (e) => {
    if ((e.key === "PageDown" || e.key === "PageUp") && !e.target.matches("input")) {
      e.preventDefault();
      view.move(e.key === "PageDown" ? 1 : -1);
    }
  });
  view.root.addEventListener("pointerleave", () => view.report());
  view.root.addEventListener("focusout", (e) => {
    if (!view.root.contains(e.relatedTarget)) view.report();
  });
  const cellAt = (e) => e.target.closest?.("[data-cell]")?.dataset.cell;
  n.stage.addEventListener("pointerover", (e) => {
    if (e.pointerType !== "touch") view.preview(cellAt(e));
  });
  n.stage.addEventListener("pointerleave", () => view.preview(null));
  n.stage.addEventListener("click", (e) => {
    const gap = e.target.closest?.("[data-gap]")?.dataset.gap.split(":");
    if (gap) view.open(gap[0], Number(gap[1]));
    else if (cellAt(e)) view.choose(parseCell(cellAt(e)));
  });
  for (const event of ["pointerover", "focusin", "click"])
    n.trace.addEventListener(event, (e) => showFull(n.trace, e.target.closest?.("[data-full]")));
  n.trace.addEventListener("pointerleave", () => showFull(n.trace));
  return n;
}
