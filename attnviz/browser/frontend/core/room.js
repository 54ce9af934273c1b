/* room.js: how high a picture may be where the page is presented, so that it is on one screen with what it is about. */

const MOST_BELOW = 0.12; // of the screen: for what is said under a picture; more than that is scrolled to

/**
 * The height in px from a picture's top to the screen's end, less what stands below it; 0 where nothing is presented.
 * @param {Element} picture
 * @returns {number}
 */
export function roomOnScreen(picture) {
  const main = document.querySelector("[data-testid=stMain]");
  if (!main || !document.documentElement.classList.contains("av-presenting")) return 0;
  let host = picture;
  while (host.getRootNode() instanceof ShadowRoot) host = /** @type {ShadowRoot} */ (host.getRootNode()).host;
  const block = host.closest("[data-testid=stHorizontalBlock]") ?? host.closest(".stElementContainer"),
    { top } = main.getBoundingClientRect(),
    end = main.querySelector(".stMainBlockContainer").getBoundingClientRect().bottom,
    below = end - block.getBoundingClientRect().bottom,
    above = picture.getBoundingClientRect().top - top + main.scrollTop;
  return Math.max(1, Math.floor(main.clientHeight - above - Math.min(below, MOST_BELOW * main.clientHeight)));
}
