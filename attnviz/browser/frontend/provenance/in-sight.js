/* in-sight.js: after a step what is new stands in the window, not above it and not behind the panel. */

const HEADER = 60; // px of the window that the page's header takes
const ARRIVALS = [0, 150, 500]; // ms after which a page that has just come stands still

/** What of the window shows the tables: under the header, and above the panel where that covers its foot. */
function tablesRoom({ node, wide }) {
  const panel = node.trace.getBoundingClientRect();
  return { top: HEADER, bottom: wide ? innerHeight : Math.min(innerHeight, Math.max(HEADER, panel.top)) };
}

/**
 * Scrolls, if it must, so that the step's title or the last cell of the path is seen; and with it the head
 * of the panel, or the cell, where the panel covers the tables.
 */
export function bringInSight(view) {
  const { node } = view,
    own = view.cells.get(view.state.path.at(-1).join(":"));
  node.trace.scrollTop = 0;
  const room = tablesRoom(view);
  const isSeen = (part) => {
    const { top, bottom } = part.getBoundingClientRect();
    return top >= room.top && bottom <= room.bottom;
  };
  if (!isSeen(node.title) && !(own && isSeen(own))) node.panel.scrollIntoView({ block: "start" });
  const other = view.wide ? node.trace.querySelector(".aw-cell") : own;
  if (other && !isSeen(other)) other.scrollIntoView({ block: "nearest" });
}

/** The same on arrival at a number, until the page has come or the reader moves it. Returns what ends that. */
export function arriveInSight(view) {
  const ending = new AbortController(),
    { signal } = ending;
  for (const name of ["wheel", "touchstart", "pointerdown", "keydown"])
    addEventListener(name, () => ending.abort(), { signal, passive: true, capture: true });
  for (const ms of ARRIVALS) setTimeout(() => !signal.aborted && bringInSight(view), ms);
  setTimeout(() => ending.abort(), Math.max(...ARRIVALS) + 1);
  return () => ending.abort();
}
