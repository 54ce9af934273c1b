/* selectors.js: from the state and the model to what is computed: which run, under which settings, which head. Pure,
   no DOM. */
import { weights } from "./maths.js";
import { paintedBits } from "./blocked-cells.js";

/**
 * What selectors look at; a Store is one.
 *
 * @typedef {object} Snapshot
 * @property {import("./state.js").State} state
 * @property {import("./unpack.js").Model} model
 * @property {boolean} compact
 * @property {import("./store.js").Target | null} hover
 * @property {number | null} hoverHead
 */

/** @typedef {import("./unpack.js").Model} Model */

/** The model as trained. @param {Snapshot} at */
export const plainModel = ({ model }) => model.before || model;

/** Whether what shows is a run of the whole model with the change. @param {Snapshot} at */
export const hasRun = ({ state, model, compact }) => (state.whole || compact) && model.before !== null;

/** The run that shows. @param {Snapshot} at */
export const sourceOf = (at) => (hasRun(at) ? at.model : plainModel(at));

/** @param {Pick<Snapshot, "state">} at */
export const isPainting = ({ state }) => state.mask === "painted";

/** Whether anything differs from the model as trained. @param {Snapshot} at */
export function isChanged(at) {
  const { state } = at;
  return hasRun(at) || state.temperature !== 1 || !state.scaled || !isOwnMask(state, plainModel(at).mask);
}

/** Whether the chosen mask is the one that the model has anyway. */
function isOwnMask(state, mask) {
  const whole = mask.window == null;
  return (
    state.mask === "model" ||
    (state.mask === "causal" && mask.causal && whole) ||
    (state.mask === "none" && !mask.causal && whole && !mask.dense) ||
    (state.mask === "painted" && !state.painted.length)
  );
}

/**
 * Settings under which the shown run gives the shown weights.
 *
 * @param {Snapshot} at
 * @returns {import("./masks.js").Settings}
 */
export function settingsOf(at) {
  const { state, model } = at;
  const painted = isPainting(at) ? paintedBits(state.painted, model.T, model.S) : null;
  // a run holds the other changes already; cells painted since show at once
  if (hasRun(at)) return painted ? { mask: "painted", painted, under: plainModel(at) } : {};
  const temperature = state.temperature === 1 ? null : state.temperature;
  return { temperature, scaled: state.scaled ? null : false, mask: state.mask, window: state.window, painted };
}

/* ---- heads: layer · heads + head -------------------------------------------------------- */

/** @param {Model} model */
export const layerOf = (model, k) => (k / model.headsN) | 0;

/** @param {Model} model */
export const headOf = (model, k) => k % model.headsN;

/** @param {Model} model */
export const headNumber = (model, layer, head) => layer * model.headsN + head;

/** The chosen head. @param {Pick<Snapshot, "state" | "model">} at */
export const headChosen = ({ state, model }) => headNumber(model, state.layer, state.head);

/** The head in view: the one under the pointer, else the chosen one. @param {Snapshot} at */
export const headShown = (at) => at.hoverHead ?? headChosen(at);

/** The head of this number, or null where a layer has fewer. @param {Model} model */
export function headAt(model, k) {
  const exists =
    k != null && k < model.headsN * model.layersN && headOf(model, k) < model.layers[layerOf(model, k)].heads;
  return exists ? k : null;
}

/** @param {Model} model @returns {number[]} */
export function headList(model) {
  return Array.from({ length: model.headsN * model.layersN }, (_, k) => k).filter((k) => headAt(model, k) !== null);
}

/**
 * The name of a head; where heads share keys and values, with the group of those that share them.
 *
 * @param {Model} model
 */
export function headName(model, k) {
  const layer = layerOf(model, k);
  const head = headOf(model, k);
  const { groups } = model.layers[layer];
  return `Layer ${layer}, head ${head}${groups ? ` in key group ${groups[head]}` : ""}`;
}

/** A head's weights, tokens by tokens, under the settings. @param {Snapshot} at */
export function headWeights(at, k, keep = true, out = null) {
  return weights(sourceOf(at), layerOf(at.model, k), headOf(at.model, k), settingsOf(at), out, keep);
}

/** The same of the model as trained. @param {Snapshot} at */
export function plainWeights(at, k, keep = true) {
  return weights(plainModel(at), layerOf(at.model, k), headOf(at.model, k), {}, null, keep);
}

/** Names the heads whose queries or keys are not finite, or "" if there are none. @param {Model} model */
export function brokenText(model) {
  const broken = model.layers.flatMap((layer, l) => layer.broken.map((h) => `${l}.${h}`));
  if (!broken.length) return "";
  const count = broken.length === 1 ? "head" : `${broken.length} heads,`;
  const heads = `${count} ${broken.slice(0, 4).join(", ")}${broken.length > 4 ? ", …" : ""}`;
  return (
    `The queries or keys of ${heads} hold values that are not finite (NaN or infinite). ` +
    "Rows that need them are empty here; everything else is as computed."
  );
}
