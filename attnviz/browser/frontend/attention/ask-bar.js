/* ask-bar.js: the line "Ask every head": two lists for a pair or a token, and the heads' answer in words. */
import { el, plainLabel, tokenNode } from "../core/dom.js";
import { percent } from "../core/format.js";
import { toggle } from "./controls.js";
import { askedQueries } from "./selectors-ask.js";
import { headName, headOf, headShown, layerOf } from "./selectors.js";

const MOST_ANSWERS = 4; // that are named
const MOST_REACHED = 3;

export class AskBar {
  /** @param {import("./view.js").AttentionView} view */
  constructor(view) {
    const { store, shown, choices, asking, heads } = view;
    this.view = view;
    this.store = store;
    this.shown = shown;
    this.choices = choices;
    this.asking = asking;
    this.heads = heads;
    this.listed = null; // the items that the lists hold
  }

  /** @returns {HTMLElement} */
  build() {
    const list = (label) => el("select", { "aria-label": label, onchange: () => this.choose() });
    this.from = list("About the query");
    this.to = list("Looking at the key");
    const get = () => this.store.state.tint === "asked";
    const set = (/** @type {boolean} */ on) => this.store.change({ tint: on ? "asked" : "weights" });
    this.colour = toggle("Colour the heads by it", { get, set });
    this.answer = el("p", { class: "av-answer", "aria-live": "polite" });
    const row = el("div", { class: "av-ask-row" });
    row.append(el("b", {}, "Ask every head"));
    row.append(el("label", {}, "about ", this.from), el("label", {}, "looking at ", this.to), this.colour.node);
    this.listed = null;
    this.card = el("span");
    const link = (about, label) =>
      el("button", { type: "button", class: "av-link", onclick: () => this.open(about) }, label);
    this.role = el("p", { class: "av-role" }, this.card, " ", link("head", "Its card"), link("off", "Without it"));
    return el("section", { class: "av-ask", "aria-label": "Ask every head" }, row, this.answer, this.role);
  }

  /** What the lists say is chosen, here and everywhere. */
  choose() {
    const of = (node) => (node.value === "" ? null : Number(node.value));
    const [query, key] = [of(this.from), of(this.to)];
    if (query === null && key === null) return this.choices.lock(null);
    if (query === null) return this.choices.lock({ side: "k", queries: [], key });
    this.choices.lock({ side: "q", queries: [query], key });
  }

  sync() {
    const { items } = this.shown;
    if (this.listed !== items) {
      this.listed = items;
      offer(this.from, tokenNames(items.queries.list));
      offer(this.to, tokenNames(items.keys.list));
    }
    const locked = this.choices.locked();
    this.from.value = String(locked?.queries[0] ?? "");
    this.to.value = String(locked?.key ?? "");
    this.colour.node.style.visibility = this.asking.question ? "" : "hidden"; // its room stays: nothing may move
    this.colour.sync();
  }

  /**
   * Opens the card of the head in view, or what becomes of the run without it.
   * @param {"head" | "off"} about
   */
  open(about) {
    const { layer, head } = this.store.state;
    this.view.onAsk({ about, layer, head, query: 0, key: 0, mask: "model", temperature: "1" });
  }

  /** What the head in view is for, where the page knows. */
  paintCard() {
    const { cards, onAsk, store } = this.view;
    const k = headShown(store);
    const { model } = store;
    this.card.textContent = cards?.[layerOf(model, k)]?.[headOf(model, k)] ?? "";
    this.role.hidden = !onAsk || !this.card.textContent;
  }

  paint() {
    this.sync();
    this.paintCard();
    const { asking } = this;
    this.answer.toggleAttribute("data-hint", !asking.question); // of no use on paper
    if (!asking.question)
      this.answer.textContent = "Choose a word to see who looks at it, or a cell: who links the two.";
    else if (asking.done) this.answer.replaceChildren(...this.answerNodes());
  }

  answerNodes() {
    const { asking, shown } = this;
    const { question } = asking;
    const { queries, keys } = shown.items;
    const key = tokenNode(keys.list[question.key], "k");
    const ranked = asking.ranked();
    if (question.kind === "token") {
      const others = askedQueries(question, shown.items).length;
      if (!others) return ["There is no other token that could look at ", key, "."];
      if (!ranked.length) return ["The mask hides ", key, " from every other token."];
      const mean = `, each the mean over the ${others} other tokens`;
      const far = this.reachNodes(key);
      return [
        "Other tokens look at ",
        key,
        " most in ",
        ...this.headNodes(ranked),
        mean,
        this.chanceText(ranked[0]),
        ...far,
      ];
    }
    const from = question.queries.flatMap((i, n) => [n ? ", " : "", tokenNode(queries.list[i], "q")]);
    if (!ranked.length) return ["These weights are not numbers (NaN)."];
    if (asking.answers[ranked[0]].value === 0) return ["No head gives anything from ", ...from, " to ", key, "."];
    return [...from, " looks at ", key, " most in ", ...this.headNodes(ranked), this.chanceText(ranked[0])];
  }

  /** The first heads, each a button that leads to it. */
  headNodes(ranked) {
    const { store, asking, choices, heads } = this;
    const { model } = store;
    return ranked.slice(0, MOST_ANSWERS).flatMap((k, n) => {
      const name = headName(model, k).toLowerCase();
      const attributes = { type: "button", class: "av-link", "aria-label": heads.label(k) };
      const button = el("button", { ...attributes, onclick: () => choices.select(k) }, name);
      return [["", ", then ", ", "][Math.min(n, 2)], button, " (", el("b", {}, percent(asking.answers[k].value)), ")"];
    });
  }

  chanceText(k) {
    const { value, chance } = this.asking.answers[k];
    const even = `even attention would give ${percent(chance)}`;
    return value > chance ? `; ${even}.` : `: no head gives more than even attention would, ${percent(chance)}.`;
  }

  reachNodes(key) {
    const reached = this.asking.reached(MOST_REACHED);
    if (!reached.length) return [];
    const list = this.shown.items.queries.list;
    const nodes = reached.flatMap(([i, part], n) => [n ? ", " : "", tokenNode(list[i], "q"), ` ${percent(part)}`]);
    return [" Through all layers, ", key.cloneNode(true), " is passed on most to ", ...nodes, " (rollout)."];
  }
}

/** Tokens by name; equal ones with their position. */
function tokenNames(list) {
  const count = new Map();
  for (const item of list) count.set(item.label, (count.get(item.label) ?? 0) + 1);
  const name = (item, i) => plainLabel(item) + (count.get(item.label) > 1 ? ` · ${i}` : "");
  return list.map(name);
}

/** Makes "any" and these names the options of a list; of a text that is being typed, most are there. */
function offer(list, names) {
  const { options } = list;
  if (!options.length) list.append(el("option", { value: "" }, "any"));
  while (options.length > names.length + 1) list.remove(options.length - 1);
  names.forEach((name, i) => {
    const option = options[i + 1];
    if (!option) list.append(el("option", { value: i }, name));
    else if (option.textContent !== name) option.textContent = name;
  });
}
