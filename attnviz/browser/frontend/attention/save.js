/* save.js: the button "Save …": the view as a picture, the head's weights as a table, and what only the server can
   write. */
import { el } from "../core/dom.js";
import { download } from "../core/download.js";
import { picture, pictureNames } from "./picture.js";
import { aboutLines } from "./about.js";
import { toCsv, toPng, toSvg } from "./export.js";

/** @typedef {import("./view.js").AttentionView} View */

/** The weights in view as CSV, as shown: with joined words and hidden tokens if those are on. @param {View} view */
function headCsv({ shown }) {
  const { a, queries, keys } = shown.scene;
  const labels = (list) => list.map((item) => item.full);
  return toCsv(a, labels(queries), labels(keys));
}

/**
 * What can be saved: title, gloss and what makes the file.
 *
 * @param {View} view
 * @param {() => string} part which part a picture is of
 * @returns {[string, string, () => void][]}
 */
function saveActions(view, part) {
  const { store, screen, onExport } = view;
  const name = (kind, of = "whole") => {
    const { model, state } = store;
    const end = of === "whole" ? "" : `-${of}`;
    return `attnviz-${model.name || "view"}-layer${state.layer}-head${state.head}${end}.${kind}`;
  };
  const options = () => ({
    title: [screen.node.say.textContent, ...aboutLines(store)].join(" "),
    background: screen.theme.paper,
  });
  const svg = () => {
    const { width, height, paint } = picture(view, part());
    const text = toSvg(paint, width, height, options());
    download(name("svg", part()), new Blob([text], { type: "image/svg+xml" }));
  };
  const png = async () => {
    const { width, height, paint } = picture(view, part());
    download(name("png", part()), await toPng(paint, width, height, { scale: 2, ...options() }));
  };
  const csv = () => download(name("csv"), new Blob([headCsv(view)], { type: "text/csv" }));
  return [
    ["Picture, SVG", "vectors, text stays text", svg],
    ["Picture, PNG", "pixels, at twice the size", png],
    ["Weights, CSV", "this head as a table", csv],
    ...(onExport ? serverActions(onExport) : []),
  ];
}

/** @returns {[string, string, () => void][]} */
function serverActions(onExport) {
  return [
    ["Whole trace, NPZ", "all arrays, for NumPy", () => onExport("npz")],
    ["Interactive page, HTML", "one file, works offline", () => onExport("html")],
  ];
}

/** Says of an entry whether there is a page in which this model runs, or why not. @param {View} view */
function syncLivePage({ noLivePage }, entry) {
  entry.hidden = noLivePage === null;
  entry.setAttribute("aria-disabled", String(!!noLivePage));
  entry.querySelector("small").textContent = noLivePage || "one file: type, and the model runs in it";
}

/** The button and its list. @param {View} view */
export function saveMenu(view) {
  const open = (on) => {
    syncLivePage(view, livePage);
    list.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
  };
  const item = ([title, gloss, run]) => {
    const onclick = (e) => {
      if (e.currentTarget.getAttribute("aria-disabled") === "true") return;
      open(false);
      button.focus();
      run();
    };
    return el("button", { type: "button", role: "menuitem", tabindex: "-1", onclick }, title, el("small", {}, gloss));
  };
  let part = "whole";
  const choices = pictureNames().map(([of, text]) => {
    const onclick = () => {
      part = of;
      for (const [i, choice] of choices.entries())
        choice.setAttribute("aria-checked", String(pictureNames()[i][0] === of));
    };
    const checked = { role: "menuitemradio", "aria-checked": String(of === part) };
    return el("button", { type: "button", tabindex: "-1", ...checked, onclick }, text);
  });
  const parts = el("div", { class: "av-parts", role: "group", "aria-label": "Picture of" }, choices);
  const entries = saveActions(view, () => part).map(item);
  const livePage = item(["A live page of this model, HTML", "", () => view.onExport("live")]);
  if (view.onExport) entries.push(livePage);
  const all = [...choices, ...entries];
  const label = el("span", { class: "av-parts-name", "aria-hidden": "true" }, "Picture of");
  const list = el("div", { role: "menu", "aria-label": "Save as", hidden: true });
  list.append(label, parts, ...entries);
  const onclick = () => {
    open(list.hidden);
    if (!list.hidden) all[0].focus();
  };
  const attributes = { type: "button", class: "av-button", "aria-haspopup": "menu", "aria-expanded": "false", onclick };
  const button = el("button", attributes, "Save …");
  const onkeydown = (e) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[e.key];
    if (e.key === "Escape" && !list.hidden) {
      open(false);
      button.focus();
      e.stopPropagation();
    }
    if (!step || list.hidden) return;
    e.preventDefault();
    const items = all.filter((one) => !one.hidden);
    items[(items.indexOf(e.target) + step + items.length) % items.length].focus();
  };
  const onfocusout = (e) => {
    if (!list.hidden && e.relatedTarget && !menu.contains(e.relatedTarget)) open(false);
  };
  const menu = el("div", { class: "av-menu", onkeydown, onfocusout }, button, list);
  return menu;
}
