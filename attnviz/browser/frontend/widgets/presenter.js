/* presenter.js: the presenter form of a page: no sidebar, no header, larger type, one section at a time, any panel on
   the whole screen. It lasts until it is left, as long as the tab. Its look is in attnviz/web/page.css: this sets the
   class `av-presenting` and the variable `--av-scale` on the document, and marks what is out of the section with
   `data-av-away`. */
import { fillScreen, presentScale } from "./full-screen.js";
import { blocksOf, markAway, sectionsOf } from "./sections.js";

const PRESENTING = "attnviz-presenting";
const STEP = 0.85; // of the screen's height, that Page down moves within a section
const LINE = 80; // px that an arrow moves

const mainArea = () => /** @type {HTMLElement} */ (document.querySelector("[data-testid=stMain]"));

/** Whether keys that are pressed now are typed into something. */
function isTyping(event) {
  const [target] = event.composedPath();
  return (
    target instanceof Element &&
    target.matches("textarea, select, input:not([type=range], [type=checkbox], [type=radio]), [contenteditable]")
  );
}

const nothingHasFocus = () => !document.activeElement || document.activeElement.matches("body, [data-testid=stMain]");

/** Shows the section that is chosen, and hides the others; the number of sections may have changed. */
function showSection(form) {
  if (form.path !== location.pathname) [form.path, form.index] = [location.pathname, 0];
  const sections = sectionsOf(blocksOf(mainArea()));
  form.index = Math.max(0, Math.min(form.index, sections.length - 1));
  markAway(mainArea(), (block) => !form.on || (sections[form.index]?.includes(block) ?? false));
  form.count = sections.length;
  form.place.textContent = `${form.index + 1} of ${sections.length}`;
  form.button("previous").disabled = form.index === 0;
  form.button("next").disabled = form.index >= sections.length - 1;
  for (const name of ["previous", "next"]) form.button(name).hidden = sections.length < 2;
  form.place.hidden = sections.length < 2;
}

/** Shows another section, from its beginning or at its end. */
function moveTo(form, index, atEnd = false) {
  if (index < 0 || index >= form.count) return;
  form.index = index;
  showSection(form);
  mainArea().scrollTop = atEnd ? mainArea().scrollHeight : 0;
}

/** A screen on or back within a section that is longer than the screen, else to the next or the one before. */
function turnPage(form, direction) {
  const area = mainArea(),
    left = direction > 0 ? area.scrollHeight - area.clientHeight - area.scrollTop : area.scrollTop;
  if (left > 8) area.scrollBy({ top: direction * STEP * area.clientHeight });
  else moveTo(form, form.index + direction, direction < 0);
}

/** Puts everything into the form, or back out of it. */
function setPresenting(form, on) {
  form.on = on;
  sessionStorage.setItem(PRESENTING, on ? "1" : "");
  const page = document.documentElement;
  page.classList.toggle("av-presenting", on);
  if (on) page.style.setProperty("--av-scale", String(presentScale()));
  else page.style.removeProperty("--av-scale");
  dispatchEvent(new Event("av-scale")); // for pictures whose type is not the page's
  [form.bar.hidden, form.row.hidden] = [!on, on];
  form.watch.disconnect();
  showSection(form);
  if (on) form.watch.observe(mainArea(), { childList: true, subtree: true });
  else if (document.fullscreenElement) document.exitFullscreen();
}

/** @returns {Record<string, () => void>} What a key does now. */
function keyActions(form) {
  const free = nothingHasFocus();
  return {
    p: () => setPresenting(form, !form.on),
    f: fillScreen,
    ...(form.on && {
      PageDown: () => turnPage(form, 1),
      PageUp: () => turnPage(form, -1),
      ...(free && {
        ArrowRight: () => moveTo(form, form.index + 1),
        ArrowLeft: () => moveTo(form, form.index - 1),
        ArrowDown: () => mainArea().scrollBy({ top: LINE }),
        ArrowUp: () => mainArea().scrollBy({ top: -LINE }),
        " ": () => turnPage(form, 1),
      }),
      Escape: () => setPresenting(form, false),
    }),
  };
}

/** From the whole screen Escape leads back to the page, whatever else it would do there. */
function leaveScreen(event) {
  if (event.key !== "Escape" || !document.fullscreenElement) return;
  event.preventDefault();
  event.stopPropagation();
  document.exitFullscreen();
}

function onKey(form, event) {
  const { key, ctrlKey, metaKey, altKey } = event;
  if (event.defaultPrevented || ctrlKey || metaKey || altKey || isTyping(event) || form.dialog.open) return;
  const action = keyActions(form)[key.length === 1 ? key.toLowerCase() : key];
  if (!action) return;
  event.preventDefault();
  action();
}

/**
 * The form of one tab; it goes on where the tab was in it.
 * @param {HTMLElement} root Of the page's tools.
 */
export function presenter(root) {
  let waiting = 0;
  const form = {
    on: false,
    index: 0,
    count: 1,
    path: location.pathname,
    bar: /** @type {HTMLElement} */ (root.querySelector(".av-present")),
    row: /** @type {HTMLElement} */ (root.querySelector(".av-tools-row")),
    place: /** @type {HTMLElement} */ (root.querySelector(".av-present-place")),
    dialog: root.querySelector("dialog"),
    /** @returns {HTMLButtonElement} */
    button: (name) => root.querySelector(`[data-do=${name}]`),
    watch: new MutationObserver(() => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(() => showSection(form));
    }),
  };
  const keys = (event) => onKey(form, event),
    resize = () => form.on && setPresenting(form, true);
  document.addEventListener("keydown", leaveScreen, true); // before the panel hears of it
  document.addEventListener("keydown", keys);
  addEventListener("resize", resize);
  if (sessionStorage.getItem(PRESENTING)) setPresenting(form, true);
  const actions = {
    present: () => setPresenting(form, true),
    leave: () => setPresenting(form, false),
    previous: () => moveTo(form, form.index - 1),
    next: () => moveTo(form, form.index + 1),
    fill: fillScreen,
  };
  const destroy = () => {
    document.removeEventListener("keydown", leaveScreen, true);
    document.removeEventListener("keydown", keys);
    removeEventListener("resize", resize);
    form.watch.disconnect();
    cancelAnimationFrame(waiting);
  };
  return { actions, destroy };
}
