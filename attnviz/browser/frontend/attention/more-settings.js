/* more-settings.js: settings beside the question, above the matrix and, needed less often, in a row below the
   pictures. */
import { el } from "../core/dom.js";
import { percent } from "../core/format.js";
import { field, fieldOf, list, segment, slider, toggle } from "./controls.js";
import { isChanged } from "./selectors.js";

/** @typedef {import("./controls.js").Control} Control */
/** @typedef {import("./store.js").Store} Store */

const COLOURS = [
  ["sqrt", "√ root"],
  ["linear", "Linear"],
  ["log", "Log"],
];

const CURVES = [
  [null, "Follow the writing direction"],
  [false, "Side by side"],
  [true, "One above the other"],
];

/** The two switches beside the question. @param {Store} store */
export function tokenSwitches(store) {
  const long = (text) => el("span", { class: "av-long" }, text);
  const join = toggle(["Join pieces", long(" into words")], fieldOf(store, "join"));
  const hide = toggle("Hide special tokens", fieldOf(store, "hide"));
  join.node.title = "Keys add up, queries average";
  const sync = () => {
    join.sync();
    hide.sync();
  };
  return { nodes: [join.node, hide.node], sync };
}

/** The switch above the matrix. @param {Store} store @returns {Control} */
export function changeSwitch(store) {
  const part = toggle("Show the change", fieldOf(store, "diff"));
  const sync = () => {
    part.sync();
    part.node.hidden = !isChanged(store);
  };
  return { node: part.node, sync };
}

/** Two lists in a row: curves from one sentence to another. @param {Store} store @returns {Control} */
function sentencePair(store) {
  const { model } = store;
  const get = (at) => () => (store.state.sentences ? store.state.sentences[at] : "");
  const set = (at, others) => (value) => {
    if (value === "") return store.change({ sentences: null });
    const same = Math.min(Number(value), others - 1);
    /** @type {[number, number]} */
    const pair = store.state.sentences ? [...store.state.sentences] : [same, same];
    pair[at] = Number(value);
    store.change({ sentences: pair });
  };
  const { sentences, keySentences } = model;
  const from = list("Curves from sentence", sentenceOptions(sentences, model.tokens), {
    get: get(0),
    set: set(0, keySentences.length),
  });
  const to = list("Curves to sentence", sentenceOptions(keySentences, model.keys), {
    get: get(1),
    set: set(1, sentences.length),
  });
  const pair = el("span", { class: "av-pair" }, from.node, "→", to.node);
  const sync = () => {
    from.sync();
    to.sync();
  };
  return { node: field("Curves from one sentence to another", pair), sync };
}

/** Sentences by number and beginning. */
function sentenceOptions(spans, tokens) {
  const start = ([a, b]) => tokens.slice(a, b).filter((token) => !token.sp);
  const text = (span) =>
    start(span)
      .map((token) => token.label)
      .join(" ")
      .slice(0, 28);
  return [["", "all sentences"], ...spans.map((span, i) => [String(i), `${i}: ${text(span)} …`])];
}

function thresholdSlider(store) {
  return slider("Show weights from", {
    min: 0,
    max: 0.7,
    step: 0.01,
    show: () => (store.state.threshold ? percent(store.state.threshold) : "all"),
    get: () => Math.sqrt(store.state.threshold),
    set: (x) => store.change({ threshold: Number((x * x).toFixed(4)) }),
  });
}

/**
 * Settings that are needed less often, and the head as a list.
 *
 * @param {Store} store
 * @param {() => void} onRead called when the list may have come into view
 */
export function moreSettings(store, onRead) {
  const { sentences, keySentences } = store.model;
  const items = el("ol", { class: "av-list", tabindex: "0", "aria-label": "This head in words", hidden: true });
  const onclick = () => {
    items.hidden = !items.hidden;
    read.setAttribute("aria-expanded", String(!items.hidden));
    onRead();
  };
  const button = { type: "button", class: "av-button", "aria-expanded": "false", onclick };
  const read = el("button", button, "Read this head as a list");
  const threshold = thresholdSlider(store);
  const colour = segment("Colour of a weight", COLOURS, fieldOf(store, "colour"));
  const curves = segment("Curves", CURVES, fieldOf(store, "horizontal"));
  const pair = sentences.length > 1 || keySentences.length > 1 ? sentencePair(store) : null;
  const label = "Hidden tokens: let each row add up to 100\u202f% again";
  const renormalise = toggle(label, fieldOf(store, "renormalise"));
  const grid = el(
    "div",
    { class: "av-more-grid" },
    threshold.node,
    field("Colour of a weight", colour.node),
    field("Curves", curves.node),
    pair?.node,
    renormalise.node,
    el("div", {}, read),
    items,
  );
  const node = el("details", { class: "av-more", ontoggle: onRead }, el("summary", {}, "More settings"), grid);
  const sync = () => {
    for (const part of [threshold, colour, curves, pair, renormalise]) part?.sync();
    renormalise.node.hidden = !store.state.hide;
  };
  /** the list, while it is in view */
  const open = () => (items.hidden || !node.open ? null : items);
  return { node, sync, open };
}
