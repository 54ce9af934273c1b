/* zoom.js: which part of the matrix shows, and moving it. No DOM. */

/**
 * Rows [q0, q1) and columns [k0, k1), fractions while it moves.
 *
 * @typedef {{q0: number, q1: number, k0: number, k1: number}} Part
 */

const FEWEST = 6; // items across

const clip = (v, n, size) => Math.max(0, Math.min(n - size, v));

export class Zoom {
  /**
   * @param {import("./store.js").Store} store
   * @param {import("./shown.js").Shown} shown
   * @param {import("./screen.js").Screen} screen
   */
  constructor(store, shown, screen) {
    this.store = store;
    this.shown = shown;
    this.screen = screen;
    /** @type {{zoom: number[] | null, nq: number, nk: number, part: Part} | null} */
    this.known = null;
  }

  /** The visible part in items; the state counts tokens. @returns {Part} */
  visible() {
    const { nq, nk } = this.shown.scene;
    const { zoom } = this.store.state;
    const { known } = this;
    if (known && known.zoom === zoom && known.nq === nq && known.nk === nk) return known.part;
    const part = zoom ? this.partOf(zoom) : { q0: 0, q1: nq, k0: 0, k1: nk };
    this.known = { zoom, nq, nk, part };
    return part;
  }

  /** Tokens [a, b) and [c, d) as items; both sides show the same share of theirs. */
  partOf(zoom) {
    const { nq, nk } = this.shown.scene;
    const { queries, keys } = this.shown.items;
    const at = (of, t) => {
      for (let i = t; i < of.length; i++) if (of[i] >= 0) return of[i];
      return null;
    };
    const q0 = at(queries.of, zoom[0]) ?? 0;
    const k0 = at(keys.of, zoom[2]) ?? 0;
    const q1 = (at(queries.of, zoom[1] - 1) ?? nq - 1) + 1;
    const k1 = (at(keys.of, zoom[3] - 1) ?? nk - 1) + 1;
    const share = Math.max((q1 - q0) / nq, (k1 - k0) / nk);
    const rows = share * nq;
    const columns = share * nk;
    const q = clip(q0, nq, rows);
    const k = clip(k0, nk, columns);
    return { q0: q, q1: q + rows, k0: k, k1: k + columns };
  }

  zoomed() {
    const { q0, q1 } = this.visible();
    return q1 - q0 < this.shown.scene.nq - 1e-6;
  }

  /** Zooms about a point of the matrix's canvas (its focus or middle if none); factor 0 shows all again. */
  by(factor, x = null, y = null) {
    const { nq, nk, focus } = this.shown.scene;
    const { q0, q1, k0, k1 } = this.visible();
    const { left, top, width, height } = this.screen.lay.matrix;
    const least = Math.min(1, FEWEST / Math.max(nq, nk));
    const share = factor ? Math.max(least, Math.min(1, (q1 - q0) / nq / factor)) : 1;
    const middle = (i, from, to) => (i >= from && i < to ? (i + 0.5 - from) / (to - from) : 0.5);
    const within = (v) => Math.max(0, Math.min(1, v));
    const fx = x == null ? middle(focus.k, k0, k1) : within((x - left) / width);
    const fy = y == null ? middle(focus.q, q0, q1) : within((y - top) / height);
    this.show(q0 + fy * (q1 - q0 - share * nq), k0 + fx * (k1 - k0 - share * nk), share);
  }

  /** Moves the part by pixels. */
  pan(dx, dy) {
    const { q0, q1, k0 } = this.visible();
    const { c } = this.screen.lay.matrix;
    this.show(q0 - dy / c, k0 - dx / c, (q1 - q0) / this.shown.scene.nq);
  }

  /** Moves the part so that a cell is inside it. */
  reveal(q, k) {
    const { q0, q1, k0, k1 } = this.visible();
    const into = (v, from, size) => (v < from ? v : v + 1 > from + size ? v + 1 - size : from);
    if (this.zoomed()) this.show(into(q, q0, q1 - q0), into(k, k0, k1 - k0), (q1 - q0) / this.shown.scene.nq);
  }

  /** Shows a share of all rows and columns, from these on. */
  show(q, k, share) {
    const { nq, nk } = this.shown.scene;
    const { queries, keys } = this.shown.items;
    const all = share > 0.999;
    const rows = share * nq;
    const columns = share * nk;
    const q0 = clip(q, nq, rows);
    const k0 = clip(k, nk, columns);
    /** @type {[number, number, number, number] | null} */
    const zoom = all ? null : [...tokensOf(queries.list, q0, q0 + rows), ...tokensOf(keys.list, k0, k0 + columns)];
    const part = all ? { q0: 0, q1: nq, k0: 0, k1: nk } : { q0, q1: q0 + rows, k0, k1: k0 + columns };
    this.known = { zoom, nq, nk, part };
    this.store.change({ zoom });
  }
}

/**
 * The tokens [first, last) of the items from `from` to `to`.
 *
 * @returns {[number, number]}
 */
function tokensOf(list, from, to) {
  const at = (i) => list[Math.max(0, Math.min(list.length - 1, i))].toks;
  return [at(Math.floor(from))[0], at(Math.ceil(to) - 1).at(-1) + 1];
}
