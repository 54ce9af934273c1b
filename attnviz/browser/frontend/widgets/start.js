/* start.js: the first minute: an invitation beside the title of the attention view, and five steps that point at its
   parts (a Streamlit component, components v2). The data is {view: its key, layers, heads, offered, asked: to begin at
   once}. What the reader has done with it, the browser remembers. */
import { component } from "../core/bridge.js";
import { el } from "../core/dom.js";
import { recall, remember, rememberDone } from "../core/memory.js";
import { addressOf, placeLink } from "../core/places.js";
import { readTheme, watchTheme } from "../core/theme.js";
import { boxesOf, factsOf, viewOf } from "./start-facts.js";
import { cardPlace } from "./start-place.js";
import { STEPS } from "./start-steps.js";

const START = "attnviz-start"; // a list of lessons on the same page asks for it
const LOOK = 200; // ms after which the parts of the view are looked for again
const PHONE = 720; // px under which the card stands at the foot of the window
const PLACE = ".st-key-explore-start"; // of the page; attnviz/web/page.css knows it
const WIDTHS = [21.5, 16.5]; // rem of the card
const ROOM = 190; // px that the invitation needs beside the title

/** @param {string} label @param {() => void} onclick @param {string} [name] */
const button = (label, onclick, name = "as-button") => el("button", { type: "button", class: name, onclick }, label);

class Start {
  constructor(root, data, tell) {
    this.root = root;
    this.tell = tell;
    this.at = -1; // the step; −1 while it does not run
    this.before = null; // what was on screen when the step began
    this.from = null; // what had the focus before
    root.classList.add("av");
    readTheme(root);
    this.build();
    this.listen();
    this.update(data);
  }

  build() {
    const no = button("×", () => this.decline(), "as-no");
    no.setAttribute("aria-label", "No, thank you");
    this.begins = button("New here? 60 seconds", () => this.begin(), "as-begin");
    this.invitation = el("div", { class: "as-invitation", hidden: true }, this.begins, no);
    this.ring = el("div", { class: "as-ring", hidden: true, "aria-hidden": "true" });
    this.title = el("h2", { id: "as-title", tabindex: "-1" });
    this.says = el("p", { class: "as-says" });
    this.more = el("div", { class: "as-more" });
    this.count = el("span", { class: "as-count" });
    this.skip = button("Skip", () => this.end("skipped"), "as-skip");
    this.back = button("Back", () => this.go(this.at - 1));
    this.next = button("Next", () => this.go(this.at + 1));
    const ways = el("div", { class: "as-ways" }, this.count, this.skip, this.back, this.next);
    const about = { class: "as-card", role: "dialog", "aria-labelledby": "as-title", popover: "manual" };
    this.card = el("div", about, this.title, this.says, this.more, ways);
    this.heard = el("p", { class: "as-sr", role: "status" });
    this.root.replaceChildren(this.invitation, this.ring, this.card, this.heard);
  }

  listen() {
    this.ending = new AbortController();
    const { signal } = this.ending;
    document.addEventListener(START, () => this.begin(), { signal });
    document.addEventListener("keydown", (event) => this.key(event), { signal, capture: true });
    for (const name of ["resize", "scroll"])
      window.addEventListener(name, () => this.show(), { signal, capture: true, passive: true });
    this.watching = setInterval(() => this.show(), LOOK);
    this.unwatch = watchTheme(this.root, () => {});
  }

  update(data) {
    const asked = data.asked && !this.data?.asked;
    this.data = data;
    this.told = null; // the step may speak of what is new
    if (asked) this.begin();
    this.show();
  }

  get running() {
    return this.at >= 0;
  }

  get offered() {
    return !this.running && this.data.offered && recall("start") === null;
  }

  /* ---- going through it ----------------------------------------------------------------------- */

  begin() {
    this.from ??= this.root.getRootNode() instanceof ShadowRoot ? focusedIn(document) : null;
    this.go(0);
    this.title.focus({ preventScroll: true });
  }

  decline() {
    remember("start", "skipped");
    this.show();
  }

