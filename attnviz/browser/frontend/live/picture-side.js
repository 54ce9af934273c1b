/* picture-side.js: the page's side of models of images: a digit to draw, the temperature, the view of its patches. */
import { seriesSlider } from "../attention/controls.js";
import { LIMITS, TEMPERATURES } from "../core/contract.js";
import { byId } from "../core/dom.js";
import { DrawPad } from "../widgets/draw-pad.js";
import { writeInk } from "../widgets/ink.js";
import { patchesInWords } from "../widgets/patch-rows.js";
import { PatchView } from "../widgets/patch-view.js";
import { answerSentence, changesInWords } from "./picture-text.js";

const EXAMPLES_AT_ONCE = 10;
const NOTHING_DRAWN = "The drawing is empty: draw a digit in the square, or pick one below it.";

export class PictureSide {
  /**
   * @param {import("./page.js").LivePage} page
   * @param {[number, string][]} digits held-out drawings with what their writers meant
   */
  constructor(page, digits) {
    this.page = page;
    this.examples = digits.map(([digit, drawing]) => [`A handwritten ${digit}`, drawing]);
    /** @type {Map<string, number>} */
    this.meant = new Map(digits.map(([digit, drawing]) => [drawing, digit]));
    this.fresh = true;
    this.pad = new DrawPad(byId("live-pad"), () => this.draw());
    this.view = new PatchView(byId("live-patches"), (look) => this.look(look));
    this.temperature = seriesSlider("Temperature in every attention row", {
      series: TEMPERATURES,
      limits: LIMITS.temperature,
      mark: 1,
      ends: ["sharp", "1", "even"],
      get: () => this.page.shown.picture.temperature,
      set: (temperature) => this.choose({ temperature }),
    });
    byId("live-temperature").append(this.temperature.node);
    this.sentence = byId("live-answer");
  }

  /* ---- what the visitor does -------------------------------------------------------------- */

  choose(patch) {
    this.page.change({ picture: { ...this.page.shown.picture, ...patch } });
    this.temperature.sync();
  }

  draw() {
    this.choose({ drawing: writeInk(this.pad.ink) });
  }

  look({ layer, head, query, off }) {
    const pairs = off.split(",").filter(Boolean);
    const now = pairs.map((pair) => /** @type {[number, number]} */ (pair.split(".").map(Number)));
    const same = String(now) === String(this.page.shown.off);
    const picture = { ...this.page.shown.picture, layer, head, query };
    if (!same) return this.page.change({ picture, off: now });
    this.page.shown = { ...this.page.shown, picture };
    this.describe();
    this.page.note();
  }

  /* ---- what the page does ------------------------------------------------------------------- */

  /** Takes what shall be shown. */
  show() {
    const { drawing } = this.page.shown.picture;
    this.pad.take({ examples: /** @type {any} */ (this.examples), page: EXAMPLES_AT_ONCE, drawing }, this.fresh);
    this.fresh = false;
    this.temperature.sync();
  }

  /** What the model is to run on; null of an empty drawing. */
  asked() {
    const { off, picture } = this.page.shown;
    const { drawing, temperature } = picture;
    const empty = !/[^0]/.test(drawing);
    byId("live-patches").hidden = empty;
    if (empty) this.sentence.textContent = NOTHING_DRAWN;
    return empty ? null : { off, drawing, temperature };
  }

  settle() {}

  /** Shows an answer; returns what the status line says. */
  paint({ message, answers }) {
    const { layers, heads } = this.page.about;
    const { picture, off } = this.page.shown;
    // as far as this model has them
    const look = { ...picture, layer: Math.min(picture.layer, layers - 1), head: Math.min(picture.head, heads - 1) };
    const own = off.filter(([layer, head]) => layer < layers && head < heads);
    this.page.shown = { ...this.page.shown, picture: look, off: own };
    const changed = changesInWords(own, look.temperature, this.page.about);
    this.view.read(message, { ...look, off: own.map((pair) => pair.join(".")).join() }, { changed, answer: answers });
    this.describe();
    this.sentence.textContent = answerSentence(answers, changed, this.meant.get(look.drawing) ?? null);
    return `${this.view.model.tokens} tokens`;
  }

  /** The picture's text alternative. */
  describe() {
    const { picture } = this.page.shown;
    this.view.describe(patchesInWords(this.view.model, picture, this.view.row(picture.layer, picture.head)));
  }

  leave() {}
}
