/* save.js: the button "Save …": the view as a picture, the head's weights as a table, and what only the server can
   write. */
import { el } from "../core/dom.js";
import { download } from "../core/download.js";
import { PICTURE, paintPicture } from "./picture.js";
import { toCsv, toPng, toSvg } from "./export.js";

/** @typedef {import("./view.js").AttentionView} View */

/** The weights in view as CSV, as shown: with joined words and hidden tokens if those are on. @param {View} view */
function headCsv({ shown }) {
  const { a, queries, keys } = shown.scene;
  const labels = (list) => list.map((item) => item.label);
  return toCsv(a, labels(queries), labels(keys));
}

/**
 * What can be saved: title, gloss and what makes the file.
 *
 * @param {View} view
 * @returns {[string, string, () => void][]}
 */
function saveActions(view) {
  const { store, screen, onExport } = view;
  const { width, height } = PICTURE;
  const name = (kind) => {
    const { model, state } = store;
    return `attnviz-${model.name || "view"}-layer${state.layer}-head${state.head}.${kind}`;
  };
  const draw = (g) => paintPicture(view, g);
  const options = () => ({ title: screen.node.say.textContent, background: screen.theme.paper });
  const keep = (kind, type, text) => download(name(kind), new Blob([text], { type }));
  const svg = () => keep("svg", "image/svg+xml", toSvg(draw, width, height, options()));
  const png = async () => download(name("png"), await toPng(draw, width, height, { scale: 2, ...options() }));
  return [
    ["Picture, SVG", "vectors, text stays text", svg],
    ["Picture, PNG", "pixels, at twice the size", png],
    ["Weights, CSV", "this head as a table", () => keep("csv", "text/csv", headCsv(view))],
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

/** The button and its list. @param {View} view */
export function saveMenu(view) {
  const open = (on) => {
    list.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
  };
  const item = ([title, gloss, run]) => {
    const onclick = () => {
      open(false);
      button.focus();
      run();
    };
    return el("button", { type: "button", role: "menuitem", tabindex: "-1", onclick }, title, el("small", {}, gloss));
  };
  const items = saveActions(view).map(item);
  const list = el("div", { role: "menu", "aria-label": "Save as", hidden: true }, items);
  const onclick = () => {
    open(list.hidden);
    if (!list.hidden) items[0].focus();
  };
  const attributes = { type: "button", class: "av-button", "aria-haspopup": "menu", "aria-expanded": "false", onclick };
  const button = el("button", attributes, "Save …");
  const onkeydown = (e) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (e.key === "Escape" && !list.hidden) {
      open(false);
      button.focus();
      e.stopPropagation();
    }
    if (!step || list.hidden) return;
    e.preventDefault();
    items[(items.indexOf(e.target) + step + items.length) % items.length].focus();
  };
  const onfocusout = (e) => {
    if (!list.hidden && e.relatedTarget && !menu.contains(e.relatedTarget)) open(false);
  };
  const menu = el("div", { class: "av-menu", onkeydown, onfocusout }, button, list);
  return menu;
}