  go(at) {
    if (at >= STEPS.length) return this.end("done");
    const view = viewOf(this.data.view);
    this.at = Math.max(0, at);
    this.before = view && factsOf(view);
    this.told = null;
    const { title } = STEPS[this.at];
    const last = this.at === STEPS.length - 1;
    this.title.textContent = title;
    this.count.textContent = `${this.at + 1} of ${STEPS.length}`;
    this.next.textContent = last ? "Done" : "Next";
    this.back.hidden = this.at === 0;
    this.skip.hidden = last;
    this.more.replaceChildren(...(last ? this.lastWords() : []));
    this.broughtAt = 0;
    this.show();
    this.heard.textContent = `${this.count.textContent}. ${title}. ${this.says.textContent}`;
  }

  /** What the reader can say now, and where it goes on. */
  lastWords() {
    const [{ page, title, minutes }] = this.data.next;
    const answer = "One way of looking: a table with a row for each token, which says how much it looks at each ";
    const rest = "of the tokens. A layer has several heads, and training gave each something else to look for.";
    const onward = placeLink(addressOf(page), () => this.goOn(page), `${title}, ${minutes}\u202fmin`);
    const says = el("p", { id: "as-answer" }, answer + rest); // it has its room before it shows, so the card stays
    const ask = button(
      "What is a head? Say it in your own words, then look.",
      () => ask.setAttribute("aria-expanded", String(says.classList.toggle("open"))),
      "as-ask",
    );
    ask.setAttribute("aria-expanded", "false");
    ask.setAttribute("aria-controls", says.id);
    return [ask, says, el("p", {}, "Next lesson: ", onward)];
  }

  goOn(page) {
    this.end("done");
    this.tell.trigger("go", { page });
  }

  end(how) {
    if (recall("start") !== "done") remember("start", how);
    if (how === "done") {
      rememberDone("explore");
      document.querySelector("[data-testid=stMain]")?.scrollTo({ top: 0, behavior: "instant" });
    }
    this.at = -1;
    this.heard.textContent = "";
    this.show();
    this.from?.focus?.({ preventScroll: true });
    this.from = null;
  }

  key(event) {
    if (!this.running) return;
    const onTitle = event.composedPath()[0] === this.title; // where a step begins for the keyboard
    const step = onTitle ? { Enter: 1, ArrowRight: 1, ArrowLeft: -1 }[event.key] : 0;
    if (step) {
      event.preventDefault();
      event.stopPropagation();
      return this.go(this.at + step);
    }
    if (event.key !== "Escape") return;
    event.stopPropagation(); // the view would let go of its tokens
    event.preventDefault();
    this.end(this.at === STEPS.length - 1 ? "done" : "skipped");
  }

  /* ---- showing it ------------------------------------------------------------------------------ */

  isPhone() {
    return innerWidth < PHONE;
  }

  show() {
    const { running, offered, invitation, card, ring } = this;
    card.togglePopover(running); // above everything, whatever the page does to what holds it
    if (!running) ring.hidden = true;
    const view = running || offered ? viewOf(this.data.view) : null;
    invitation.hidden = !(offered && view);
    if (invitation.hidden) this.takeRow(false);
    else this.placeInvitation(view);
    if (running) this.showStep(view);
  }

  showStep(view) {
    const { at, side, says, spoken } = STEPS[this.at];
    const facts = view && factsOf(view);
    const told = JSON.stringify(facts);
    if (told !== this.told) {
      this.told = told;
      this.says.replaceChildren(...(facts ? filled(says(facts, this.data, this.before ?? facts)) : [AWAY]));
    }
    if (view && this.broughtAt !== innerWidth) {
      bringIntoView(view.querySelector(at), this.isPhone()); // once, and anew where a phone is turned
      this.broughtAt = innerWidth;
    }
    const part = view?.querySelector(at)?.getBoundingClientRect();
    this.ring.hidden = !part;
    if (part)
      this.put(this.ring, { left: part.left - 6, top: part.top - 6, width: part.width + 12, height: part.height + 12 });
    this.card.classList.toggle("as-sheet", this.isPhone());
    if (this.isPhone()) return this.put(this.card, null, WINDOW);
    const room = roomInView();
    const beside = part ?? { ...room, width: 0, height: 0 };
    const { left, top, width } = cardPlace(beside, this.forms(), side, room, boxesOf(view, spoken));
    this.put(this.card, { left, top, width }, WINDOW);
  }

