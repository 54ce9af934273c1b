/* full-screen.js: one panel of a page, a picture or a view, on the whole screen. */

const PANELS = ".stElementContainer:has(.stBidiComponent):not(.st-key-page-tools)";

const areaOf = (element) => {
  const { width, height } = element.getBoundingClientRect();
  return width * height;
};

/** The panel that is meant: with the focus, under the pointer, or the largest that is in view. */
function panelInMind() {
  const hovered = [...document.querySelectorAll(PANELS)].filter((panel) => panel.matches(":hover"));
  const seen = [...document.querySelectorAll(PANELS)].filter((panel) => {
    const { top, bottom } = panel.getBoundingClientRect();
    return areaOf(panel) && bottom > 0 && top < innerHeight;
  });
  return (
    document.activeElement?.closest(PANELS) ?? hovered.at(-1) ?? seen.sort((a, b) => areaOf(b) - areaOf(a))[0] ?? null
  );
}

/** Shows a panel on the whole screen, or goes back to the page. */
export function fillScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else panelInMind()?.requestFullscreen();
}
