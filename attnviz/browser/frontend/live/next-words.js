/* next-words.js: what a decoder could say next, and what it has said. */
import { el } from "../core/dom.js";
import { percent, shortened } from "../core/format.js";

const SAID_AT_ONCE = 20;

/** @typedef {{id: number, label: string, p: number}} Candidate */

export class NextWords {
  /**
   * @param {object} on
   * @param {(id: number) => void} on.choose a candidate
   * @param {(n: number, draws: boolean) => void} on.say
   * @param {() => void} on.stop
   * @param {() => void} on.forget what was said
   * @param {(temperature: number) => void} on.temperature of sampling
   */
  constructor(on) {
    this.temperature = 1;
    const button = (text, onclick) => el("button", { type: "button", class: "live-button", onclick }, text);
    this.go = button("Say the likeliest 20", () => on.say(SAID_AT_ONCE, false));
    this.draw = button("Draw 20", () => on.say(SAID_AT_ONCE, true));
    this.stop = button("Stop", () => on.stop());
    this.forget = button("Take back what was said", () => on.forget());
    this.said = el("p", { class: "live-said", "aria-live": "polite" });
    this.list = el("ol", { class: "live-next" });
    this.note = el("p", { class: "live-note" });
    const output = el("output", {}, "1");
    const oninput = () => {
      this.temperature = Number((2 ** Number(slider.value)).toPrecision(2));
      output.textContent = String(this.temperature);
      on.temperature(this.temperature);
    };
    const slider = el("input", { type: "range", min: -3, max: 3, step: 0.25, value: 0, id: "live-sampling", oninput });
    const sampling = el("label", { for: "live-sampling" }, "Sampling temperature ", output, " ", slider);
    const buttons = el("p", { class: "live-buttons" }, this.go, this.draw, this.stop, this.forget, sampling);
    this.node = el(
      "section",
      { class: "live-words", "aria-label": "What comes next", hidden: true },
      el("h2", {}, "What comes next"),
      this.said,
      this.list,
      this.note,
      buttons,
    );
    this.on = on;
    this.talk(false);
  }

  /** @param {Candidate[] | null} candidates @param {boolean} speaks whether the model does at all */
  show(candidates, speaks) {
    this.node.hidden = !speaks;
    this.note.textContent = speaks && !candidates ? "The text fills the model: nothing can come next." : "";
    for (const button of [this.go, this.draw]) button.disabled = !candidates;
    const top = candidates?.[0]?.p || 1;
    const rows = (candidates ?? []).map(({ id, label, p }) => {
      const bar = el("i", { style: `width:${Math.max(0.5, (100 * p) / top)}%` });
      const name = `Add “${label}”, ${percent(p)}`;
      const button = el("button", { type: "button", "aria-label": name, onclick: () => this.on.choose(id) });
      button.append(el("bdi", {}, shortened(label) || " "), el("span", {}, bar), el("b", {}, percent(p)));
      return el("li", {}, button);
    });
    this.list.replaceChildren(...rows);
  }

  /** @param {string} text */
  say(text) {
    this.said.replaceChildren(...(text ? ["… ", el("b", {}, text)] : []));
    this.forget.hidden = !text;
  }

  /** Whether tokens are being said. */
  talk(now) {
    this.stop.hidden = !now;
    this.go.hidden = this.draw.hidden = now;
  }
}
