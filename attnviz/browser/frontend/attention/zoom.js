/* zoom.js: which part of the matrix shows, and moving it. Methods of the view. */

export const zoomMethods = {
  /** The visible part in items; the state counts tokens. */
  visible() {
    const { nq, nk } = this.scene,
      z = this.state.zoom;
    if (this.zoomItems) return this.zoomItems;
    if (!z) return { q0: 0, q1: nq, k0: 0, k1: nk };
    const at = (of, t) => {
        for (let i = t; i < of.length; i++) if (of[i] >= 0) return of[i];
        return null;
      },
      { queries, keys } = this.items;
    const q0 = at(queries.of, z[0]) ?? 0,
      k0 = at(keys.of, z[2]) ?? 0,
      q1 = (at(queries.of, z[1] - 1) ?? nq - 1) + 1,
      k1 = (at(keys.of, z[3] - 1) ?? nk - 1) + 1;
    const part = Math.max((q1 - q0) / nq, (k1 - k0) / nk),
      rows = part * nq,
      columns = part * nk,
      clip = (v, n, size) => Math.max(0, Math.min(n - size, v));
    const a = clip(q0, nq, rows),
      b = clip(k0, nk, columns);
    return (this.zoomItems = { q0: a, q1: a + rows, k0: b, k1: b + columns });
  },

  zoomed() {
    const z = this.visible();
    return z.q1 - z.q0 < this.scene.nq - 1e-6;
  },

  /** Zooms the matrix about a point of its canvas (its focus or middle if none); factor 0 shows all again. */
  zoomBy(factor, x, y) {
    const { nq, nk, focus } = this.scene,
      z = this.visible(),
      lay = this.lay.matrix,
      n = Math.max(nq, nk);
    const least = Math.min(1, 6 / n),
      part = factor ? Math.max(least, Math.min(1, (z.q1 - z.q0) / nq / factor)) : 1;
    const fx =
      x == null
        ? focus.k >= z.k0 && focus.k < z.k1
          ? (focus.k + 0.5 - z.k0) / (z.k1 - z.k0)
          : 0.5
        : Math.max(0, Math.min(1, (x - lay.left) / lay.width));
    const fy =
      y == null
        ? focus.q >= z.q0 && focus.q < z.q1
          ? (focus.q + 0.5 - z.q0) / (z.q1 - z.q0)
          : 0.5
        : Math.max(0, Math.min(1, (y - lay.top) / lay.height));
    this.show(z.q0 + fy * (z.q1 - z.q0 - part * nq), z.k0 + fx * (z.k1 - z.k0 - part * nk), part);
  },

  pan(dx, dy) {
    const z = this.visible(),
      c = this.lay.matrix.c;
    this.show(z.q0 - dy / c, z.k0 - dx / c, (z.q1 - z.q0) / this.scene.nq);
  },

  /** Moves the zoomed part so that a cell is inside it. */
  reveal(q, k) {
    const z = this.visible(),
      rows = z.q1 - z.q0,
      columns = z.k1 - z.k0,
      into = (v, a, size) => (v < a ? v : v + 1 > a + size ? v + 1 - size : a);
    if (this.zoomed()) this.show(into(q, z.q0, rows), into(k, z.k0, columns), rows / this.scene.nq);
  },

  show(q0, k0, part) {
    const { nq, nk } = this.scene,
      rows = part * nq,
      columns = part * nk,
      clip = (v, n, size) => Math.max(0, Math.min(n - size, v));
    q0 = clip(q0, nq, rows);
    k0 = clip(k0, nk, columns);
    this.zoomItems = part > 0.999 ? { q0: 0, q1: nq, k0: 0, k1: nk } : { q0, q1: q0 + rows, k0, k1: k0 + columns };
    const { queries, keys } = this.items,
      at = (list, i) => list[Math.max(0, Math.min(list.length - 1, i))].toks;
    const first = (list, i) => at(list, Math.floor(i))[0],
      last = (list, i) => at(list, Math.ceil(i) - 1).at(-1) + 1;
    this.state.zoom =
      part > 0.999
        ? null
        : [first(queries.list, q0), last(queries.list, q0 + rows), first(keys.list, k0), last(keys.list, k0 + columns)];
    this.root.classList.toggle("av-zoomed", part <= 0.999);
    this.mark("matrix");
    this.send();
  },
};
