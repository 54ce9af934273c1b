/* follow.js: what each change of the store asks for: what is forgotten, painted anew, run and reported. No DOM. */

/** What a run of the whole model takes. */
const RUN = new Set(["temperature", "scaled", "mask", "window", "painted", "whole"]);
const ITEMS = new Set(["join", "hide", "renormalise"]);
const HEAD = new Set(["layer", "head"]);
const LOCK = new Set(["queries", "key", "side"]);
const ORDER = new Set(["sort", "tint"]);
const LOOK = new Set(["threshold", "colour", "diff"]);

/**
 * @param {string[]} names what has changed
 * @param {import("./view.js").AttentionView} view
 */
export function follow(names, view) {
  const { store, frames, outbox } = view;
  const some = (group) => names.some((name) => group.has(name));
  if (names.includes("pending")) return store.pending ? view.showWaiting() : frames.ask(); // over once it is painted
  if (followPointer(names, view)) return;
  if (some(HEAD)) forgetHead(view);
  else if (some(LOCK)) forgetChoice(view);
  else if (names.includes("zoom")) frames.mark("matrix");
  else {
    frames.slide(names);
    if (some(RUN) || some(ITEMS)) recompute(names, view);
    else if (some(ORDER)) reorder(view);
    else if (some(LOOK)) repaint(names, view);
    else {
      view.shown.forget("curves");
      frames.mark("all");
    }
  }
  outbox.send();
}

/** What only points; nobody is told of it. */
function followPointer(names, view) {
  if (names.includes("hoverHead")) forgetHead(view);
  else if (names.includes("hover")) forgetFocus(view);
  else if (names.includes("bar")) view.frames.mark("why");
  else return false;
  return true;
}

function forgetHead({ shown, frames }) {
  shown.forget("scene");
  frames.mark("head");
}

function forgetFocus({ shown, frames }) {
  shown.forget("focus");
  frames.mark("focus");
}

/** Other tokens are chosen: all heads are asked anew. */
function forgetChoice(view) {
  forgetFocus(view);
  view.asking.restart();
  view.frames.mark("ask", "grid", "controls");
}

function recompute(names, view) {
  const { store, outbox, frames } = view;
  const { state, model } = store;
  if (names.includes("join") || names.includes("hide")) store.hover = null; // it counts items
  if (store.live && names.some((name) => RUN.has(name))) outbox.run();
  const here = names.some((name) => ITEMS.has(name) || name === "painted"); // shows at once, whatever runs
  const awaited = store.pending && model.before && state.whole && !here;
  if (awaited) frames.mark("controls");
  else view.compute(names.every((name) => RUN.has(name)) ? "values" : "all");
}

function reorder({ heads, frames }) {
  if (!heads.scored()) heads.restart();
  frames.mark("grid", "text", "controls");
}

function repaint(names, { shown, heads, frames }) {
  shown.forget("scene");
  if (names.includes("diff")) heads.restart();
  frames.mark("all");
}
