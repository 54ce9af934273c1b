/* served.js: what this app serves beside its modules: libraries of others, loaded once per tab when they are needed. */

/** @type {any} The window: such a library puts itself there. */
const servedTab = globalThis;

/** The address of the app: its own scripts lie in static/js below. */
export function appRoot() {
  /** @type {HTMLScriptElement} */
  const script = document.querySelector('script[src*="static/js/"]');
  return new URL("../../", script.src);
}

/** A library that is here already, or undefined. @param {string} name */
export const libraryHere = (name) => servedTab[name];

/**
 * A library, loaded once for all components of the tab.
 * @param {string} path Below the app's address.
 * @param {string} name Of the global variable that it makes.
 */
export function library(path, name) {
  const loading = (servedTab.attnvizLibraries ??= {});
  return (loading[name] ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(path, appRoot()).href;
    script.onload = () => resolve(servedTab[name]);
    script.onerror = () => {
      delete loading[name]; // the next one who needs it tries again
      reject(new Error(`${name} did not load`));
    };
    document.head.append(script);
  }));
}
