/* print-sheet.js: a page on paper. Pictures are drawn anew for the width of a sheet; the rest is in
   attnviz/web/page.css. */

/** Lays the page out for paper, or for the screen again; pictures listen for it. */
function layOut(forPaper) {
  document.documentElement.classList.toggle("av-printing", forPaper);
  dispatchEvent(new Event("av-scale"));
}

/** Until everything has found its place on the sheet. */
async function settled() {
  for (let frame = 0; frame < 6; frame++) await new Promise(requestAnimationFrame);
}

/** Prints the page, or keeps it as a PDF. */
export async function printPage() {
  layOut(true);
  await settled();
  print();
}

/** The browser's own command gives no time: what can be laid out at once is. */
export function printWhenAsked() {
  addEventListener("beforeprint", () => layOut(true));
  addEventListener("afterprint", () => layOut(false));
}
