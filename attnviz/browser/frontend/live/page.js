/* page.js: the live page: its models, the model itself in a worker, and the address. What is shown of a text stands in
   text-side.js, of a picture in picture-side.js. Nothing leaves it. */
import { DEFAULTS } from "../core/contract.js";
import { byId, el } from "../core/dom.js";
import { printWhenAsked } from "../core/paper.js";
import { readTheme } from "../core/theme.js";
import { readAddress, writeAddress } from "./address.js";
import { Desk } from "../model/desk.js";
import { modelBytes } from "./model-files.js";
import { PictureSide } from "./picture-side.js";
import { TextSide } from "./text-side.js";

const NOTE_PAUSE = 200; // ms after the last change: addresses are slow to write, and browsers refuse many a second

const NO_WORKER = "This browser gives the page no worker, and the model cannot run without one.";

const jsonOf = (id) => JSON.parse(byId(id).textContent);

export class LivePage {
  constructor({ models, examples, digits, picture, start }) {
    /** @type {import("./model-files.js").Offered[]} */
    this.models = models;
    this.root = byId("attnviz-live");
    this.about = null; // the open model
    this.noting = 0; // the timer of the address
    const { text, state } = start ?? { text: models[0].text, state: { ...structuredClone(DEFAULTS), whole: true } };
    const first = { model: models[0].name, text, stack: "self", off: [], state, picture };
    this.first = /** @type {import("./address.js").Shown} */ (first);
    this.shown = readAddress(location.hash, this.first, models);
    this.model = byId("live-model");
    this.model.replaceChildren(...models.map(({ name, title }) => el("option", { value: name }, title)));
    this.model.addEventListener("change", () => this.chooseModel(this.model.value));
    this.file = byId("live-file");
    this.file.addEventListener("change", () => {
      const [chosen] = this.file.files;
      if (chosen) this.open(chosen);
      this.file.value = ""; // or the same file, mended, could not be chosen again
    });
    this.text = new TextSide(this, examples);
    this.picture = models.some(({ reads }) => reads === "image") ? new PictureSide(this, digits) : null;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => readTheme(this.root));
    addEventListener("av-paper", () => readTheme(this.root));
    addEventListener("hashchange", () => this.arrive());
    addEventListener("pagehide", () => this.write());
    readTheme(this.root);
  }

  async start() {
    try {
      this.desk = new Desk(byId("attnviz-worker").textContent, (answer) => this.hear(answer));
    } catch {
      this.desk = null;
    }
    await this.open();
  }

  offered() {
    return this.models.find(({ name }) => name === this.shown.model);
  }

  /** What is shown of this model: text or a picture. */
  get side() {
    return this.offered().reads === "image" ? this.picture : this.text;
  }

  /* ---- what the visitor does -------------------------------------------------------------- */

  async chooseModel(name) {
    this.side.leave(); // which tells its last choice
    const next = this.models.find((one) => one.name === name);
    const turned = next.reads === "text" ? this.text.turnTo(next) : {};
    this.shown = { ...this.shown, model: name, off: [], ...turned };
    await this.open();
  }

  /** @param {Partial<import("./address.js").Shown>} patch */
  change(patch) {
    this.shown = { ...this.shown, ...patch };
    this.run();
  }

  /** A link was opened in this page. */
  arrive() {
    if (location.hash === this.written) return;
    this.side.leave(); // which tells its last choice
    const { model } = this.shown;
    this.shown = readAddress(location.hash, { ...this.shown, picture: this.first.picture }, this.models);
    if (this.shown.model !== model) return void this.open();
    this.side.show();
    this.run();
  }

  /* ---- the model ---------------------------------------------------------------------------- */

  /** Turns to the side of the chosen model. */
  turn() {
    const { name, about, reads } = this.offered();
    this.model.value = name;
    byId("live-about").textContent = about;
    for (const node of document.querySelectorAll("[data-reads]"))
      /** @type {HTMLElement} */ (node).hidden = node.getAttribute("data-reads") !== reads;
    this.side.leave();
    this.side.show();
  }

  /** @param {File | null} [chosen] */
  async open(chosen = null) {
    const offered = this.offered();
    this.about = null;
    byId("live-choose").hidden = true;
    this.turn();
    this.trouble(this.desk ? "" : NO_WORKER);
    if (!this.desk) return;
    const bar = byId("live-progress");
    bar.hidden = offered.file === null;
    try {
      const bytes = await modelBytes(offered, (share) => (bar.value = share), chosen);
      if (this.shown.model === offered.name) this.desk.ask({ kind: "open", bytes }, [bytes.buffer]);
    } catch (error) {
      if (this.shown.model !== offered.name) return;
      byId("live-choose").hidden = offered.file === null;
      this.trouble(error.message);
    } finally {
      bar.hidden = true;
    }
  }

  run() {
    this.side.settle();
    if (!this.about) return;
    const asked = this.side.asked();
    if (asked) this.desk.ask({ kind: "run", asked });
    else this.desk.forget();
    this.note();
  }

  hear(answer) {
    if (!this.about && !["open", "failed"].includes(answer.kind)) return; // of the model that was left
    if (answer.error) {
      this.side.settle(true);
      return this.trouble(answer.error);
    }
    if (answer.kind === "open") {
      if (answer.about.name !== this.shown.model) return;
      this.about = answer.about;
      this.root.dataset.fast = String(answer.about.fast);
      this.run();
    } else if (answer.kind === "say") this.text.hearWord(answer);
    else this.paint(answer);
  }

  paint(answer) {
    this.trouble("");
    const { ms } = answer;
    const time = ms < 1 ? "under 1\u202fms" : `${Math.round(ms)}\u202fms`;
    byId("live-status").textContent = `${this.side.paint(answer)} · computed here in ${time}`;
    this.root.dataset.ready = String(Number(this.root.dataset.ready ?? 0) + 1);
  }

  /** Writes what shows into the address, once nothing has changed for a moment. */
  note() {
    clearTimeout(this.noting);
    this.noting = setTimeout(() => this.write(), NOTE_PAUSE);
  }

  write() {
    clearTimeout(this.noting);
    this.written = writeAddress(this.shown, this.models);
    try {
      history.replaceState(null, "", this.written);
    } catch {
      // a page in a frame that may not write its address shows the same
    }
  }

  trouble(text) {
    const place = byId("live-trouble");
    place.textContent = text;
    place.hidden = !text;
  }
}

new LivePage(jsonOf("attnviz-settings")).start();
printWhenAsked();
