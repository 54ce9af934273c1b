/* text-side.js: the page's side of models of text: what is typed, the attention view, heads that are off, what comes
   next. */
import { mount } from "../attention/view.js";
import { byId, el } from "../core/dom.js";
import { textFor } from "./address.js";
import { HeadsOff } from "./heads-off.js";
import { NextWords } from "./next-words.js";

const MOST_MARKS = 1000; // on one letter: more keep a browser busy for seconds, 100,000 for half a minute
const PILES = new RegExp(`(\\p{M}{${MOST_MARKS}})\\p{M}+`, "gu");
const STACKS = [
  ["self", "the decoder"],
  ["cross", "the decoder on the encoder"],
  ["encoder", "the encoder"],
];

export class TextSide {
  /**
   * @param {import("./page.js").LivePage} page
   * @param {{name: string, text: string}[]} examples
   */
  constructor(page, examples) {
    this.page = page;
    this.answer = []; // tokens that were said after the text
    this.lost = ""; // what the status says of a text that was not taken whole
    this.mounted = null;
    this.text = byId("live-text");
    this.text.addEventListener("beforeinput", (event) => this.receive(event));
    this.text.addEventListener("input", () => this.type(this.text.value));
    this.stack = byId("live-stack");
    this.stack.replaceChildren(...STACKS.map(([value, title]) => el("option", { value }, title)));
    this.stack.addEventListener("change", () => this.chooseStack(this.stack.value));
    this.examples = examples;
    this.example = byId("live-example");
    this.example.addEventListener("change", () => this.chooseExample(Number(this.example.value)));
    this.heads = new HeadsOff((off) => this.page.change({ off }));
    this.words = new NextWords({
      choose: (id) => this.say([...this.answer, id]),
      say: (n, draws) => this.speak(n, draws),
      stop: () => this.page.run(),
      forget: () => this.say([]),
      temperature: () => this.page.run(),
    });
    byId("live-heads").append(this.heads.node);
    byId("live-words").append(this.words.node);
  }

  /** Examples, the model's own first: not every model reads prose. */
  offer() {
    const { title, text } = this.page.offered();
    const known = this.examples.some((one) => one.text === text);
    this.offers = [...(known ? [] : [{ name: `For ${title}`, text }]), ...this.examples];
    const names = ["Choose one", ...this.offers.map(({ name }) => name)];
    this.example.replaceChildren(...names.map((name, i) => el("option", { value: i }, name)));
  }

  /* ---- what the visitor does -------------------------------------------------------------- */

  /** Takes a text without the marks that no browser draws in time. @param {InputEvent} event */
  receive(event) {
    const { data } = event;
    const fit = data?.replace(PILES, "$1");
    if (!data || fit === data) return;
    event.preventDefault();
    this.text.setRangeText(fit, this.text.selectionStart, this.text.selectionEnd, "end");
    this.type(this.text.value, `; of the marks on one letter the first ${MOST_MARKS.toLocaleString("en")} are here`);
  }

  type(text, lost = "") {
    this.lost = lost;
    this.answer = [];
    this.page.change({ text });
  }

  chooseExample(i) {
    if (i === 0) return;
    this.example.value = "0";
    this.text.value = this.offers[i - 1].text;
    this.type(this.text.value);
  }

  chooseStack(stack) {
    this.heads.set([]);
    this.leave();
    this.page.change({ stack, off: [], state: this.withoutCells() });
  }

  say(answer) {
    this.answer = answer;
    this.page.run();
  }

  speak(n, draws) {
    this.words.talk(true);
    this.page.desk.ask({ kind: "say", asked: this.asked(), n, draws });
  }

  /** The state without what names tokens: of another attention, or another model. */
  withoutCells() {
    return { ...this.page.shown.state, painted: [], zoom: null, queries: [], key: null, sentences: null };
  }

  /* ---- what the page does ------------------------------------------------------------------- */

  /** What is left of the settings for another model. */
  turnTo({ name }) {
    const text = textFor(name, this.page.shown.text, this.page.models);
    return { text, stack: "self", state: this.withoutCells() };
  }

  /** Takes what shall be shown. */
  show() {
    const { text, off } = this.page.shown;
    this.offer();
    if (this.text.value !== text) this.text.value = text;
    this.heads.set(off);
    this.answer = [];
  }

  asked() {
    const { text, state, off, stack } = this.page.shown;
    return { text, state, off, stack, answer: this.answer, sampling: this.words.temperature };
  }

  /** A run begins, or has failed. */
  settle(failed = false) {
    this.words.talk(false);
    if (failed) this.mounted?.view.outbox.wait(false);
  }

  hearWord({ done, said, text }) {
    if (done) return this.page.run();
    this.answer = said;
    this.words.say(text);
  }

  /** Shows an answer; returns what the status line says. */
  paint({ message, tokens, cut, longest, next, said }) {
    const { kind, speaks } = this.page.about;
    const both = kind === "encoder-decoder";
    if (this.mounted) this.mounted.update({ message });
    else this.mountView(message);
    this.mounted.view.outbox.wait(false); // the answer is here, though it may look as before
    this.words.show(next, speaks);
    this.words.say(both ? "" : said);
    byId("live-both").hidden = !both;
    byId("live-said").textContent = both ? said : "";
    this.stack.value = this.page.shown.stack;
    const left = cut ? `; ${cut.toLocaleString("en")} more do not fit` : "";
    return `${tokens} of ${longest} tokens${left}${this.lost}`;
  }

  mountView(message) {
    const { page } = this;
    this.mounted = mount(byId("attnviz-view"), {
      message,
      state: page.shown.state,
      onState: (state) => {
        const other = state.whole !== page.shown.state.whole && page.shown.off.length > 0;
        page.shown = { ...page.shown, state };
        if (other)
          page.run(); // heads that are off are off in what one softmax starts from, too
        else page.note();
      },
      onRun: (state) => page.change({ state: structuredClone(state) }),
    });
    const { store } = this.mounted.view;
    page.shown.state = structuredClone(store.state);
    this.heads.choose(store.state.layer, store.state.head);
    store.listen(() => this.heads.choose(store.state.layer, store.state.head));
  }

  /** Takes the view away, which tells its last choice. */
  leave() {
    this.mounted?.destroy();
    this.mounted = null;
  }
}
