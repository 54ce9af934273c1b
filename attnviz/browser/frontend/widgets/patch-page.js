/* patch-page.js: the elements around the picture, and which hand of the reader reaches which method of the view. */
import { el } from "../core/dom.js";
import { percent } from "../core/format.js";
import { PATCH_ROLLOUT } from "./patch-rows.js";
import { headKey, patchKey } from "./patch-keys.js";

/** Puts the page into the view's root, with what the reader's hands do; returns its nodes. */
export function buildPatches(view) {
  /** @type {Record<string, any>} */
  const n = {};
  n.say = el("p", { class: "av-say" });
  n.heads = el("div", {
    class: "ap-tiles",
    role: "grid",
    "aria-label": "Heads: a row per layer, a column per head, the last column is rollout",
    onkeydown: (e) => headKey(view, e),
  });
  n.answer = el("section", { class: "ap-answer" });
  n.title = el("span");
  n.changed = el("small");
  n.off = el("button", { type: "button", class: "av-button", onclick: () => view.switchHead() });
  n.on = el("button", { type: "button", class: "av-button", onclick: () => view.choose({ off: "" }) }, "All on again");
  n.chips = el("div", { class: "ap-chips", role: "group", "aria-label": "Tokens that are no patch" });
  n.canvas = el("canvas", { role: "img" });
  n.over = el("div", {
    class: "ap-over",
    role: "grid",
    "aria-label":
      "Patches: arrow keys move, Enter makes a patch the one that looks, Escape goes back to the class token",
    onkeydown: (e) => patchKey(view, e),
  });
  n.legend = el("canvas", { "aria-hidden": "true" });
  n.live = el("div", { class: "av-sr", "aria-live": "polite" });
  view.root.replaceChildren(
    n.say,
    el(
      "div",
      { class: "ap-main" },
      el("section", {}, el("h2", {}, "All heads", el("small", {}, "heads → layers ↓")), n.heads, n.answer),
      el(
        "section",
        { class: "ap-big" },
        el("h2", {}, n.title, n.changed),
        n.chips,
        el("div", { class: "ap-stage" }, n.canvas, n.over),
        n.legend,
        el("div", { class: "ap-tools" }, n.off, n.on),
      ),
    ),
    n.live,
  );
  n.over.addEventListener("pointerover", (e) => view.point(view.tokenOf(e)));
  n.over.addEventListener("pointerleave", () => view.point(null));
  n.over.addEventListener("focusin", (e) => view.point(view.tokenOf(e)));
  n.over.addEventListener("focusout", () => view.point(null));
  n.over.addEventListener("click", (e) => view.ask(view.tokenOf(e)));
  n.heads.addEventListener("pointerover", (e) => {
    if (e.pointerType !== "touch") view.preview(e.target.closest("[data-head]"));
  });
  n.heads.addEventListener("pointerleave", () => view.preview(null));
  n.heads.addEventListener("click", (e) => {
    const tile = e.target.closest("[data-head]");
    if (tile) view.pick(+tile.dataset.layer, +tile.dataset.head);
  });
  return n;
}

/** Classes with bars: pale as trained, blue now. */
export function showAnswer(node, rows, changed) {
  const bar = (share, name) => el("i", { class: name, style: `width:${100 * share}%` });
  node.hidden = !rows.length;
  node.replaceChildren(
    el("h2", {}, "The answer", el("small", {}, changed ? "pale: as trained" : "")),
    el(
      "ul",
      {},
      rows.map(([name, before, now]) =>
        el(
          "li",
          {},
          el("span", { class: "name", title: name }, name),
          el("span", { class: "bar", "aria-hidden": "true" }, changed ? bar(before, "before") : null, bar(now, "now")),
          el("span", { class: "share" }, now < 0.001 ? "" : percent(now)),
          changed ? el("span", { class: "av-sr" }, `, ${percent(before)} as trained`) : null,
        ),
      ),
    ),
  );
}

/** The elements that a model needs: patches, special tokens, heads. */
export function layPatches(view) {
  const { side, special, layers, heads } = view.model,
    { node: n } = view,
    grid = (count, of) => Array.from({ length: count }, (_, i) => of(i));
  n.over.style.setProperty("--side", side);
  view.cells = grid(side * side, (i) => el("div", { role: "gridcell", "data-token": special + i, tabindex: "-1" }));
  n.over.replaceChildren(
    ...grid(side, (row) => el("div", { role: "row" }, view.cells.slice(row * side, (row + 1) * side))),
  );
  view.chips = grid(special, (token) =>
    el("button", {
      type: "button",
      class: "av-chip sp",
      "data-token": token,
      onclick: () => view.ask(token),
      onpointerenter: () => view.point(token),
      onpointerleave: () => view.point(null),
      onfocus: () => view.point(token),
      onblur: () => view.point(null),
    }),
  );
  n.chips.replaceChildren(...view.chips);
  view.tiles.clear();
  const tile = (layer, head) => {
    const cell = el(
      "div",
      { role: "gridcell", "data-layer": layer, "data-head": head, tabindex: "-1" },
      el("canvas", { "aria-hidden": "true" }),
    );
    view.tiles.set(`${layer}.${head}`, cell);
    return cell;
  };
  const name = (text, role) => el("div", { role, class: "ap-name" }, text);
  n.heads.style.setProperty("--columns", heads);
  n.heads.replaceChildren(
    el(
      "div",
      { role: "row" },
      name("", "columnheader"),
      grid(heads, (head) => name(heads > 8 && head % 2 ? "" : String(head), "columnheader")),
      name("rollout", "columnheader"),
    ),
    ...grid(layers, (layer) =>
      el(
        "div",
        { role: "row" },
        name(String(layer), "rowheader"),
        grid(heads, (head) => tile(layer, head)),
        tile(layer, PATCH_ROLLOUT),
      ),
    ),
  );
}