  /** The card as wide as it likes, and as narrow as it can be, each with the height that its words need. */
  forms() {
    const before = this.card.style.width,
      rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const forms = WIDTHS.map((rems) => {
      const width = Math.round(rems * rem);
      this.card.style.width = `${width}px`;
      return { width, height: this.card.offsetHeight };
    });
    this.card.style.width = before;
    return forms;
  }

  /** Beside the title if there is room, else in a row above it. */
  placeInvitation(view) {
    const title = view.querySelector("h1")?.getBoundingClientRect();
    const tools = view.querySelector(".av-tools")?.getBoundingClientRect();
    const beside = title && tools && tools.top < title.bottom && tools.left - title.right >= ROOM;
    this.takeRow(!beside);
    const height = this.invitation.offsetHeight;
    this.put(this.invitation, beside ? { left: title.right + 20, top: title.top + (title.height - height) / 2 } : null);
  }

  /** Whether it has a row of the page to itself. @param {boolean} on */
  takeRow(on) {
    this.root.classList.toggle("as-row", on);
    const { host } = /** @type {ShadowRoot} */ (this.root.getRootNode());
    host?.closest(PLACE)?.toggleAttribute("data-as-row", on);
  }

  /** Puts an element at a place of the window; null: where its style sheet says. By default it scrolls along. */
  put(element, place, origin = this.root.getBoundingClientRect()) {
    const px = (/** @type {number | null | undefined} */ x) => (x == null ? "" : `${Math.round(x)}px`);
    const style = {
      left: px(place && place.left - origin.left),
      top: px(place && place.top - origin.top),
      width: px(place?.width),
      height: px(place?.height),
    };
    for (const [name, value] of Object.entries(style)) if (element.style[name] !== value) element.style[name] = value;
  }

  destroy() {
    this.ending.abort();
    clearInterval(this.watching);
    this.unwatch();
  }
}

const WINDOW = new DOMRect(); // what stands in it, at its place

const AWAY = "The picture is not on the page now; it comes back with a text.";

/** What of an element's children there is. @param {any[]} children @returns {(Node | string)[]} */
const filled = (children) => children.filter((child) => child);

/** What has the focus, also inside a component. @param {Document | ShadowRoot} root @returns {any} */
function focusedIn(root) {
  const focused = root.activeElement;
  return focused?.shadowRoot?.activeElement ? focusedIn(focused.shadowRoot) : focused;
}

/** What of the window the page has for itself. */
function roomInView() {
  const main = (document.querySelector("[data-testid=stMain]") ?? document.body).getBoundingClientRect();
  const head = document.querySelector("[data-testid=stHeader]")?.getBoundingClientRect().bottom ?? 0;
  const top = Math.max(head, main.top);
  return { left: main.left, top, width: main.width, height: Math.min(innerHeight, main.bottom) - top };
}

/** Scrolls so that a part can be seen; on phones to the top, for the card is at the foot. */
function bringIntoView(part, toTop) {
  if (!part) return;
  const { top, bottom } = part.getBoundingClientRect();
  const room = roomInView();
  const inView = top >= room.top && bottom <= room.top + room.height;
  if (inView && !toTop) return;
  part.style.scrollMarginTop = `${room.top + 16}px`;
  part.scrollIntoView({ block: toTop || bottom - top > room.height ? "start" : "nearest" });
  part.style.scrollMarginTop = "";
}

export default component(".as-root", {
  mount: (root, data, tell) => new Start(root, data, tell),
  update: (start, data) => start.update(data),
  destroy: (start) => start.destroy(),
});
