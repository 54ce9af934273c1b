/* pointer-matrix.js: mouse, touch and keyboard on the matrix: point, lock, paint, pan and zoom. */
import { el } from "../core/dom.js";
import { percent, points } from "../core/format.js";
import { arrowOf, clamp, isMore, keyTarget, listenLeave, pointIn, queryTarget } from "./pointer.js";

/** @typedef {import("./view.js").AttentionView} View */

/** @param {View} view @param {HTMLCanvasElement} canvas */
export function listenMatrix(view, canvas) {
  const { screen, choices, voice, brush } = view;
  const drag = listenZoom(view, canvas);
  listenBrush(view, canvas, drag.fingers);
  const cellAt = (e) => screen.lay.matrix.at(...pointIn(e, canvas));
  const targetAt = ({ q, k }) => (q >= 0 ? queryTarget(q, k >= 0 ? k : null) : k >= 0 ? keyTarget(k) : null);
  canvas.addEventListener("pointermove", (e) => {
    if (drag.busy()) return voice.hideTip();
    if (e.pointerType === "touch") return;
    const cell = cellAt(e);
    choices.hover(targetAt(cell));
    if (cell.q >= 0 && cell.k >= 0 && !brush.stroke)
      cellTip(view, cell.q, cell.k); // it would cover what is painted
    else voice.hideTip();
  });
  listenLeave(canvas, () => choices.hover(null));
  canvas.addEventListener("pointerleave", () => voice.hideTip());
  canvas.addEventListener("click", (e) => {
    if (drag.moved()) return;
    const cell = cellAt(e);
    if (brush.painting() && cell.q >= 0 && cell.k >= 0 && !isMore(e)) return; // the stroke was all
    const target = targetAt(cell);
    if (cell.q >= 0 && isMore(e)) choices.toggleQuery(cell.q);
    else if (target) choices.lock(target);
  });
  canvas.addEventListener("keydown", (e) => {
    if (matrixKey(view, e)) e.preventDefault();
  });
}

/** What a key does on the matrix; false if nothing. @param {View} view @param {KeyboardEvent} e */
function matrixKey(view, e) {
  const { zoom, brush, choices, shown } = view;
  const { q, k } = shown.scene.focus;
  const factor = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, _: 1 / 1.5, 0: 0 }[e.key];
  if (factor !== undefined) zoom.by(factor);
  else if (brush.undoKey(e)) return false;
  else if (e.key === " " && brush.painting()) brushCell(view, q, k);
  else if (e.key === "Enter" || e.key === " ") {
    if (q >= 0 && e.shiftKey) choices.toggleQuery(q);
    else if (q >= 0) choices.lock(queryTarget(q, k));
  } else return moveCell(view, e);
  return true;
}

function brushCell({ brush, voice }, q, k) {
  if (q < 0 || k < 0) return;
  brush.start(q, k);
  brush.end();
  voice.speak();
}

/** Moves the cell in focus by an arrow, or to an end of its row. */
function moveCell({ choices, zoom, voice, shown }, e) {
  const { nq, nk, focus } = shown.scene;
  const ends = e.altKey || e.ctrlKey || e.metaKey ? undefined : { Home: 0, End: nk - 1 }[e.key];
  const arrow = arrowOf(e);
  if (!arrow && ends === undefined) return false;
  const step = (now, by) => Math.max(now, 0) + (now < 0 ? 0 : by); // nothing is marked yet: the first one
  const [down, right] = arrow || [0, 0];
  const q = clamp(step(focus.q, down), nq);
  const k = ends ?? clamp(step(focus.k, right), nk);
  choices.hover(queryTarget(q, k));
  zoom.reveal(q, k);
  voice.speak();
  return true;
}

/** The tip of a cell: its tokens and what it shows. @param {View} view */
function cellTip({ shown, screen, voice }, q, k) {
  const { a, change, allowed, painted, nk, queries, keys } = shown.scene;
  const at = q * nk + k;
  const value = el("b");
  if (allowed && !allowed(q, k)) value.textContent = painted?.(q, k) ? "blocked" : "masked";
  else value.textContent = change ? `${points(change[at])} points` : percent(a[at]);
  const name = (item) => {
    const bdi = el("bdi");
    bdi.textContent = item.label;
    return bdi;
  };
  const { matrix } = screen.lay;
  const content = [name(queries[q]), " → ", name(keys[k]), value];
  voice.tip(screen.node.matrix, matrix.x(k) + matrix.c / 2, matrix.y(q), content);
}

