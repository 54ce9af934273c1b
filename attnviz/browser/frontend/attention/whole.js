/* whole.js: what the view shows where it has the whole screen: one of its panels, as large as there is room. */

/** What has the whole screen: an element, or what stands around it; else null. @param {Element} element */
function onScreen(element) {
  for (let e = element; e; e = /** @type {any} */ (e.getRootNode()).host) {
    const whole = /** @type {HTMLElement | null} */ (e.closest(":fullscreen"));
    if (whole) return whole;
  }
  return null;
}

/** The panel that is meant: the one that was under the pointer, else the matrix. @param {HTMLElement} whole */
const panelInMind = (whole) => /^av-(heads|matrix|lines|why)\b/.exec(whole.dataset.avSection ?? "")?.[0] ?? "av-matrix";

/**
 * Marks the panel that shows alone, from when the view gets the whole screen until it gives it back.
 * @param {HTMLElement} root
 * @returns {boolean} whether the view has the whole screen
 */
export function markWhole(root) {
  const whole = onScreen(root);
  if (!whole) delete root.dataset.whole;
  else root.dataset.whole ??= panelInMind(whole);
  return whole !== null;
}
