/* address.js: one step back in the browser is one step back for the reader. A page chosen in the menu comes with a bare
   address, and writes what it shows into it a moment later: without this, that would be a second entry of the history,
   and the first step back would seem to do nothing. */

/**
 * From now on what a page writes on arrival takes the place of the entry that it arrived with, and a page that is
 * chosen begins at its top, though the one before was read to its end.
 */
export function oneEntryPerArrival() {
  const push = history.pushState.bind(history);
  let arriving = true;
  history.pushState = (state, unused, url) => {
    const moves = new URL(url ?? "", location.href).pathname !== location.pathname;
    if (!moves && arriving) return history.replaceState(state, unused, url);
    if (moves) {
      arriving = true;
      document.querySelector("[data-testid=stMain]")?.scrollTo({ top: 0, behavior: "instant" });
    }
    return push(state, unused, url);
  };
  // what is written after the reader did something is a step of its own
  for (const input of ["pointerdown", "keydown"]) addEventListener(input, () => (arriving = false), true);
}
