/* start-facts.js: what the attention view has on screen, read from it: the start says nothing that is not there. */

/**
 * @typedef {object} Facts
 * @property {string[]} tokens
 * @property {string[]} pieces those of the first word in pieces
 * @property {string} special the first special token; "" for none
 * @property {string} place "layer 3, head 1"
 * @property {string} query "" where none is chosen
 * @property {string} key
 * @property {string} share of the query's attention that the key gets
 * @property {[string, string][]} steps from the products to the share
 */

export const TABLE = "[data-table]"; // the large table with its labels, as it is drawn

/** The attention view under a Streamlit key, or null. @param {string} key @returns {HTMLElement | null} */
export function viewOf(key) {
  for (const host of document.querySelectorAll(`.st-key-${CSS.escape(key)} *`)) {
    const view = host.shadowRoot?.querySelector(".av-chips")?.closest(".av");
    if (view) return /** @type {HTMLElement} */ (view);
  }
  return null;
}

const textOf = (/** @type {Element | null | undefined} */ element) => element?.textContent.trim() ?? "";

/** @param {HTMLElement} view @returns {Facts} */
export function factsOf(view) {
  const all = (/** @type {string} */ selector) => [...view.querySelectorAll(selector)];
  const say = view.querySelector(".av-say");
  const single = say?.querySelectorAll("bdi.q").length === 1; // several queries give one key together
  const title = textOf(view.querySelector(".av-matrix h2 span"));
  const word = all(".av-word").find((one) => one.children.length > 1);
  return {
    tokens: all(".av-chip").map(textOf),
    pieces: word ? [...word.children].map(textOf) : [],
    special: textOf(view.querySelector(".av-chip.sp")),
    place: title.charAt(0).toLowerCase() + title.slice(1),
    query: single ? textOf(say.querySelector("bdi.q")) : "",
    key: single ? textOf(say.querySelector("bdi.k")) : "",
    share: single ? textOf(say.querySelector("b")) : "",
    steps: all(".av-sum div").map((one) => [textOf(one.querySelector("span")), textOf(one.querySelector("b"))]),
  };
}

/**
 * Where what a step speaks of stands in the window, with the cell in focus; nothing without a view.
 * @param {HTMLElement | null} view
 * @param {string[]} selectors
 */
export function boxesOf(view, selectors) {
  const all = (/** @type {string} */ selector) =>
    /** @type {HTMLElement[]} */ ([...(view?.querySelectorAll(selector) ?? [])]);
  const parts = selectors.flatMap(all).filter((part) => part.dataset.table === undefined);
  const boxes = parts.map((part) => part.getBoundingClientRect());
  const drawn = all("[data-table]").flatMap((canvas) => {
    const { table, cell } = canvas.dataset;
    return [selectors.includes(TABLE) && table, cell].filter(Boolean).map((drawnAt) => boxOn(canvas, drawnAt));
  });
  return [...boxes.map(({ left, top, width, height }) => ({ left, top, width, height })), ...drawn];
}

/** What is drawn on a canvas, as it stands in the window. @param {Element} canvas @param {string} drawnAt */
function boxOn(canvas, drawnAt) {
  const { left, top } = canvas.getBoundingClientRect(),
    [x, y, width, height] = drawnAt.split(" ").map(Number);
  return { left: left + x, top: top + y, width, height };
}
