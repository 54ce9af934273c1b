/* what-if.js: the panel "What if …": temperature, mask, the factor 1/√d, one head or the whole model. */
import { LIMITS, TEMPERATURES } from "../core/contract.js";
import { el } from "../core/dom.js";
import { maskName } from "./about.js";
import { brushBar } from "./brush-bar.js";
import { field, fieldOf, segment, seriesSlider, stepper, toggle } from "./controls.js";
import { paintedText } from "./blocked-cells.js";
import { isChanged, isPainting, plainModel } from "./selectors.js";

const MASKS = [
  ["model", "As trained"],
  ["causal", "Causal", "Only the past and itself"],
  ["none", "None"],
  ["window", "Window", "Only words nearby"],
  ["painted", "Painted", "Blocked by hand, on top of the model's own mask"],
];

const MASK_GLOSS = {
  causal: "causal: only the past and itself",
  none: "none: each word may look at all",
  window: "window: only near words",
  "model causal": "as trained = causal: only the past",
  "model none": "as trained = none: each word sees all",
  "model window": "as trained = window: only near words",
  "model padding": "as trained: all but the padding",
  "model own": "as trained: a pattern of its own",
};

const PLACES = [
  [false, "This softmax only", "Each head's weights anew, from the queries and keys of the unchanged model"],
  [true, "Rerun the model", "The model runs again with the change, so later layers see it too"],
];

/** What the chosen mask does. @param {import("./store.js").Store} store */
function maskGloss(store) {
  const { state, model } = store;
  if (isPainting(store)) return `painted: ${paintedText(state)}`;
  return MASK_GLOSS[state.mask === "model" ? `model ${maskName(plainModel(store).mask, model.S)}` : state.mask];
}

function temperatureSlider(store) {
  const ends = ["sharp", "1", "even"];
  const { temperature: limits } = LIMITS;
  return seriesSlider("Temperature", {
    series: TEMPERATURES,
    limits,
    mark: 1,
    ends,
    ...fieldOf(store, "temperature"),
  });
}

function scaleSwitch(store) {
  const root = el("span", { class: "av-root-d", role: "img", "aria-label": "the square root of d" });
  root.append("√", el("span", {}, "d"));
  return toggle(el("span", {}, "Divide by ", root), fieldOf(store, "scaled"));
}

/** @param {import("./view.js").AttentionView} view @returns {import("./controls.js").Control} */
export function whatIf(view) {
  const { store, choices } = view;
  const gloss = el("div", { class: "av-gloss" });
  const reset = el("button", { class: "av-link", type: "button", onclick: () => choices.reset() }, "Reset");
  const temperature = temperatureSlider(store);
  const window = stepper("window", "tokens", fieldOf(store, "window"));
  const brush = brushBar(view);
  const mask = segment("Mask", MASKS, fieldOf(store, "mask"));
  const scaled = scaleSwitch(store);
  const place = segment("Applies to", PLACES, fieldOf(store, "whole"));
  const node = el(
    "section",
    { class: "av-controls", "aria-label": "What if" },
    el("h2", {}, "What if …", reset),
    temperature.node,
    field("Mask", window.node, brush.node, mask.node, gloss),
    scaled.node,
    store.live && field("Applies to", place.node),
  );
  const sync = () => {
    for (const part of [temperature, window, brush, mask, scaled, place]) part.sync();
    window.node.hidden = store.state.mask !== "window";
    gloss.textContent = maskGloss(store);
    const { threshold, join, hide } = store.state;
    reset.hidden = !isChanged(store) && !threshold && !join && !hide;
  };
  return { node, sync };
}
