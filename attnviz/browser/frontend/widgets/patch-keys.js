/* patch-keys.js: the keyboard on the patches and on the heads. */
import { PATCH_ROLLOUT } from "./patch-rows.js";

/** Arrows move among the patches, Enter asks one, Escape goes back to the class token. */
export function patchKey(view, e) {
  const { side, special } = view.model,
    row = Math.floor(view.cursor / side),
    col = view.cursor % side;
  const to = {
    ArrowLeft: [row, col - 1],
    ArrowRight: [row, col + 1],
    ArrowUp: [row - 1, col],
    ArrowDown: [row + 1, col],
    Home: [row, 0],
    End: [row, side - 1],
  }[e.key];
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "Enter" || e.key === " ") view.ask(special + view.cursor);
  else if (e.key === "Escape") view.choose({ query: 0 });
  else if (to) view.cursor = Math.max(0, Math.min(side - 1, to[0])) * side + Math.max(0, Math.min(side - 1, to[1]));
  else return;
  e.preventDefault();
  view.cells.forEach((cell, i) => {
    cell.tabIndex = i === view.cursor ? 0 : -1;
  });
  view.cells[view.cursor].focus();
}

/** Arrows move among the heads: a row is a layer, and after its heads stands its rollout. */
export function headKey(view, e) {
  const { layers, heads } = view.model,
    { layer, head } = view.look,
    column = head === PATCH_ROLLOUT ? heads : head;
  const to = {
    ArrowLeft: [layer, column - 1],
    ArrowRight: [layer, column + 1],
    ArrowUp: [layer - 1, column],
    ArrowDown: [layer + 1, column],
    Home: [layer, 0],
    End: [layer, heads],
  }[e.key];
  if (!to || e.ctrlKey || e.metaKey || e.altKey) return;
  e.preventDefault();
  const [l, c] = [Math.max(0, Math.min(layers - 1, to[0])), Math.max(0, Math.min(heads, to[1]))];
  view.pick(l, c === heads ? PATCH_ROLLOUT : c);
  view.tiles.get(`${view.look.layer}.${view.look.head}`).focus();
}
