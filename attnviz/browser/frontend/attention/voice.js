/* voice.js: tips beside the pointer, and what is read aloud. */
import { number } from "../core/format.js";
import { headShown } from "./selectors.js";
import { spoken } from "./say.js";

const PAUSE = 120; // ms after a choice, so that a run of them is said once

export class Voice {
  /**
   * @param {import("./store.js").Store} store
   * @param {import("./shown.js").Shown} shown
   * @param {import("./screen.js").Screen} screen
   * @param {(k: number) => string} nameOf the name of a head
   */
  constructor(store, shown, screen, nameOf) {
    this.store = store;
    this.shown = shown;
    this.screen = screen;
    this.nameOf = nameOf;
    this.waiting = 0;
  }

  /** A tip over a point of an element. @param {HTMLElement} over @param {string | (Node | string)[]} content */
  tip(over, x, y, content) {
    const { root, node } = this.screen;
    const { tip } = node;
    const stage = over.getBoundingClientRect();
    const outer = root.getBoundingClientRect();
    const zoom = root.offsetWidth / outer.width || 1;
    tip.replaceChildren(...[content].flat());
    tip.hidden = false;
    const left = (stage.left - outer.left) * zoom + x - tip.offsetWidth / 2;
    const bottom = (stage.top - outer.top) * zoom + y;
    const above = bottom - tip.offsetHeight - 10;
    const within = Math.max(0, Math.min(root.clientWidth - tip.offsetWidth, left));
    tip.style.transform = `translate(${Math.round(within)}px,${Math.round(above < 0 ? bottom + 30 : above)}px)`;
  }

  hideTip() {
    this.screen.node.tip.hidden = true;
  }

  /** Reads the cell in focus aloud. */
  speak() {
    this.say(spoken(this.shown.scene, this.nameOf(headShown(this.store))));
  }

  speakSoon() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.speak(), PAUSE);
  }

  /** Reads the product under the pointer aloud. */
  speakBar() {
    const { bar } = this.store;
    const why = bar === null ? null : this.shown.why();
    if (why) this.say(`dimension ${bar}: product ${number(why.parts[bar])}`);
  }

  say(text) {
    const { live } = this.screen.node;
    if (live.textContent !== text) live.textContent = text;
  }

  stop() {
    clearTimeout(this.waiting);
  }
}