/** Where a mask is painted, one finger or the mouse draws a stroke; a second finger takes it back, and zooms. */
function listenBrush(view, canvas, fingers) {
  const { screen, choices, brush } = view;
  const end = (e) => {
    if (!brush.stroke) return;
    const { last } = brush.stroke;
    brush.end();
    if (e.pointerType === "touch" && last)
      choices.lock(queryTarget(...last)); // no pointer stays to point
    else if (last) cellTip(view, last[0], last[1]);
  };
  canvas.addEventListener("pointerdown", (e) => {
    if (!brush.painting() || e.button) return;
    if (fingers() > 1) return brush.cancel();
    const { q, k } = screen.lay.matrix.at(...pointIn(e, canvas));
    if (q < 0 || k < 0 || isMore(e)) return;
    canvas.setPointerCapture(e.pointerId);
    brush.start(q, k);
  });
  canvas.addEventListener("pointermove", (e) => {
    if (!brush.stroke) return;
    const { q, k, inside } = screen.lay.matrix.near(...pointIn(e, canvas));
    if (inside || brush.stroke.last) brush.to(q, k, inside);
  });
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", () => brush.cancel());
  canvas.addEventListener("lostpointercapture", end);
}

const LEAST_DRAG = 4; // px before a finger or the mouse drags

/**
 * Touch and drag of a picture that can be zoomed: one finger or the mouse pans, two fingers zoom.
 *
 * @param {View} view
 */
function listenZoom({ screen, zoom, brush }, canvas) {
  /** @type {Map<number, number[]>} */
  const fingers = new Map();
  let last = null;
  let moved = false;
  canvas.addEventListener("pointerdown", (e) => {
    fingers.set(e.pointerId, pointIn(e, canvas));
    last = centreOf(fingers);
    moved = false;
  });
  canvas.addEventListener("pointermove", (e) => {
    if (!fingers.has(e.pointerId)) return;
    fingers.set(e.pointerId, pointIn(e, canvas));
    const now = centreOf(fingers);
    if (!last || now.n !== last.n) return void (last = now);
    const far = Math.hypot(now.x - last.x, now.y - last.y);
    if ((!moved && far < LEAST_DRAG && now.n < 2) || brush.stroke) return;
    if (!zoom.zoomed() && now.n < 2) return;
    if (!moved) canvas.setPointerCapture(e.pointerId);
    moved = true;
    screen.root.classList.toggle("av-panning", true);
    zoom.pan(now.x - last.x, now.y - last.y);
    if (now.spread && last.spread) zoom.by(now.spread / last.spread, now.x, now.y);
    last = now;
  });
  const end = (e) => {
    fingers.delete(e.pointerId);
    last = fingers.size ? centreOf(fingers) : null;
    if (!fingers.size) screen.root.classList.toggle("av-panning", false);
  };
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(kind, end);
  const wheel = (e) => {
    if (!e.ctrlKey && !e.metaKey) return;
    e.preventDefault();
    zoom.by(Math.exp(-Math.max(-60, Math.min(60, e.deltaY)) / 120), ...pointIn(e, canvas));
  };
  canvas.addEventListener("wheel", wheel, { passive: false });
  return { busy: () => moved && fingers.size > 0, moved: () => moved, fingers: () => fingers.size };
}

/** The middle of the fingers, how far two are apart, and how many they are. */
function centreOf(fingers) {
  const all = [...fingers.values()];
  const n = all.length;
  const x = all.reduce((sum, p) => sum + p[0], 0) / n;
  const y = all.reduce((sum, p) => sum + p[1], 0) / n;
  return { x, y, spread: n > 1 ? Math.hypot(all[0][0] - all[1][0], all[0][1] - all[1][1]) : 0, n };
}
