/* ink.js: a drawing as ink: 8 × 8 cells from 0 to 16. A stroke covers some of the 4 × 4 small squares of each cell, and
   the cell's ink is their number: so the digits that the model was trained on were made. */

export const DRAW_SIDE = 8,
  DRAW_FINE = 4; // cells, and small squares of a cell, per side
export const DRAW_FULL = DRAW_FINE * DRAW_FINE;
const DRAW_RADIUS = 2; // of the pen, in small squares: strokes as thick as in the data

export const readInk = (text) => [...text].map((c) => parseInt(c, DRAW_FULL + 1));
export const writeInk = (ink) => ink.map((v) => v.toString(DRAW_FULL + 1)).join("");

/** Marks the small squares whose middle a pen covers that goes from one point to another, in small squares. */
export function strokeSquares(marks, x0, y0, x1, y1, radius = DRAW_RADIUS) {
  const n = DRAW_SIDE * DRAW_FINE,
    length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
  for (let y = Math.max(0, Math.floor(Math.min(y0, y1) - radius)); y < Math.min(n, Math.max(y0, y1) + radius); y++) {
    for (let x = Math.max(0, Math.floor(Math.min(x0, x1) - radius)); x < Math.min(n, Math.max(x0, x1) + radius); x++) {
      const px = x + 0.5,
        py = y + 0.5,
        t = length ? Math.max(0, Math.min(1, ((px - x0) * (x1 - x0) + (py - y0) * (y1 - y0)) / length)) : 0;
      if ((px - x0 - t * (x1 - x0)) ** 2 + (py - y0 - t * (y1 - y0)) ** 2 <= radius * radius) marks[y * n + x] = 1;
    }
  }
}

/** How many small squares of each cell are marked. */
export function coveredInk(marks) {
  const ink = new Array(DRAW_SIDE * DRAW_SIDE).fill(0),
    n = DRAW_SIDE * DRAW_FINE;
  marks.forEach((on, i) => {
    if (on) ink[Math.floor(i / n / DRAW_FINE) * DRAW_SIDE + Math.floor((i % n) / DRAW_FINE)]++;
  });
  return ink;
}
