/* paper.js: a page on paper. It is laid out as wide as a sheet, and charts are drawn anew for that, in the colours of
   the light theme; style sheets hide what paper has no use for. */
import { isDark, onPaper } from "./theme.js";

const [SHEET, NEARLY] = [1032, 860]; // px: how high a sheet of A4 is within its margins, and most of it
const NO_NEWS = 2000; // ms after which a browser that reports no end of printing is taken to have printed
const VIEWS = "[data-testid=stBidiComponentIsolated], #attnviz-view";
const TOLD = ".stBidiComponent > div"; // where Streamlit tells its colours
const PAINTED = "canvas, .aw"; // in what lays itself out, and takes time for it

/** The views of the page, with how wide they are. @returns {[HTMLElement, number][]} */
const paintedViews = () =>
  [...document.querySelectorAll(VIEWS)]
    .filter((view) => (view.shadowRoot ?? view).querySelector(PAINTED))
    .map((view) => [/** @type {HTMLElement} */ (view), view.getBoundingClientRect().width]);

/** Lays the page out for paper, or for the screen again; pictures listen for it. */
function layOut(forPaper) {
  const { classList } = document.documentElement;
  if (!onPaper()) classList.toggle("av-dark", isDark(document.querySelector(TOLD) ?? document.body));
  classList.toggle("av-printing", forPaper);
  dispatchEvent(new Event("av-paper"));
}

/** A view that has no time to lay itself out anew stays as it is, and smaller, with room for a line below it. */
function shrink(view, before) {
  const around = view.closest(".stBidiComponent") ?? view.parentElement,
    room = around.getBoundingClientRect().width;
  if (!before || room >= before) return;
  view.style.width = `${before}px`;
  const { height } = view.getBoundingClientRect(),
    zoom = room / before,
    nearlyFills = height * zoom > NEARLY && height * zoom < SHEET;
  view.style.zoom = String(nearlyFills ? NEARLY / height : zoom);
}

const COMING = "[data-testid=stSkeleton], [data-testid=stApp][data-test-script-state=running]";
const LATE = 10_000; // ms for what the server still sends

/** Until everything is there and has found its place on the sheet. */
async function settled() {
  const began = performance.now();
  for (let frames = 0; frames < 20; frames++) {
    await new Promise(requestAnimationFrame);
    if (document.querySelector(COMING) && performance.now() - began < LATE) frames = 0;
  }
}

/** Prints the page, or keeps it as a PDF. */
export async function printPage() {
  layOut(true);
  await settled();
  dispatchEvent(new Event("av-paper")); // what waits for an idle moment is drawn now
  print();
  setTimeout(() => layOut(false), NO_NEWS);
}

/** The browser's own command gives no time: what can be laid out at once is. */
export function printWhenAsked() {
  /** @type {[HTMLElement, number][]} */
  let views = [];
  addEventListener("beforeprint", () => {
    if (onPaper()) return;
    views = paintedViews();
    layOut(true);
    for (const [view, before] of views) shrink(view, before);
  });
  addEventListener("afterprint", () => {
    for (const [view] of views) Object.assign(view.style, { width: "", zoom: "" });
    views = [];
    layOut(false);
  });
}
