/* dom.js: elements, and tokens inside them. Texts are strangers': they become text nodes, never HTML. */

/**
 * @typedef {Node | string | null | false} Child
 *
 * @typedef {object} TokenLabel A token as it is shown.
 * @property {string} label
 * @property {boolean} [sp] A special token.
 * @property {boolean} [cont] It continues a word.
 */

/**
 * An element with attributes, properties (on…), classes, and children that are nodes or text.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child != null && child !== false) e.append(child);
  return e;
}

/** An element by its id, of whatever kind. @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * A token's label without the dot that marks a piece of a word.
 * @param {TokenLabel} item
 */
export const plainLabel = (item) => (item.cont && item.label.startsWith("·") ? item.label.slice(1) : item.label);

/**
 * A token inside a sentence: isolated, so that right-to-left words leave the rest in place.
 * @param {TokenLabel} item
 * @param {string | null} [kind] Its class.
 */
export const tokenNode = (item, kind = null) => el("bdi", { class: kind }, plainLabel(item));

/**
 * The same of an SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number>} attributes
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, String(value));
  e.append(...children);
  return e;
}
