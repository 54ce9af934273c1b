/* print-sheet.js: a page on paper. It is laid out as wide as a sheet, and pictures are drawn anew for that; what paper
   has no use for is hidden by attnviz/web/page.css. */

const NO_NEWS = 2000; // ms after which a browser that reports no end of printing is taken to have printed

/** Lays the page out for paper, or for the screen again; pictures listen for it. */
function layOut(forPaper) {
  document.documentElement.classList.toggle("av-printing", forPaper);
  dispatchEvent(new Event("av-paper"));
}

/** Until everything has found its place on the sheet. */
async function settled() {
  for (let frame = 0; frame < 20; frame++) await new Promise(requestAnimationFrame);
}

/** Prints the page, or keeps it as a PDF. */
export async function printPage() {
  layOut(true);
  await settled();
  print();
  setTimeout(() => layOut(false), NO_NEWS);
}

/** The browser's own command gives no time: what can be laid out at once is. */
export function printWhenAsked() {
  addEventListener("beforeprint", () => layOut(true));
  addEventListener("afterprint", () => layOut(false));
}
