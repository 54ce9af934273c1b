/* page.js: the live page: text, model, the attention view, and the model itself in a worker. Nothing leaves it. */
import { mount } from "../attention/view.js";
import { DEFAULTS } from "../core/contract.js";
import { el } from "../core/dom.js";
import { printWhenAsked } from "../core/paper.js";
import { readTheme } from "../core/theme.js";
import { readAddress, writeAddress } from "./address.js";
import { Desk } from "./desk.js";
import { HeadsOff } from "./heads-off.js";
import { modelBytes } from "./model-files.js";
import { NextWords } from "./next-words.js";

const STACKS = [
  ["self", "the decoder"],
  ["cross", "the decoder on the encoder"],
  ["encoder", "the encoder"],
];
/** @returns {any} an element, of whatever kind */
const byId = (id) => document.getElementById(id);
const jsonOf = (id) => JSON.parse(byId(id).textContent);

class LivePage {
  constructor({ models, examples }) {
    /** @type {import("./model-files.js").Offered[]} */
    this.models = models;
    this.examples = examples;
    this.root = byId("attnviz-live");
    this.answer = []; // tokens that were said after the text
    this.about = null; // the open model
    this.mounted = null;
    const state = { ...structuredClone(DEFAULTS), whole: true };
    const first = { model: models[0].name, text: models[0].text, stack: "self", off: [], state };
    /** @type {import("./address.js").Shown} */
    this.shown = readAddress(location.hash, /** @type {any} */ (first));
    if (!models.some(({ name }) => name === this.shown.model)) this.shown.model = models[0].name;
    this.build();
  }

