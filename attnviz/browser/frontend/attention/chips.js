/* chips.js: the row of tokens, coloured by what the chosen one gives them. */
import { el, plainLabel } from "../core/dom.js";
import { LONGEST_KEPT, shortened } from "../core/format.js";
import { lutIndex, onColour } from "../core/theme.js";

const CROWDED = 30; // tokens from which the chips are small
const LEAST = 0.01; // weight from which a chip is coloured

export class Chips {
  /** @param {import("./view.js").AttentionView} view */
  constructor({ store, shown, screen, choices }) {
    this.store = store;
    this.shown = shown;
    this.screen = screen;
    this.choices = choices;
    /** @type {HTMLButtonElement[]} */
    this.chips = [];
    /** @type {number[]} the item of each chip: a query i as i, a key j of another text as -1 - j */
    this.ids = [];
    this.tints = new Float64Array(0);
    this.built = null; // the items that the chips are of
    /** @type {Word[]} of a single row */
    this.words = [];
  }

  /** The chips of the items that show, if they are not there already. */
  build() {
    const { items } = this.shown;
    if (this.built === items) return;
    this.built = items;
    const { model } = this.store;
    const box = this.screen.node.chips;
    const keep = box.scrollTop;
    const one = items.keys === items.queries;
    const words = wordsOf(items.queries.list);
    const same = one ? this.sameWords(words) : 0;
    const chips = words.slice(0, same).reduce((n, { items }) => n + items.length, 0);
    this.chips.length = this.ids.length = chips;
    const tints = this.tints.subarray(0, chips);
    const queries = words.slice(same).map((word) => this.wordNode(word, "q"));
    if (same) {
      while (box.childNodes.length > same) box.lastChild.remove();
      box.append(...queries);
    } else box.replaceChildren(...(one ? queries : this.twoRows(queries, items.keys.list)));
    this.words = one ? words : [];
    box.classList.toggle("av-dense", Math.max(model.T, model.S) > CROWDED);
    box.dir = model.dir;
    box.classList.remove("av-fade");
    if (box.scrollHeight > box.clientHeight + 4) box.classList.add("av-fade");
    box.scrollTop = keep;
    this.tints = new Float64Array(this.chips.length).fill(-1);
    this.tints.set(tints);
  }

  /** How many words, from the first, have their chips already: of a text that is being typed, most. */
  sameWords(words) {
    let n = 0;
    while (n < words.length && n < this.words.length && words[n].key === this.words[n].key) n++;
    return n;
  }

  twoRows(queries, keys) {
    const name = (text) => el("span", { class: "av-side" }, text);
    const line = el("span", { style: "flex-basis:100%;height:0" });
    return [
      name("query (looks)"),
      ...queries,
      line,
      name("key (is seen)"),
      ...wordsOf(keys).map((word) => this.wordNode(word, "k")),
    ];
  }

  /** The chips of a word's pieces. @param {Word} word */
  wordNode({ first, items }, side) {
    const chips = items.map((item, n) => chipOf(item, first + n, side));
    this.chips.push(...chips);
    this.ids.push(...chips.map((_, n) => (side === "q" ? first + n : -1 - first - n)));
    return el("span", { class: "av-word" }, chips);
  }

  /** Colours the chips; touches only those that changed. */
  tint() {
    this.build();
    const { theme } = this.screen;
    const { state } = this.store;
    const marks = this.marks();
    const locked = this.lockedIds();
    const entry = this.entry();
    const least = Math.max(state.threshold, LEAST);
    for (let c = 0; c < this.chips.length; c++) {
      const id = this.ids[c];
      const v = this.weightOf(id);
      const tint = v >= least ? lutIndex(v, state.colour) : 0;
      const mark = marks.get(id);
      const lock = locked.has(id);
      const flags = (mark === "q" ? 1 : mark === "k" ? 2 : 0) + (lock ? 4 : 0) + (c === entry ? 8 : 0);
      const code = tint + 256 * flags + 4096 * theme.id;
      if (this.tints[c] === code) continue;
      this.tints[c] = code;
      this.tintChip(this.chips[c], tint, mark, lock, c === entry);
    }
  }

  get cross() {
    return this.store.model.keys !== this.store.model.tokens;
  }

  /** Chips of the marked rows and columns. @returns {Map<number, "q" | "k">} */
  marks() {
    const { focus } = this.shown.scene;
    const marks = new Map();
    for (const i of focus.keys) marks.set(this.cross ? -1 - i : i, "k");
    for (const i of focus.queries) marks.set(i, "q");
    return marks;
  }

  /** What is locked, unless something else is under the pointer. */
  locked() {
    return this.store.hover ? null : this.choices.locked();
  }

  lockedIds() {
    const locked = this.locked();
    if (!locked) return new Set();
    return new Set(locked.side === "q" ? locked.queries : [this.cross ? -1 - locked.key : locked.key]);
  }

  /** The chip that the Tab key comes to. */
  entry() {
    const page = /** @type {Document | ShadowRoot} */ (this.screen.root.getRootNode());
    const at = this.chips.findIndex((chip) => chip === page.activeElement);
    const locked = this.locked();
    if (at >= 0 || !locked) return Math.max(0, at);
    return locked.side === "k" ? (this.cross ? this.shown.scene.nq : 0) + locked.key : locked.queries[0];
  }

  /** What the tokens in focus give a chip's item, or what it gives them. */
  weightOf(id) {
    const { a, nk, focus } = this.shown.scene;
    if (focus.q < 0 || (this.cross && (focus.side === "k") !== id >= 0)) return 0;
    const i = id < 0 ? -1 - id : id;
    if (focus.side === "k") return a[i * nk + focus.k];
    const rows = focus.queries.length > 1 ? focus.queries : [focus.q];
    let v = 0;
    for (const row of rows) v += a[row * nk + i] / rows.length;
    return v;
  }

  tintChip(chip, tint, mark, lock, entry) {
    const { lut } = this.screen.theme;
    chip.style.setProperty("--c", tint ? lut.css[tint] : "transparent");
    if (tint) chip.style.setProperty("--ct", onColour(lut, tint));
    else chip.style.removeProperty("--ct");
    chip.classList.toggle("q", mark === "q");
    chip.classList.toggle("k", mark === "k");
    chip.classList.toggle("lock", lock);
    chip.setAttribute("aria-pressed", String(lock));
    chip.tabIndex = entry ? 0 : -1;
  }
}

/**
 * The pieces of a word, from item `first` on; the key says all that its chips show.
 *
 * @typedef {{first: number, items: import("./items.js").Items["queries"]["list"], key: string}} Word
 */

/** @returns {Word[]} */
function wordsOf(list) {
  const words = [];
  let last = null;
  list.forEach((item, i) => {
    if (!words.length || item.sp || item.w === null || item.w !== last) words.push({ first: i, items: [], key: "" });
    last = item.sp ? null : item.w;
    words[words.length - 1].items.push(item);
  });
  for (const word of words) word.key = JSON.stringify([word.items.map((item) => [plainLabel(item), !!item.sp])]);
  return words;
}

/** What a label that is cut does not show. */
const rest = ({ full }) => (full === shortened(full) ? null : shortened(full, LONGEST_KEPT));

function chipOf(item, i, side) {
  const chip = el("button", {
    type: "button",
    class: item.sp ? "av-chip sp" : "av-chip",
    "data-i": i,
    "data-side": side,
    tabindex: "-1",
    title: item.sp ? "Special token added by the tokenizer" : rest(item),
  });
  const name = el("bdi");
  name.textContent = plainLabel(item) || " ";
  chip.append(name);
  return chip;
}
