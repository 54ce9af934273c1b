/* keep-height.js: an element that stays as high as it has been, so that what stands below it does not move. */

const STRETCH = 200; // px of empty room that a reader takes for a fault of the page

const scrolledArea = () => document.querySelector("[data-testid=stMain]") ?? document.scrollingElement;

/** Takes away a long empty stretch, but for what would move the page under the pointer. */
function giveBack(root) {
  const area = scrolledArea(),
    place = area.scrollTop,
    [kept, height] = [root.style.minHeight, root.offsetHeight];
  root.style.minHeight = "";
  if (height - root.offsetHeight <= STRETCH) {
    root.style.minHeight = kept;
    area.scrollTop = place;
    return;
  }
  const missing = Math.ceil(place + area.clientHeight - area.scrollHeight); // the page would scroll by itself
  if (missing <= 0) return;
  root.style.minHeight = `${root.offsetHeight + missing}px`;
  area.scrollTop = place;
}

/**
 * Keeps `root` as high as it has been at its width. `forget` lets it shrink once, `giveBack` where much of it is empty,
 * `stop` ends it.
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
  return {
    forget: () => (style.minHeight = ""),
    giveBack: () => giveBack(root),
    stop: () => observer.disconnect(),
  };
}
