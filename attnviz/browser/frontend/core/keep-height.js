/* keep-height.js: an element that stays as high as it has been, so that what stands below it does not move. */

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
  return { forget: () => (style.minHeight = ""), stop: () => observer.disconnect() };
}
