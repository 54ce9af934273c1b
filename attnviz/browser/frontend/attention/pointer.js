/* pointer.js: mouse, touch and keyboard on the pictures. Hover previews everywhere, click and Enter lock, Escape lets
   go. */
import { headAt, headChosen } from "./selectors.js";

/** @typedef {import("./view.js").AttentionView} View */

export const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** Position of an event inside an element, in its CSS pixels, whatever zoom stands on the page. */
export function pointIn(e, node) {
  const r = node.getBoundingClientRect();
  return [
    (e.clientX - r.left) * (node.offsetWidth / r.width || 1),
    (e.clientY - r.top) * (node.offsetHeight / r.height || 1),
  ];
}

/** Whether a further thing is added to what is chosen. */
export const isMore = (e) => e.ctrlKey || e.metaKey || e.shiftKey;

export const clamp = (v, n) => Math.max(0, Math.min(n - 1, v));

const isPlain = (e) => !e.altKey && !e.ctrlKey && !e.metaKey;

/** The arrow of an event, unless another key changes its meaning. */
export const arrowOf = (e) => (isPlain(e) ? ARROWS[e.key] : undefined);

/** Calls `leave` when the pointer or the focus has gone. */
export function listenLeave(node, leave) {
  node.addEventListener("pointerleave", leave);
  node.addEventListener("blur", leave);
}

/* ---- the grid of heads ------------------------------------------------------------------------ */

/** @param {View} view @param {HTMLCanvasElement} canvas */
export function listenGrid({ store, screen, choices, voice, heads }, canvas) {
  const at = (e) => headAt(store.model, screen.lay.grid.hit(...pointIn(e, canvas)));
  canvas.addEventListener("pointermove", (e) => {
    if (e.pointerType === "touch") return;
    const k = at(e);
    choices.preview(k);
    if (k === null) return voice.hideTip();
    const { grid } = screen.lay;
    const [x, y] = grid.at(k);
    voice.tip(canvas, x + grid.cw / 2, y - 2, heads.label(k));
  });
  canvas.addEventListener("pointerleave", () => {
    voice.hideTip();
    choices.preview(null);
  });
  canvas.addEventListener("click", (e) => {
    const k = at(e);
    if (k === null) return;
    if (isMore(e)) choices.toggleHead(k);
    else choices.select(k);
  });
  canvas.addEventListener("keydown", (e) => {
    const arrow = arrowOf(e);
    if (e.key === "Enter") {
      if (isMore(e)) choices.toggleHead(headChosen(store));
      voice.speak();
    } else if (arrow) {
      const next = headBeside(store, screen.lay.grid, arrow);
      if (next !== null) choices.select(next);
    } else return;
    e.preventDefault();
  });
}

/** The head that an arrow leads to; null at the end of the order. */
function headBeside(store, { order, nx, heads, layers }, [down, right]) {
  const k = headChosen(store);
  if (order) return order[order.indexOf(k) + down * nx + right] ?? null;
  const layer = clamp(((k / heads) | 0) + down, layers);
  const head = clamp((k % heads) + right, store.model.layers[layer].heads);
  return layer * heads + head;
}

/* ---- the curves ------------------------------------------------------------------------------- */

/** @param {View} view @param {HTMLCanvasElement} canvas */
export function listenLines({ store, shown, screen, choices, voice }, canvas) {
  const target = (e) => {
    const hit = screen.lay.lines.at(...pointIn(e, canvas));
    if (!hit) return null;
    return hit.side === "q" ? queryTarget(shown.curves.rows[hit.i]) : keyTarget(shown.curves.columns[hit.i]);
  };
  canvas.addEventListener("pointermove", (e) => {
    if (e.pointerType !== "touch") choices.hover(target(e));
  });
  canvas.addEventListener("click", (e) => {
    const to = target(e);
    if (!to) return;
    if (isMore(e) && to.side === "q") choices.toggleQuery(to.queries[0]);
    else choices.toggleLock(to);
  });
  canvas.addEventListener("keydown", (e) => {
    const arrow = arrowOf(e);
    if (e.key === "Enter" && store.hover) choices.lock(store.hover);
    else if (arrow) {
      choices.hover(tokenBeside(shown, screen.lay.lines, arrow));
      voice.speak();
    } else return;
    e.preventDefault();
  });
  listenLeave(canvas, () => choices.hover(null));
}

/** The token that an arrow leads to: along its side, or over to the other one. */
function tokenBeside({ scene, curves }, { horizontal, rtl }, [down, right]) {
  const along = horizontal ? right * (rtl ? -1 : 1) : down;
  const over = horizontal ? down : right;
  const { focus } = scene;
  const side = over ? (over > 0 ? "k" : "q") : focus.side;
  const list = side === "q" ? curves.rows : curves.columns;
  const now = list.indexOf(side === "q" ? focus.q : focus.k);
  const i = list[clamp(Math.max(0, now) + along, list.length)];
  return side === "q" ? queryTarget(i) : keyTarget(i);
}

/** @returns {import("./store.js").Target} */
export const queryTarget = (q, k = null) => ({ side: "q", queries: [q], key: k });

/** @returns {import("./store.js").Target} */
export const keyTarget = (k) => ({ side: "k", queries: [], key: k });

/* ---- the products ----------------------------------------------------------------------------- */

/** @param {View} view @param {HTMLCanvasElement} canvas */
export function listenWhy({ store, choices, voice }, canvas) {
  const go = (bar) => choices.point(clamp(bar, store.model.d));
  canvas.addEventListener("pointermove", (e) => go(((pointIn(e, canvas)[0] / canvas.offsetWidth) * store.model.d) | 0));
  canvas.addEventListener("keydown", (e) => {
    const step = ARROWS[e.key]?.[1];
    if (!step) return;
    e.preventDefault();
    go((store.bar ?? -step) + step);
    voice.speakBar();
  });
  listenLeave(canvas, () => choices.point(null));
}

/* ---- the chips -------------------------------------------------------------------------------- */

/**
 * Chips: hover and focus preview, click locks, with Ctrl or Shift several; arrows move along the row.
 *
 * @param {View} view
 * @param {HTMLElement} box
 * @param {() => HTMLElement[]} all the chips
 */
export function listenChips({ store, choices, voice }, box, all) {
  const chipAt = (e) => e.target.closest(".av-chip");
  const target = ({ dataset: { side, i } }) => (side === "k" ? keyTarget(Number(i)) : queryTarget(Number(i)));
  box.addEventListener("pointerover", (e) => {
    if (e.pointerType === "touch") return;
    const chip = chipAt(e);
    choices.hover(chip ? target(chip) : null);
  });
  box.addEventListener("pointerleave", () => choices.hover(null));
  box.addEventListener("click", (e) => {
    const chip = chipAt(e);
    if (!chip) return;
    const to = target(chip);
    if (isMore(e) && to.side === "q") choices.toggleQuery(to.queries[0]);
    else choices.toggleLock(to);
  });
  box.addEventListener("keydown", (e) => {
    const chips = all();
    const ahead = store.model.dir === "rtl" ? -1 : 1;
    const by = { ArrowRight: ahead, ArrowLeft: -ahead, Home: -chips.length, End: chips.length }[e.key];
    if (!by) return;
    e.preventDefault();
    chips[clamp(chips.findIndex((chip) => chip === e.target) + by, chips.length)].focus();
  });
  box.addEventListener("focusin", (e) => {
    const chip = chipAt(e);
    if (!chip || !chip.matches(":focus-visible")) return;
    choices.hover(target(chip));
    voice.speak();
  });
  box.addEventListener("focusout", () => choices.hover(null));
}
