/* theme-choice.js: light or dark, chosen in Streamlit's menu, holds on every page and after a reload. Streamlit keeps
   the choice under the path that the tab was opened at, and each page has a path of its own. */
import { appRoot } from "../core/served.js";

const THEME_KEY = "stActiveTheme-";

/** @type {Map<string, string>} what has been copied, by its key in this tab: most clicks change nothing */
const copied = new Map();

/** Copies the choice of this tab to the paths of all pages. */
function shareTheme(pages) {
  const opened = new URL(performance.getEntriesByType("navigation")[0].name).pathname;
  const root = appRoot();
  for (const [key, choice] of Object.entries(localStorage)) {
    const version = key.slice(THEME_KEY.length + opened.length);
    if (key !== THEME_KEY + opened + version || !/^-v\d+$/.test(version)) continue;
    if (copied.get(key) === choice) continue;
    copied.set(key, choice);
    for (const page of pages) localStorage.setItem(THEME_KEY + new URL(page, root).pathname + version, choice);
  }
}

/**
 * Does so now and whenever the choice may have changed.
 * @param {string[]} pages Their paths below the app's address.
 */
export function keepTheme(pages) {
  const share = () => {
    try {
      shareTheme(pages);
    } catch {
      // the browser may keep nothing: Streamlit has kept no choice either
    }
  };
  share();
  for (const leaves of ["pagehide", "blur"]) addEventListener(leaves, share);
  document.addEventListener("click", () => setTimeout(share));
}
