/* address.js: what the page shows, in its address after the #: it never reaches a server. The names are the app's. */
import { viewFromQuery, viewQuery } from "./view-link.js";

const LONGEST_TEXT = 2_000; // characters: browsers and mail cut longer addresses

/**
 * @typedef {object} Shown
 * @property {string} model
 * @property {string} text
 * @property {"self" | "cross" | "encoder"} stack
 * @property {[number, number][]} off heads switched off
 * @property {import("../core/contract.js").ViewState} state
 */

/** @param {string} hash @param {Shown} first what shows without one @returns {Shown} */
export function readAddress(hash, first) {
  const query = Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
  if (!Object.keys(query).length) return first;
  const off = (query.off ?? "").split("_").map((pair) => /^(\d{1,3})\.(\d{1,3})$/.exec(pair));
  return {
    model: query.model ?? first.model,
    text: (query.text ?? first.text).slice(0, LONGEST_TEXT),
    stack: /** @type {any} */ (["self", "cross", "encoder"].find((name) => name === query.stack) ?? first.stack),
    off: off.filter(Boolean).map((found) => [Number(found[1]), Number(found[2])]),
    state: viewFromQuery(query),
  };
}

/** @param {Shown} shown @returns {string} */
export function writeAddress({ model, text, stack, off, state }) {
  const query = new URLSearchParams({ model, ...viewQuery(state) });
  if (text.length <= LONGEST_TEXT) query.set("text", text);
  if (stack !== "self") query.set("stack", stack);
  if (off.length) query.set("off", off.map((pair) => pair.join(".")).join("_"));
  return `#${query}`;
}
