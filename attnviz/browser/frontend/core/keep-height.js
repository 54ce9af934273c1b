/* keep-height.js: an element that stays as high as it has been, so that what stands below it does not move. */

const scrolledArea = () => document.querySelector("[data-testid=stMain]") ?? document.scrollingElement;

/** Takes away the room that an element does not need, but for what would move the page under the pointer. */
function giveBack(root) {
  const area = scrolledArea(),
    place = area.scrollTop;
  root.style.minHeight = "";
  const missing = Math.ceil(place + area.clientHeight - area.scrollHeight); // the page would scroll by itself
  if (missing <= 0) return;
  root.style.minHeight = `${root.offsetHeight + missing}px`;
  area.scrollTop = place;
}

/**
 * Keeps `root` as high as it has been at its width. `forget` lets it shrink once, `stop` ends it.
 * @param {HTMLElement} root Its box-sizing is border-box.
 */
export function keepHeight(root) {
  const { style } = root;
  let width = 0;
  const observer = new ResizeObserver(() => {
    if (root.offsetWidth !== width) style.minHeight = "";
    else if (root.offsetHeight > parseFloat(style.minHeight || "0")) style.minHeight = `${root.offsetHeight}px`;
    width = root.offsetWidth;
  });
  observer.observe(root);
  return { forget: () => giveBack(root), stop: () => observer.disconnect() };
}
