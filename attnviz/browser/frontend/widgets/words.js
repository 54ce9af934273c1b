/* words.js: explains the terms that stand on the page, where they stand, and lists them (a Streamlit component,
   components v2). The data is {entries: [{term, also, pattern, says, page, query, title}]}.

   Nothing of the page is changed: the words are marked by a highlight of the browser, and found again under the
   pointer by their place. Places are kept as numbers: the browser would move every live range at every change of the
   page, and a chart makes thousands. And only what is in the window, or close to it, is marked: at every change of the
   page the browser paints anew whatever has a mark. */
import { component } from "../core/bridge.js";
import { el } from "../core/dom.js";
import { findTerms, termFinder } from "../core/term-finder.js";
import { visitTexts } from "./page-text.js";
import { TermCard } from "./term-card.js";

const MARK = "attnviz-term";
const MARK_CSS = `::highlight(${MARK}) { text-decoration: underline dotted 1px; text-underline-offset: 3px }`;
const REST = 300; // ms after which the page is read again
const POINT = 300; // ms that the pointer rests on a word before it is explained
const AROUND = "240px 0px"; // over and under the window words are marked before they come into it

/** @typedef {{node: Text, start: number, end: number, entry: number, control: boolean, token: boolean}} Mark */
/** @typedef {{holder: Element, range: StaticRange}} First */

class Words {
  constructor(root, { entries }, tell) {
    this.root = root;
    this.entries = entries;
    this.tell = tell;
    this.finder = termFinder(entries);
    this.page = document.querySelector("[data-testid=stMain]") ?? document.body;
    this.found = new WeakMap(); // of each text that was read: its data and places
    /** @type {Map<Element, Mark[]>} */
    this.marks = new Map(); // by the element that holds the word
    this.listed = null; // the terms of the list
    /** @type {First[]} */
    this.first = []; // of each term the first place where it can be marked
    /** @type {First[]} */
    this.marked = []; // those of them that are in the window
    this.near = new Set(); // the elements that hold words and are in the window, or close to it
    this.watched = new Set(); // all elements that hold such a first place
    this.sight = new IntersectionObserver((seen) => this.see(seen), { root: this.page, rootMargin: AROUND });
    this.waiting = this.pointing = 0;
    this.card = new TermCard(({ term }) => tell.trigger("go", { term }));
    this.list = el("div", { class: "list", role: "group", "aria-label": "Words on this page. Arrow keys move." });
    root.replaceChildren(el("p", {}, "Words on this page"), this.list, this.card.node);
    this.observer = new MutationObserver(() => this.readSoon());
    this.roots = new WeakSet();
    this.sheet = new CSSStyleSheet();
    this.sheet.replaceSync(MARK_CSS);
    this.observe(this.page, document);
    this.listen();
    this.readSoon();
  }

  /** Watches a tree, in which the words can then be marked. A chart says by itself when it has been drawn. */
  observe(tree, styled) {
    if (this.roots.has(tree)) return;
    this.roots.add(tree);
    const plot = tree.querySelector(".av-chart-plot");
    const watched = plot ? [...plot.parentElement.children].filter((part) => part !== plot) : [tree];
    for (const part of watched) this.observer.observe(part, { childList: true, characterData: true, subtree: true });
    styled.adoptedStyleSheets = [...styled.adoptedStyleSheets, this.sheet];
  }

  listen() {
    this.ending = new AbortController();
    const { signal } = this.ending;
    const on = (name, act) => document.addEventListener(name, act, { signal, passive: true, capture: true });
    on("pointermove", (event) => event.pointerType !== "touch" && this.point(event));
    on("click", (event) => this.press(event));
    on("keydown", (event) => event.key === "Escape" && this.leaveAlone());
    on("scroll", () => this.follow());
    on("av-drawn", () => this.readSoon());
    this.list.addEventListener("keydown", (event) => this.move(event));
    this.list.addEventListener("focusout", () => this.card.leave());
  }

  /* ---- reading the page --------------------------------------------------------------------- */

  readSoon() {
    if (this.waiting) return;
    this.waiting = setTimeout(() => {
      const idle = window.requestIdleCallback ?? setTimeout;
      idle(() => {
        this.waiting = 0;
        if (this.root.isConnected) this.read();
      });
    }, REST);
  }

  read() {
    const seen = new Set(); // the entries that stand on the page
    const marked = new Set();
    this.first = [];
    this.marks = new Map();
    visitTexts(this.page, {
      skip: this.root.getRootNode().host ?? this.root,
      onRoot: (root) => this.observe(root, root),
      onText: (text) => {
        for (const { start, end, entry } of this.placesIn(text)) {
          seen.add(entry);
          if (text.drawn) continue;
          const { node, control, token } = text,
            holder = node.parentElement;
          this.marks.set(holder, [...(this.marks.get(holder) ?? []), { node, start, end, entry, control, token }]);
          if (control || text.token || text.bare || marked.has(entry) || !isVisible(holder)) continue;
          marked.add(entry);
          const range = { startContainer: node, startOffset: start, endContainer: node, endOffset: end };
          this.first.push({ holder, range: new StaticRange(range) });
        }
      },
    });
    this.watch();
    this.mark();
    this.show(this.entries.filter((_, i) => seen.has(i)));
  }

  placesIn({ node, token }) {
    const before = this.found.get(node);
    if (before?.data === node.data) return before.places;
    const places = findTerms(this.finder, node.data, token);
    this.found.set(node, { data: node.data, places });
    return places;
  }

