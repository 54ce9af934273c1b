/* memory.js: what the browser remembers from visit to visit. Where it is not allowed to, it remembers until the page is
   left. Several components read it, so whoever changes it tells all. */

const PREFIX = "attnviz.";
const CHANGED = "attnviz-memory";
/** @type {Map<string, string>} */
const untilLeft = new Map();

/** What is remembered under a name, or null. @param {string} name @returns {string | null} */
export function recall(name) {
  try {
    return localStorage.getItem(PREFIX + name) ?? untilLeft.get(name) ?? null;
  } catch {
    return untilLeft.get(name) ?? null;
  }
}

/** @param {string} name @param {string} value */
export function remember(name, value) {
  if (recall(name) === value) return;
  untilLeft.set(name, value);
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // full or forbidden: `untilLeft` has it
  }
  document.dispatchEvent(new Event(CHANGED));
}

/** Calls `listener` whenever something else is remembered; returns what ends that. @param {() => void} listener */
export function onRemembered(listener) {
  document.addEventListener(CHANGED, listener);
  return () => document.removeEventListener(CHANGED, listener);
}

/** The pages of the lessons that are done: words in a row. @returns {string[]} */
export const doneLessons = () => (recall("done") ?? "").split(" ").filter((page) => /^\w+$/.test(page));

/** @param {string} page */
export function rememberDone(page) {
  const before = doneLessons();
  if (!before.includes(page)) remember("done", [...before, page].join(" "));
}
