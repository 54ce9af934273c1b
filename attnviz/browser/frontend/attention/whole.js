/* whole.js: what the view shows where it has the whole screen: one of its panels, as large as there is room. */

/** Whether the whole screen is given to an element, or to what stands around it. @param {Element} element */
export function hasScreen(element) {
  for (let e = element; e; e = /** @type {any} */ (e.getRootNode()).host) if (e.closest(":fullscreen")) return true;
  return false;
}

/** The panel that is meant: under the pointer, else the matrix. @param {HTMLElement} root */
const panelInMind = (root) => /^av-\w+/.exec(root.querySelector("section:hover")?.className ?? "")?.[0] ?? "av-matrix";

/**
 * Marks the panel that shows alone, from when the view gets the whole screen until it gives it back.
 * @param {HTMLElement} root
 * @returns {boolean} whether the view has the whole screen
 */
export function markWhole(root) {
  const whole = hasScreen(root);
  if (!whole) delete root.dataset.whole;
  else root.dataset.whole ??= panelInMind(root);
  return whole;
}