  /** Asks to be told when an element that holds a first place comes close to the window, and when it goes. */
  watch() {
    const holders = new Set(this.first.map(({ holder }) => holder));
    for (const one of this.watched) {
      if (holders.has(one)) continue;
      this.sight.unobserve(one);
      this.near.delete(one);
    }
    for (const one of holders) if (!this.watched.has(one)) this.sight.observe(one);
    this.watched = holders;
  }

  see(seen) {
    for (const { target, isIntersecting } of seen) this.near[isIntersecting ? "add" : "delete"](target);
    this.mark();
  }

  /** Marks the words in the window, if they are others than before. */
  mark() {
    if (!window.Highlight) return; // the words are explained all the same
    const marked = this.first.filter(({ holder }) => this.near.has(holder));
    if (marked.length === this.marked.length && marked.every((one, i) => isSame(one, this.marked[i]))) return;
    this.marked = marked;
    this.highlighted = new Highlight(...marked.map(({ range }) => range));
    CSS.highlights.set(MARK, this.highlighted);
  }

  /* ---- the list ------------------------------------------------------------------------------ */

  show(entries) {
    const listed = entries.map(({ term }) => term).join("\n");
    if (listed === this.listed) return;
    this.listed = listed;
    const at = [...this.list.querySelectorAll("button")].indexOf(this.focused());
    this.list.replaceChildren(...entries.map((entry, i) => this.item(entry, i === Math.max(0, at))));
    if (at >= 0) this.list.querySelectorAll("button")[at]?.focus({ preventScroll: true });
    this.root.hidden = !entries.length;
  }

  item(entry, entered) {
    const says = el("span", { class: "aw-sr", id: `aw-says-${this.entries.indexOf(entry)}` }, entry.says);
    const button = el(
      "button",
      { type: "button", tabindex: entered ? 0 : -1, "aria-describedby": says.id },
      entry.term,
    );
    const show = () => this.card.show(entry, button.getBoundingClientRect());
    button.addEventListener("focus", show);
    button.addEventListener("click", show);
    button.addEventListener("pointerenter", show);
    button.addEventListener("pointerleave", () => this.card.leave());
    return el("span", {}, button, says);
  }

  /** @returns {any} */
  focused() {
    return /** @type {Document | ShadowRoot} */ (this.root.getRootNode()).activeElement;
  }

  /** Arrow keys go through the list. */
  move(event) {
    const buttons = [...this.list.querySelectorAll("button")];
    const at = buttons.indexOf(this.focused());
    const steps = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1 };
    const to = { ...steps, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined || !buttons[to]) return;
    event.preventDefault();
    buttons[at].tabIndex = -1;
    buttons[to].tabIndex = 0;
    buttons[to].focus();
  }

  /* ---- the words under the pointer ------------------------------------------------------------ */

  /** The word at a pointer's place, with its rectangle. */
  wordAt(event) {
    const [target] = event.composedPath();
    for (const mark of this.marks.get(target) ?? [])
      for (const rect of rectsOf(mark))
        if (event.clientX >= rect.left && event.clientX <= rect.right)
          if (event.clientY >= rect.top && event.clientY <= rect.bottom)
            return { entry: this.entries[mark.entry], rect, control: mark.control, token: mark.token };
    return null;
  }

  point(event) {
    clearTimeout(this.pointing);
    if (event.composedPath().includes(this.root)) return;
    const word = event.buttons ? null : this.wordAt(event);
    if (word && word.entry === this.card.entry) this.card.stay();
    else if (word) this.pointing = setTimeout(() => this.card.show(word.entry, word.rect), POINT);
    if (!word && this.card.open && !this.isFocused()) this.card.leave();
  }

  /** Whether the keyboard is in the list: then what it explains stays. */
  isFocused() {
    return this.list.contains(this.focused());
  }

  /** The page was scrolled, be it to the entry that has the focus: the card follows that one, and leaves any other. */
  follow() {
    if (this.card.open && this.isFocused()) this.card.show(this.card.entry, this.focused().getBoundingClientRect());
    else this.card.hide();
  }

  /** No card, not even of the word under the pointer: Escape may also have moved the page under it. */
  leaveAlone() {
    clearTimeout(this.pointing);
    this.card.hide();
  }

  press(event) {
    clearTimeout(this.pointing);
    if (event.composedPath().includes(this.root)) return;
    const word = this.wordAt(event);
    const tapped = event.pointerType === "touch" && word?.token; // a finger does not hover over a token
    if (word && (!word.control || tapped)) this.card.show(word.entry, word.rect);
    else this.card.hide();
  }

  destroy() {
    this.ending.abort();
    this.observer.disconnect();
    clearTimeout(this.waiting);
    clearTimeout(this.pointing);
    this.sight.disconnect();
    if (window.Highlight && CSS.highlights.get(MARK) === this.highlighted) CSS.highlights.delete(MARK);
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== this.sheet);
  }
}

/** Where a word stands in the window now; nowhere if its text has changed since. @param {Mark} mark */
function rectsOf({ node, start, end }) {
  if (!node.isConnected || end > node.length) return [];
  const range = document.createRange();
  range.setStart(node, start);
  range.setEnd(node, end);
  return range.getClientRects();
}

/** Whether a reader can see what an element holds. @param {Element} element */
function isVisible(element) {
  const { width, height } = element.getBoundingClientRect();
  return width > 1 && height > 1;
}

/** Whether two marks are at one place of one text. @param {First} one @param {First} other */
function isSame({ range: one }, { range: other }) {
  const places = (range) => [range.startContainer, range.startOffset, range.endOffset];
  return places(one).every((part, i) => part === places(other)[i]);
}

export default component(".aw-words", {
  mount: (root, data, tell) => new Words(root, data, tell),
  update: () => {}, // the glossary is the same on every page
  destroy: (words) => words.destroy(),
});
