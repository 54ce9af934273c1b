/* full-screen.js: one panel of a page, a picture or a view, on the whole screen. */

const LARGEST = 3; // times

/** How much larger type is before a class: a 36th of the screen's height is read from the back of a room. */
export const presentScale = () =>
  innerWidth < 720 ? 1 : Math.min(LARGEST, Math.max(1.25, Math.min(innerWidth / 1066, innerHeight / 600)));

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

/** The section under the pointer: by the time that the screen is given, the page has moved under it. */
function sectionUnderPointer() {
  /** @type {Element | undefined} */
  let under = [...document.querySelectorAll(":hover")].at(-1);
  while (under?.shadowRoot) under = [...under.shadowRoot.querySelectorAll(":hover")].at(-1);
  return under?.closest("section")?.className ?? "";
}

/** One panel on the whole screen, in the type of the presenter form; charts are drawn anew. */
function showWhole(panel) {
  if (!panel) return;
  panel.dataset.avSection = sectionUnderPointer(); // whole.js reads it
  const changed = () => {
    const whole = document.fullscreenElement === panel;
    const app = /** @type {HTMLElement} */ (document.querySelector("[data-testid=stApp]"));
    panel.style.backgroundColor = whole ? getComputedStyle(app).backgroundColor : "";
    if (whole) panel.style.setProperty("--av-scale", String(presentScale()));
    else {
      panel.style.removeProperty("--av-scale");
      panel.removeEventListener("fullscreenchange", changed);
    }
    dispatchEvent(new Event("av-scale"));
  };
  panel.addEventListener("fullscreenchange", changed);
  panel.requestFullscreen();
}

/** Shows a panel on the whole screen, or goes back to the page. */
export function fillScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else showWhole(panelInMind());
}
