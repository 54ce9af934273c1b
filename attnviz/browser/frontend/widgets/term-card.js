/* term-card.js: the small card with a term's sentence, beside the word that it explains. */
import { el } from "../core/dom.js";
import { addressOf, isHere, placeLink } from "../core/places.js";

const AWAY = 250; // ms that the pointer may need on its way from the word to the card
const GAP = 6; // px between them
const MARGIN = 8; // px to the edge of the window

export class TermCard {
  /** @param {(entry: any) => void} go opens the page that shows a term */
  constructor(go) {
    this.go = go;
    this.node = el("div", { class: "aw-card", popover: "manual", role: "tooltip" });
    this.leaving = 0;
    this.entry = null;
    this.node.addEventListener("pointerenter", () => this.stay());
    this.node.addEventListener("pointerleave", () => this.leave());
  }

  get open() {
    return this.entry !== null;
  }

  /** Beside a rectangle of the window. @param {any} entry @param {DOMRect} rect @param {boolean} linked */
  show(entry, rect, linked = true) {
    this.stay();
    if (this.entry !== entry) {
      const address = addressOf(entry.page, entry.query);
      const place = placeLink(address, () => this.go(entry), `See it on “${entry.title}”`);
      const leads = linked && !isHere(address);
      this.node.replaceChildren(el("b", {}, entry.term), el("span", {}, entry.says), ...(leads ? [place] : []));
      this.entry = entry;
    }
    this.node.showPopover?.();
    const { offsetWidth: width, offsetHeight: height } = this.node;
    const left = Math.max(MARGIN, Math.min(rect.left, innerWidth - width - MARGIN));
    const below = rect.bottom + GAP + height <= innerHeight - MARGIN;
    this.node.style.left = `${left}px`;
    this.node.style.top = `${below ? rect.bottom + GAP : Math.max(MARGIN, rect.top - GAP - height)}px`;
  }

  stay() {
    clearTimeout(this.leaving);
  }

  leave() {
    this.stay();
    this.leaving = setTimeout(() => this.hide(), AWAY);
  }

  hide() {
    this.stay();
    if (!this.open) return;
    this.entry = null;
    this.node.hidePopover?.();
  }
}
