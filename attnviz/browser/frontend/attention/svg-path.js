/* svg-path.js: what canvas draws in one call and SVG as curves: arcs and round corners. No DOM. */

/**
 * Quarter circles as cubic curves, which every transform maps exactly; off by at most 0.03 % of the radius.
 *
 * @returns {number[][]} the start, then the curves as [ax, ay, bx, by, x, y]
 */
export function arcCurves(x, y, radius, start, end, counterclockwise) {
  const turn = 2 * Math.PI;
  let sweep = counterclockwise ? start - end : end - start;
  sweep = sweep >= turn ? turn : ((sweep % turn) + turn) % turn;
  const steps = Math.max(1, Math.ceil(sweep / (Math.PI / 2) - 1e-9));
  const step = (counterclockwise ? -sweep : sweep) / steps;
  const k = (4 / 3) * Math.tan(step / 4) * radius;
  const place = (angle) => [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
  const curve = (_, i) => {
    const from = start + i * step;
    const to = from + step;
    const [ax, ay] = place(from);
    const [bx, by] = place(to);
    const first = [ax - k * Math.sin(from), ay + k * Math.cos(from)];
    return [...first, bx + k * Math.sin(to), by - k * Math.cos(to), bx, by];
  };
  return [place(start), ...Array.from({ length: steps }, curve)];
}

/** Radii from the top left clockwise, given as [all], [both diagonals], … as in canvas, none over `most`. */
export function cornerRadii(radii, most) {
  const n = radii.length;
  const at = [0, n > 1 ? 1 : 0, n > 2 ? 2 : 0, n > 3 ? 3 : n > 1 ? 1 : 0];
  return at.map((i) => Math.min(most, radii[i]));
}
