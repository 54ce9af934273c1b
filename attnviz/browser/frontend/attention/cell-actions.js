/* cell-actions.js: what can be done with the cell that "Why this weight" is about: trace its number, block it, see what
   temperature does to its row. */
import { el } from "../core/dom.js";
import { queryTarget } from "./pointer.js";
import { headChosen, headOf, isChanged, isPainting, layerOf } from "./selectors.js";

/**
 * A cell that another page shall open on, in tokens.
 *
 * @typedef {object} Question
 * @property {"trace" | "temperature" | "head"} about
 * @property {number} layer
 * @property {number} head
 * @property {number} query
 * @property {number} key
 * @property {string} mask the mask that the other page can take over, else "model"
 * @property {string} temperature
 */

const TRACE = "Trace this number";
const AS_TRAINED = `${TRACE} as trained`;

/** A quiet button of text. */
const action = (text, title, onclick) => el("button", { type: "button", class: "av-link", title, onclick }, text);

/**
 * The buttons; those that lead to another page only where the page around offers it.
 *
 * @param {import("./view.js").AttentionView} view
 * @param {((question: Question) => void) | null} onAsk
 * @param {number} reach tokens that the other pages show
 * @returns {import("./controls.js").Control}
 */
export function cellActions(view, onAsk, reach) {
  const { store, shown } = view;
  const ask = (about) => () => {
    const why = shown.why();
    if (why && Math.max(...why.pair) < reach) onAsk(questionOf(store, about, why.pair));
  };
  const trace = action(TRACE, "Opens Step by step on this number", ask("trace"));
  const mask = action("Mask it", null, () => toggleCell(view));
  const temperature = action("Temperature on this row", "What does temperature do to this row?", ask("temperature"));
  const node = el("div", { class: "av-actions", role: "group", "aria-label": "With this weight" });
  node.append(...(onAsk ? [trace, mask, temperature] : [mask]));
  const sync = () => {
    const why = shown.why();
    node.hidden = !why;
    if (!why) return;
    const { focus, painted } = shown.scene;
    const blocked = painted?.(focus.q, focus.k);
    mask.textContent = blocked ? "Unmask it" : "Mask it";
    mask.title = blocked || why.allowed ? "Blocks this query from this key" : "The model's own mask hides it already";
    idle(mask, !blocked && !why.allowed);
    trace.textContent = isTraceable(store) ? TRACE : AS_TRAINED;
    const far = Math.max(...why.pair) >= reach;
    for (const button of [trace, temperature]) idle(button, far);
    node.title = far && onAsk ? `The lessons show the first ${reach} tokens of a text` : "";
  };
  return { node, sync };
}

/** Marks a button that does nothing now; `disabled` would drop the focus. */
const idle = (button, on) => button.setAttribute("aria-disabled", String(on));

/** Whether Step by step can show the number on screen: it knows the model as trained, and two masks. */
function isTraceable(store) {
  const { temperature, scaled, mask, whole } = store.state;
  return !isChanged(store) || (!whole && temperature === 1 && scaled && (mask === "causal" || mask === "none"));
}

/** @param {number[]} pair @returns {Question} */
function questionOf(store, about, pair) {
  const [query, key] = pair;
  const { state, model } = store;
  const head = headChosen(store);
  const at = { layer: layerOf(model, head), head: headOf(model, head), query, key };
  return { about, ...at, mask: isTraceable(store) ? state.mask : "model", temperature: String(state.temperature) };
}

/** Blocks the cell in focus by hand, or allows it again, and keeps it in focus. */
function toggleCell({ store, shown, choices, brush }) {
  const { q, k } = shown.scene.focus;
  if (q < 0 || k < 0) return;
  choices.lock(queryTarget(q, k));
  if (!isPainting(store)) store.change({ mask: "painted", painted: [] });
  brush.start(q, k);
  brush.end();
}
