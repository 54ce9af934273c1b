/* pointer.js: mouse, touch and keyboard on the pictures. Hover previews everywhere, click and Enter lock, Escape lets go. */
import { el } from "../core/dom.js";
import { percent, points } from "../core/format.js";

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** Position of an event inside an element, in its CSS pixels, whatever zoom stands on the page. */
function pointIn(e, node) {
  const r = node.getBoundingClientRect();
  return [
    (e.clientX - r.left) * (node.offsetWidth / r.width || 1),
    (e.clientY - r.top) * (node.offsetHeight / r.height || 1),
  ];
}

const many = (e) => e.ctrlKey || e.metaKey || e.shiftKey;

export function listenGrid(view, canvas, label) {
  canvas.addEventListener("pointermove", (e) => {
    if (e.pointerType === "touch") return;
    const k = view.headAt(view.lay.grid.hit(...pointIn(e, canvas)));
    view.preview(k);
    if (k === null) return view.hideTip();
    const [x, y] = view.lay.grid.at(k);
    view.showTip(canvas, x + view.lay.grid.cw / 2, y - 2, label(k));
  });
  canvas.addEventListener("pointerleave", () => {
    view.hideTip();
    view.preview(null);
  });
  canvas.addEventListener("click", (e) => {
    const k = view.headAt(view.lay.grid.hit(...pointIn(e, canvas)));
    if (k === null) return;
    if (many(e)) view.toggleHead(k);
    else view.select(k);
  });
  canvas.addEventListener("keydown", (e) => {
    const lay = view.lay.grid,
      n = lay.heads,
      k = view.head(),
      arrow = ARROWS[e.key];
    if (e.key === "Enter") {
      if (many(e)) view.toggleHead(k);
      view.speak();
      return e.preventDefault();
    }
    if (!arrow || e.altKey || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    const [down, right] = arrow;
    if (lay.order) {
      const at = lay.order.indexOf(k),
        to = at + down * lay.nx + right;
      if (to >= 0 && to < lay.order.length) view.select(lay.order[to]);
      return;
    }
    const layer = Math.max(0, Math.min(lay.layers - 1, ((k / n) | 0) + (lay.across ? down : right)));
    const head = Math.max(0, Math.min(view.model.layers[layer].heads - 1, (k % n) + (lay.across ? right : down)));
    view.select(layer * n + head);
  });
}

function matrixTip(view, q, k) {
  const s = view.scene,
    at = q * s.nk + k,
    value = el("b");
  if (s.allowed && !s.allowed(q, k)) value.textContent = s.painted?.(q, k) ? "blocked" : "masked";
  else value.textContent = s.change ? `${points(s.change[at])} points` : percent(s.a[at]);
  const name = (item) => {
    const b = el("bdi");
    b.textContent = item.label;
    return b;
  };
  const l = view.lay.matrix;
  view.showTip(view.node.matrix, l.x(k) + l.c / 2, l.y(q), [name(s.queries[q]), " → ", name(s.keys[k]), value]);
}

/** Touch and drag of a picture that can be zoomed: one finger or the mouse pans, two fingers zoom. */
function listenZoom(view, canvas) {
  const fingers = new Map();
  let last = null,
    moved = false;
  const centre = () => {
    const p = [...fingers.values()],
      x = p.reduce((s, v) => s + v[0], 0) / p.length,
      y = p.reduce((s, v) => s + v[1], 0) / p.length;
    return { x, y, spread: p.length > 1 ? Math.hypot(p[0][0] - p[1][0], p[0][1] - p[1][1]) : 0, n: p.length };
  };
  canvas.addEventListener("pointerdown", (e) => {
    fingers.set(e.pointerId, pointIn(e, canvas));
    last = centre();
    moved = false;
  });
  canvas.addEventListener("pointermove", (e) => {
    if (!fingers.has(e.pointerId)) return;
    fingers.set(e.pointerId, pointIn(e, canvas));
    const now = centre();
    if (!last || now.n !== last.n) return void (last = now);
    const far = Math.hypot(now.x - last.x, now.y - last.y);
    if ((!moved && far < 4 && now.n < 2) || view.stroke) return;
    if (!view.zoomed() && now.n < 2) return;
    if (!moved) canvas.setPointerCapture(e.pointerId);
    moved = true;
    view.root.classList.toggle("av-panning", true);
    view.pan(now.x - last.x, now.y - last.y);
    if (now.spread && last.spread) view.zoomBy(now.spread / last.spread, now.x, now.y);
    last = now;
  });
  const end = (e) => {
    fingers.delete(e.pointerId);
    last = fingers.size ? centre() : null;
    if (!fingers.size) view.root.classList.toggle("av-panning", false);
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("lostpointercapture", end);
  canvas.addEventListener(
    "wheel",
    (e) => {
      if (!e.ctrlKey && !e.metaKey) return;
      e.preventDefault();
      view.zoomBy(Math.exp(-Math.max(-60, Math.min(60, e.deltaY)) / 120), ...pointIn(e, canvas));
    },
    { passive: false },
  );
  return { busy: () => moved && fingers.size > 0, moved: () => moved, fingers: () => fingers.size };
}

/** Where a mask is painted, one finger or the mouse draws a stroke; a second finger takes it back, and zooms. */
function listenBrush(view, canvas, fingers) {
  const end = (e) => {
    if (!view.stroke) return;
    const { last } = view.stroke;
    view.strokeEnd();
    if (e.pointerType === "touch" && last)
      view.setLock({ side: "q", queries: [last[0]], key: last[1] }); // no pointer stays to point
    else if (last) matrixTip(view, ...last);
  };
  canvas.addEventListener("pointerdown", (e) => {
    if (!view.painting() || e.button) return;
    if (fingers() > 1) return view.strokeCancel();
    const { q, k } = view.lay.matrix.at(...pointIn(e, canvas));
    if (q < 0 || k < 0 || many(e)) return;
    canvas.setPointerCapture(e.pointerId);
    view.strokeStart(q, k);
  });
  canvas.addEventListener("pointermove", (e) => {
    if (!view.stroke) return;
    const { q, k, inside } = view.lay.matrix.near(...pointIn(e, canvas));
    if (inside || view.stroke.last) view.strokeTo(q, k, inside);
  });
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", () => view.strokeCancel());
  canvas.addEventListener("lostpointercapture", end);
}

export function listenMatrix(view, canvas) {
  const drag = listenZoom(view, canvas);
  listenBrush(view, canvas, drag.fingers);
  canvas.addEventListener("pointermove", (e) => {
    if (drag.busy()) {
      view.hideTip();
      return;
    }
    if (e.pointerType === "touch") return;
    const { q, k } = view.lay.matrix.at(...pointIn(e, canvas));
    if (q < 0 && k < 0) {
      view.hideTip();
      return view.setHover(null);
    }
    view.setHover(q >= 0 ? { side: "q", queries: [q], key: k >= 0 ? k : null } : { side: "k", queries: [], key: k });
    if (q >= 0 && k >= 0 && !view.stroke)
      matrixTip(view, q, k); // it would cover what is being painted
    else view.hideTip();
  });
  canvas.addEventListener("pointerleave", () => {
    view.hideTip();
    view.setHover(null);
  });
  canvas.addEventListener("click", (e) => {
    if (drag.moved()) return;
    const { q, k } = view.lay.matrix.at(...pointIn(e, canvas));
    if (view.painting() && q >= 0 && k >= 0 && !many(e)) return; // the stroke was all
    if (q >= 0 && many(e)) view.toggleQuery(q);
    else if (q >= 0) view.setLock({ side: "q", queries: [q], key: k >= 0 ? k : null });
    else if (k >= 0) view.setLock({ side: "k", queries: [], key: k });
  });
  canvas.addEventListener("keydown", (e) => {
    const s = view.scene,
      { q, k } = s.focus,
      arrow = ARROWS[e.key],
      clamp = (v, n) => Math.max(0, Math.min(n - 1, v));
    if (e.key === "+" || e.key === "=") view.zoomBy(1.5);
    else if (e.key === "-" || e.key === "_") view.zoomBy(1 / 1.5);
    else if (e.key === "0") view.zoomBy(0);
    else if (view.undoKey(e)) return;
    else if (e.key === " " && view.painting()) {
      if (q >= 0 && k >= 0) {
        view.strokeStart(q, k);
        view.strokeEnd();
        view.speak();
      }
    } else if (e.key === "Enter" || e.key === " ") {
      if (q >= 0 && e.shiftKey) view.toggleQuery(q);
      else if (q >= 0) view.setLock({ side: "q", queries: [q], key: k });
    } else if ((arrow || e.key === "Home" || e.key === "End") && !e.altKey && !e.ctrlKey && !e.metaKey) {
      const [down, right] = arrow || [0, 0];
      const to = {
        q: clamp(Math.max(q, 0) + (q < 0 ? 0 : down), s.nq),
        k: e.key === "Home" ? 0 : e.key === "End" ? s.nk - 1 : clamp(Math.max(k, 0) + (k < 0 ? 0 : right), s.nk),
      };
      view.setHover({ side: "q", queries: [to.q], key: to.k });
      view.reveal(to.q, to.k);
      view.speak();
    } else return;
    e.preventDefault();
  });
  canvas.addEventListener("blur", () => view.setHover(null));
}

export function listenLines(view, canvas) {
  const target = (e) => {
    const hit = view.lay.lines.at(...pointIn(e, canvas));
    if (!hit) return null;
    const i = (hit.side === "q" ? view.curves.rows : view.curves.columns)[hit.i];
    return hit.side === "q" ? { side: "q", queries: [i], key: null } : { side: "k", queries: [], key: i };
  };
  canvas.addEventListener("pointermove", (e) => {
    if (e.pointerType !== "touch") view.setHover(target(e));
  });
  canvas.addEventListener("pointerleave", () => view.setHover(null));
  canvas.addEventListener("click", (e) => {
    const t = target(e);
    if (!t) return;
    if (many(e) && t.side === "q") view.toggleQuery(t.queries[0]);
    else view.toggleLock(t);
  });
  canvas.addEventListener("keydown", (e) => {
    const arrow = ARROWS[e.key],
      { focus } = view.scene,
      { rows, columns } = view.curves,
      flat = view.lay.lines.horizontal;
    if (e.key === "Enter" && view.hover) view.setLock(view.hover);
    else if (arrow && !e.altKey && !e.ctrlKey && !e.metaKey) {
      const along = flat ? arrow[1] * (view.lay.lines.rtl ? -1 : 1) : arrow[0],
        cross = flat ? arrow[0] : arrow[1];
      const side = cross ? (cross > 0 ? "k" : "q") : focus.side,
        list = side === "q" ? rows : columns;
      const now = list.indexOf(side === "q" ? focus.q : focus.k),
        i = list[Math.max(0, Math.min(list.length - 1, (now < 0 ? 0 : now) + along))];
      view.setHover(side === "q" ? { side, queries: [i], key: null } : { side, queries: [], key: i });
      view.speak();
    } else return;
    e.preventDefault();
  });
  canvas.addEventListener("blur", () => view.setHover(null));
}

export function listenWhy(view, canvas) {
  const at = (e) =>
    view.setBar(
      Math.max(0, Math.min(view.model.d - 1, ((pointIn(e, canvas)[0] / canvas.offsetWidth) * view.model.d) | 0)),
    );
  canvas.addEventListener("pointermove", at);
  canvas.addEventListener("pointerleave", () => view.setBar(null));
  canvas.addEventListener("keydown", (e) => {
    const arrow = ARROWS[e.key];
    if (!arrow || !arrow[1]) return;
    e.preventDefault();
    view.setBar(Math.max(0, Math.min(view.model.d - 1, (view.bar ?? -arrow[1]) + arrow[1])));
    view.speakBar();
  });
  canvas.addEventListener("blur", () => view.setBar(null));
}

/** Chips: hover and focus preview, click locks, with Ctrl or Shift several; arrows move along the row. */
export function listenChips(view, box) {
  const chip = (e) => e.target.closest(".av-chip"),
    target = ({ dataset: { side, i } }) =>
      side === "k" ? { side, queries: [], key: Number(i) } : { side, queries: [Number(i)], key: null };
  box.addEventListener("pointerover", (e) => {
    if (e.pointerType === "touch") return;
    const b = chip(e);
    view.setHover(b ? target(b) : null);
  });
  box.addEventListener("pointerleave", () => view.setHover(null));
  box.addEventListener("click", (e) => {
    const b = chip(e);
    if (!b) return;
    const t = target(b);
    if (many(e) && t.side === "q") view.toggleQuery(t.queries[0]);
    else view.toggleLock(t);
  });
  box.addEventListener("keydown", (e) => {
    const all = view.chips,
      ahead = view.model.dir === "rtl" ? -1 : 1;
    const by = { ArrowRight: ahead, ArrowLeft: -ahead, Home: -all.length, End: all.length }[e.key],
      to = all.indexOf(e.target) + by;
    if (!by) return;
    e.preventDefault();
    const b = all[Math.max(0, Math.min(all.length - 1, to))];
    b.focus();
  });
  box.addEventListener("focusin", (e) => {
    const b = chip(e);
    if (!b || !b.matches(":focus-visible")) return;
    view.setHover(target(b));
    view.speak();
  });
  box.addEventListener("focusout", () => view.setHover(null));
}
