/* places.js: links to other pages of the app, which go there without loading the app anew. */
import { el } from "./dom.js";

/** The address of a page, from any page of the app. @param {string} page @param {Record<string, string>} [query] */
export function addressOf(page, query = {}) {
  const given = new URLSearchParams(query).toString();
  return (page === "explore" ? "./" : page) + (given && `?${given}`);
}

/** Whether an address is one of the page on screen, whatever it sets there. @param {string} address */
export const isHere = (address) => new URL(address, location.href).pathname === location.pathname;

/**
 * A link that asks the server for the page, so that the session goes on; with Ctrl, Shift or the middle button it is
 * the browser's.
 * @param {string} address
 * @param {() => void} go
 * @param {...(import("./dom.js").Child | import("./dom.js").Child[])} children
 */
export function placeLink(address, go, ...children) {
  const onclick = (/** @type {MouseEvent} */ event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go();
  };
  return el("a", { href: address, target: "_self", onclick }, ...children);
}
