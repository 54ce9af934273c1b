/* heads-off.js: heads that are switched off: their outputs are 0 wherever the model runs. */
import { el } from "../core/dom.js";

export class HeadsOff {
  /** @param {(off: [number, number][]) => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    /** @type {[number, number][]} */
    this.off = [];
    this.chosen = [0, 0];
    this.button = el("button", { type: "button", class: "live-button", onclick: () => this.toggle() });
    this.list = el("span", { class: "live-off" });
    this.node = el("p", { class: "live-heads" }, this.button, this.list);
    this.show();
  }

  has(layer, head) {
    return this.off.some(([l, h]) => l === layer && h === head);
  }

  /** The head that the view shows. */
  choose(layer, head) {
    this.chosen = [layer, head];
    this.show();
  }

  /** @param {[number, number][]} off */
  set(off) {
    this.off = off;
    this.show();
  }

  toggle([layer, head] = this.chosen) {
    const others = this.off.filter(([l, h]) => l !== layer || h !== head);
    this.set(this.has(layer, head) ? others : [...this.off, [layer, head]]);
    this.onChange(this.off);
  }

  show() {
    const [layer, head] = this.chosen;
    const on = this.has(layer, head) ? "on" : "off";
    this.button.textContent = `Switch ${on} layer ${layer}, head ${head}`;
    const chips = this.off.map((pair) => {
      const name = `layer ${pair[0]}, head ${pair[1]}`;
      const label = `Switch on ${name}`;
      return el(
        "button",
        { type: "button", class: "live-chip", "aria-label": label, onclick: () => this.toggle(pair) },
        name,
        " ×",
      );
    });
    this.list.replaceChildren(...(chips.length ? ["Off: ", ...chips] : ["No head is off."]));
  }
}
