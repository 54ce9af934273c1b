/* late-scrolls.js: a list that drops down stays open, although the page is told only then of a scroll before it. */

const LISTS = "[data-testid=stSelectbox], [data-testid=stMultiSelect]";

/** @type {Map<Element, number>} Where all around the list that was pressed last stood at that moment. */
const places = new Map();

/**
 * A list closes when the page scrolls. A busy page is told of a scroll after the press that followed it, and the list
 * would close as it opens. Such news is let go, for nothing has moved since.
 */
export function keepListsOpen() {
  addEventListener(
    "pointerdown",
    (press) => {
      places.clear();
      if (!(press.target instanceof Element && press.target.closest(LISTS))) return;
      for (const around of press.composedPath()) if (around instanceof Element) places.set(around, around.scrollTop);
    },
    true,
  );
  addEventListener(
    "scroll",
    (scroll) => {
      const { target } = scroll;
      if (!(target instanceof Element) || !places.has(target)) return;
      if (places.get(target) === target.scrollTop) scroll.stopImmediatePropagation();
      else places.clear();
    },
    true,
  );
}
