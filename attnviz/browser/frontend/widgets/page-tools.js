/* page-tools.js: the tools of every page, as a Streamlit component (components v2) that stands on all of them: the link
   with its QR code, the presenter form, print. It also keeps what the browser should remember from page to page. The
   data is {about: what the page is of, pages: the paths of all pages, own: parameters of the address that are this
   session's own, leftOut: sentences on what the link does not carry, qrcode: path of the library on this server}. */
import { component } from "../core/bridge.js";
import { oneEntryPerArrival } from "./address.js";
import { keepListsOpen } from "./late-scrolls.js";
import { addressOf, linkPanel } from "./page-link.js";
import { keepPressedInPlace } from "./pressed-place.js";
import { presenter } from "./presenter.js";
import { printPage, printWhenAsked } from "../core/paper.js";
import { keepTheme } from "./theme-choice.js";

const NARROW = 768; // px of the window, up to which Streamlit has its menu in the sidebar
const COLLAPSE = '[data-testid=stSidebar][data-collapsed="false"] [data-testid=stSidebarCollapseButton] button';
/** @type {any} The window: what is set up for the whole tab is set up once, though the component may be made anew. */
const tab = globalThis;

/** Says on paper what the page is of, and where it is found. */
function sayOnPaper(root, { about, own }) {
  root.querySelector(".av-print-about").textContent = [about, addressOf(own)].filter(Boolean).join(" · ");
}

/** On a phone the menu lies over the page: it goes as soon as a page is chosen in it. */
function closeMenuOnceUsed() {
  document.addEventListener("click", ({ target }) => {
    const isLink = target instanceof Element && target.closest("[data-testid=stSidebarNavLink]");
    if (innerWidth > NARROW || !isLink) return;
    setTimeout(() => /** @type {HTMLElement} */ (document.querySelector(COLLAPSE))?.click());
  });
}

/** What holds for the tab, from its first page on. */
function setUpTab(pages) {
  if (tab.attnvizTab) return;
  tab.attnvizTab = true;
  oneEntryPerArrival();
  keepTheme(pages);
  printWhenAsked();
  closeMenuOnceUsed();
  keepListsOpen();
  keepPressedInPlace();
}

export default component(".av-tools", {
  mount(root, data) {
    setUpTab(data.pages);
    const panel = linkPanel(root.querySelector("dialog"), data),
      present = presenter(root);
    const tools = { link: panel.open, print: printPage, ...present.actions };
    for (const button of root.querySelectorAll("button[data-do]"))
      button.addEventListener("click", () => tools[/** @type {HTMLElement} */ (button).dataset.do]());
    const paper = () => sayOnPaper(root, panel.data);
    addEventListener("av-paper", paper);
    return { panel, present, paper };
  },
  update({ panel }, data) {
    panel.data = data;
  },
  destroy({ present, paper }) {
    removeEventListener("av-paper", paper);
    present.destroy();
  },
});