  build() {
    this.text = byId("live-text");
    this.text.value = this.shown.text;
    this.text.addEventListener("input", () => this.type(this.text.value));
    this.model = byId("live-model");
    this.model.replaceChildren(...this.models.map(({ name, title }) => el("option", { value: name }, title)));
    this.model.value = this.shown.model;
    this.model.addEventListener("change", () => this.chooseModel(this.model.value));
    this.stack = byId("live-stack");
    this.stack.replaceChildren(...STACKS.map(([value, title]) => el("option", { value }, title)));
    this.stack.addEventListener("change", () => this.chooseStack(this.stack.value));
    this.file = byId("live-file");
    this.file.addEventListener("change", () => {
      const [chosen] = this.file.files;
      if (chosen) this.open(chosen);
      this.file.value = ""; // or the same file, mended, could not be chosen again
    });
    this.offered();
    this.heads = new HeadsOff((off) => this.change({ off }));
    this.heads.set(this.shown.off);
    this.words = new NextWords({
      choose: (id) => this.say([...this.answer, id]),
      say: (n, draws) => this.speak(n, draws),
      stop: () => this.run(),
      forget: () => this.say([]),
      temperature: () => this.run(),
    });
    byId("live-heads").append(this.heads.node);
    byId("live-words").append(this.words.node);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => readTheme(this.root));
    addEventListener("hashchange", () => this.arrive());
    readTheme(this.root);
  }

  offered() {
    const items = [{ name: "Choose one", text: "" }, ...this.examples];
    const select = byId("live-example");
    select.replaceChildren(...items.map(({ name }, i) => el("option", { value: i }, name)));
    select.addEventListener("change", () => {
      const { text } = items[Number(select.value)];
      if (select.value === "0") return;
      select.value = "0";
      this.text.value = text;
      this.type(text);
    });
  }

  async start() {
    try {
      this.desk = new Desk(byId("attnviz-worker").textContent, (answer) => this.hear(answer));
    } catch {
      return this.trouble("This browser gives the page no worker, and the model cannot run without one.");
    }
    await this.open();
  }

  /* ---- what the visitor does -------------------------------------------------------------- */

  type(text) {
    this.answer = [];
    this.change({ text });
  }

  async chooseModel(name) {
    this.leaveView(); // which tells its last choice
    const { text } = this.models.find((one) => one.name === name);
    const untouched = this.models.some((one) => one.text === this.shown.text);
    if (untouched) this.text.value = text; // an example of the other model
    this.heads.set([]);
    this.answer = [];
    this.shown = {
      ...this.shown,
      model: name,
      text: this.text.value,
      off: [],
      stack: "self",
      state: this.withoutCells(),
    };
    await this.open();
  }

  chooseStack(stack) {
    this.heads.set([]);
    this.leaveView();
    this.change({ stack, off: [], state: this.withoutCells() });
  }

  /** The state without what names tokens: of another attention, or another model. */
  withoutCells() {
    return { ...this.shown.state, painted: [], zoom: null, queries: [], key: null, sentences: null };
  }

  say(answer) {
    this.answer = answer;
    this.run();
  }

  speak(n, draws) {
    this.words.talk(true);
    this.desk.ask({ kind: "say", asked: this.asked(), n, draws });
  }

  /** @param {Partial<import("./address.js").Shown>} patch */
  change(patch) {
    this.shown = { ...this.shown, ...patch };
    this.run();
  }

  /** A link was opened in this page. */
  arrive() {
    if (location.hash === this.written) return;
    this.leaveView(); // which tells its last choice
    const next = readAddress(location.hash, this.shown);
    const other = next.model !== this.shown.model;
    this.shown = this.models.some(({ name }) => name === next.model) ? next : { ...next, model: this.shown.model };
    this.text.value = this.shown.text;
    this.model.value = this.shown.model;
    this.heads.set(this.shown.off);
    this.answer = [];
    if (other) this.open();
    else this.run();
  }

  /* ---- the model ---------------------------------------------------------------------------- */

  /** @param {File | null} [chosen] */
  async open(chosen = null) {
    const offered = this.models.find(({ name }) => name === this.shown.model);
    this.about = null;
    byId("live-about").textContent = offered.about;
    byId("live-choose").hidden = true;
    this.leaveView();
    this.trouble("");
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

  asked() {
    const { text, state, off, stack } = this.shown;
    return { text, state, off, stack, answer: this.answer, sampling: this.words.temperature };
  }

  run() {
    this.words.talk(false);
    if (!this.about) return;
    this.desk.ask({ kind: "run", asked: this.asked() });
    this.note();
  }

  hear(answer) {
    if (!this.about && answer.kind !== "open") return; // of the model that was left
    if (answer.error) {
      this.words.talk(false);
      this.mounted?.view.outbox.wait(false);
      return this.trouble(answer.error);
    }
    if (answer.kind === "open") {
      if (answer.about.name !== this.shown.model) return;
      this.about = answer.about;
      this.root.dataset.fast = String(answer.about.fast);
      this.run();
    } else if (answer.kind === "say") this.hearWord(answer);
    else this.paint(answer);
  }

  hearWord({ done, said, text }) {
    if (done) return this.run();
    this.answer = said;
    this.words.say(text);
  }

  paint({ message, tokens, cut, longest, next, said, ms }) {
    const both = this.about.kind === "encoder-decoder";
    this.trouble("");
    if (this.mounted) this.mounted.update({ message });
    else this.mountView(message);
    this.mounted.view.outbox.wait(false); // the answer is here, though it may look as before
    this.words.show(next, this.about.speaks);
    this.words.say(both ? "" : said);
    byId("live-both").hidden = !both;
    byId("live-said").textContent = both ? said : "";
    this.stack.value = this.shown.stack;
    const left = cut ? `; ${cut.toLocaleString("en")} more do not fit` : "";
    const time = ms < 1 ? "under 1 ms" : `${Math.round(ms)} ms`;
    byId("live-status").textContent = `${tokens} of ${longest} tokens${left} · computed here in ${time}`;
    this.root.dataset.ready = String(Number(this.root.dataset.ready ?? 0) + 1);
  }

  mountView(message) {
    const root = byId("attnviz-view");
    this.mounted = mount(root, {
      message,
      state: this.shown.state,
      onState: (state) => {
        const other = state.whole !== this.shown.state.whole && this.shown.off.length > 0;
        this.shown = { ...this.shown, state };
        if (other)
          this.run(); // heads that are off are off in what one softmax starts from, too
        else this.note();
      },
      onRun: (state) => this.change({ state: structuredClone(state) }),
    });
    const { store } = this.mounted.view;
    this.shown.state = structuredClone(store.state);
    this.heads.choose(store.state.layer, store.state.head);
    store.listen(() => this.heads.choose(store.state.layer, store.state.head));
  }

  leaveView() {
    this.mounted?.destroy();
    this.mounted = null;
  }

  /** Writes what shows into the address. */
  note() {
    this.written = writeAddress(this.shown);
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
