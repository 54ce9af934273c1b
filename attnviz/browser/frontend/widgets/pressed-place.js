/* pressed-place.js: what a reader presses stays under the pointer, although what stands above it gets another size. */

const AREA = "[data-testid=stMain]";
const LIST = "[role=listbox]";
const SENTENCES = "[class*=st-key-lesson-sentence]";
const OWN_PICTURES = "canvas, .aw-root"; // pressed, they answer by themselves, at once
const NEAR = 200; // px from the page's top, where it may not be possible to scroll back far enough
const RUNNING = '[data-testid=stApp][data-test-script-state="running"]';
const ANSWERS = 3000; // ms in which the page begins to answer a press
const CALM = 1500; // ms after the page's last run in which pictures find their size
const LONGEST = 30_000; // ms

/**
 * What was pressed, and where it stood.
 *
 * @typedef {{node: Element, key: string, path: string, top: number, area: HTMLElement, scrolled: number,
 *   since: number, last: number, down: boolean, frame: number}} Held
 */

/** @type {Held | null} */
let held = null;

/** @type {Element | null} What was pressed last on the page itself: a list that drops down lies elsewhere. */
let opener = null;

/** After the layout of each frame, before it is painted: nothing is laid out for this alone. */
const afterLayout = new ResizeObserver(settle);

/** Streamlit may have made it anew, and may keep a copy that is not seen. @param {Held} press */
function nodeOf({ node, key, area }) {
  const all = key ? [node, ...area.querySelectorAll(`.${CSS.escape(key)}`)] : [node];
  return all.find((one) => one.isConnected && one.getClientRects().length);
}

/** Sentences above do not get shorter: at the page's top nothing could be scrolled to make up for it. */
function keepSentences(area, node) {
  if (area.scrollTop > NEAR) return;
  const above = [...area.querySelectorAll(SENTENCES)].filter(
    (one) => one.compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING,
  );
  const heights = above.map((one) => one.getBoundingClientRect().height); // all before any is set: one layout
  above.forEach((one, i) => (one.style.minHeight = `${heights[i]}px`));
}

/** At another width they take other lines. */
function forgetSentences() {
  for (const one of document.querySelectorAll(SENTENCES)) /** @type {HTMLElement} */ (one).style.minHeight = "";
}

/** @param {Event} press */
function hold({ target, type }) {
  letGo();
  const area = /** @type {HTMLElement | null} */ (document.querySelector(AREA));
  if (!area || !(target instanceof Element) || target.shadowRoot?.querySelector(OWN_PICTURES)) return;
  if (!target.closest(LIST)) opener = target.closest(`${AREA} .stElementContainer`);
  const node = opener;
  if (!node?.isConnected) return;
  const now = performance.now();
  keepSentences(area, node);
  held = {
    node,
    key: [...node.classList].find((name) => name.startsWith("st-key-")) ?? "",
    path: location.pathname,
    top: node.getBoundingClientRect().top,
    area,
    scrolled: area.scrollTop,
    since: now,
    last: now + ANSWERS,
    down: type === "pointerdown",
    frame: requestAnimationFrame(nextFrame),
  };
  area.style.overflowAnchor = "none"; // the browser would keep something else in its place
}

function letGo() {
  if (!held) return;
  cancelAnimationFrame(held.frame);
  held.area.style.overflowAnchor = "";
  afterLayout.unobserve(held.area);
  held = null;
}

function nextFrame() {
  if (!held) return;
  const now = performance.now();
  if (held.down || document.querySelector(RUNNING)) held.last = Math.max(held.last, now + CALM);
  if (now > held.last || now > held.since + LONGEST || location.pathname !== held.path) return letGo();
  afterLayout.unobserve(held.area);
  afterLayout.observe(held.area); // reports once
  held.frame = requestAnimationFrame(nextFrame);
}

/** Scrolls by as much as it has moved; not where somebody else has scrolled. */
function settle() {
  if (!held) return;
  if (location.pathname !== held.path) return letGo(); // another page begins at its top
  const { area, top, scrolled } = held;
  const end = area.scrollHeight - area.clientHeight;
  const isCut = area.scrollTop < scrolled && area.scrollTop >= end - 1; // the page has become too short
  if (Math.abs(area.scrollTop - scrolled) > 0.1 && !isCut) return letGo();
  const node = nodeOf(held);
  if (!node) return;
  const moved = node.getBoundingClientRect().top - top;
  if (Math.abs(moved) >= 0.5) area.scrollTop += moved;
  held.scrolled = area.scrollTop;
}

/** From now on, on every page. */
export function keepPressedInPlace() {
  addEventListener("pointerdown", hold, true);
  addEventListener("keydown", hold, true);
  addEventListener("pointerup", () => held && (held.down = false), true);
  addEventListener("pointercancel", letGo, true); // a finger scrolls
  addEventListener("av-brought-into-view", letGo);
  addEventListener("resize", forgetSentences);
}
