/* page-text.js: the texts of the page around a component, in the order in which they are read, also inside other
   components. */

const LEFT_OUT = new Set([
  "SCRIPT",
  "STYLE",
  "TEXTAREA",
  "INPUT",
  "SELECT",
  "CODE",
  "PRE",
  "NOSCRIPT",
  "CANVAS",
  "MATH",
]);
const CONTROLS = new Set(["BUTTON", "A", "LABEL", "SUMMARY"]);

/**
 * @typedef {object} PageText
 * @property {Text} node
 * @property {boolean} token its words are the reader's own
 * @property {boolean} control a press on it does something else
 * @property {boolean} bare it is not marked: the page's question, and a view of hundreds of numbers (`data-bare`),
 *   which the browser would paint anew at every change of the page
 * @property {boolean} drawn it stands in a picture, where nothing can be marked
 *
 * @typedef {{token: boolean, control: boolean, bare: boolean, drawn: boolean}} Place
 */

/** @type {Place} */
const ANYWHERE = { token: false, control: false, bare: false, drawn: false };

/** @param {Element} element */
const isLeftOut = (element) => LEFT_OUT.has(element.tagName) || element.matches("[hidden], [data-plain], .katex");

/** @param {Element} element @param {Place} place @returns {Place} */
const placeIn = (element, place) => ({
  token: place.token || element.tagName === "BDI",
  control: place.control || CONTROLS.has(element.tagName),
  bare: place.bare || element.tagName === "H1" || element.hasAttribute("data-bare"),
  drawn: place.drawn || element.tagName === "svg",
});

/**
 * Calls `onText` for every text under a node, and `onRoot` for every shadow root on the way.
 * @param {Node} node
 * @param {{onText: (text: PageText) => void, onRoot: (root: ShadowRoot) => void, skip: Node}} visitor
 * @param {Place} [place]
 */
export function visitTexts(node, visitor, place = ANYWHERE) {
  for (let child = node.firstChild; child; child = child.nextSibling) {
    if (child === visitor.skip) continue;
    if (child.nodeType === Node.TEXT_NODE) {
      const text = /** @type {Text} */ (child);
      if (text.data.trim().length > 1) visitor.onText({ node: text, ...place });
    } else if (child instanceof Element && !isLeftOut(child)) {
      const within = placeIn(child, place);
      if (child.shadowRoot) {
        visitor.onRoot(child.shadowRoot);
        visitTexts(child.shadowRoot, visitor, within);
      }
      visitTexts(child, visitor, within);
    }
  }
}
