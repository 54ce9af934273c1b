/* in-view.js: brings what a thing to try has changed into view (a Streamlit component, components v2). Its element
   stands, without any size, above what changes. The data is {number}: of the things tried so far. */
import { component } from "../core/bridge.js";

const HIGHEST = 0.6; // of the window's height: what begins above that is in view already

/** Scrolls to the element, unless it stands in the upper part of what the reader sees. */
function bringIntoView(root) {
  const { top } = root.getBoundingClientRect(),
    hidden = parseFloat(getComputedStyle(root).scrollMarginTop) || 0; // behind the page's header
  if (top >= hidden && top <= HIGHEST * innerHeight) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  dispatchEvent(new Event("av-brought-into-view")); // what was pressed need not stay where it was: see pressed-place.js
  root.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
}

export default component(".av-in-view", {
  mount: (root, { number }) => ({ root, number }),
  update(place, { number }) {
    if (number !== place.number) requestAnimationFrame(() => bringIntoView(place.root));
    place.number = number;
  },
});
