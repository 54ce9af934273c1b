/* strip.js: the strip of a layer's steps, part by part, each with a small picture of what it makes. */
import { el } from "../core/dom.js";
import { paintThumb } from "./grid.js";
import { stepTitle } from "./sentences.js";
import { PARTS, resultOf } from "./steps.js";

/** The strip; anew only where the layer has other steps. */
export function drawStrip(view) {
  const n = view.node,
    ids = view.steps.map((s) => s.id + s.label).join(" ");
  if (n.steps.dataset.ids === ids) return;
  n.steps.dataset.ids = ids;
  n.tabs = view.steps.map(({ id, label }, i) =>
    el(
      "button",
      {
        type: "button",
        role: "tab",
        id: `aw-tab-${id}`,
        "data-step": id,
        "aria-controls": "aw-panel",
        "aria-label": `${i + 1}, ${stepTitle(id)}`,
        onclick: () => view.go(id),
      },
      el("canvas", { "aria-hidden": "true" }),
      stepLabel(label),
    ),
  );
  const parts = Object.keys(PARTS).map((part) => {
    const tabs = n.tabs.filter((_, i) => view.steps[i].part === part);
    if (!tabs.length) return null;
    return el(
      "div",
      { role: "presentation", class: "aw-part", style: `--n:${tabs.length}` },
      el("span", { "aria-hidden": "true", class: "aw-part-name" }, PARTS[part]),
      el("div", { role: "presentation" }, tabs),
    );
  });
  n.steps.replaceChildren(...parts.filter(Boolean));
}

function stepLabel(label) {
  const [stem, low] = label.split("_");
  return el("span", {}, stem, low ? el("sub", {}, low) : null);
}

/** The small pictures. */
export function drawThumbs(view) {
  view.steps.forEach(({ id }, i) => {
    const m = view.provenance.matrices[resultOf(view.provenance, id, view.head())];
    paintThumb(view.node.tabs[i].firstChild, view.theme, m, m.first, m.first + m.stored);
  });
}
