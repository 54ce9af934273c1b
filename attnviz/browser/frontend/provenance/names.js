/* names.js: how a cell and its place are called. */
import { el } from "../core/dom.js";
import { symbolOf } from "./steps.js";

export const isolated = (text) => `“\u2068${text}\u2069”`;

/** A cell's place in words: “chase” for “cats”, “chase” column 2, row 0 column 3. */
export function placeOf(provenance, [name, r, c]) {
  const m = provenance.matrices[name] || provenance.matrices.concat,
    [down, across] = m.axes,
    word = (i) => isolated(provenance.tokens[i].label);
  if (down === "one") return `number ${c}`;
  if (across === "one") return word(r);
  if (down === "query" || down === "key")
    return across === "key" ? `${word(r)} for ${word(c)}` : `${word(r)}, number ${c}`;
  return `row ${r}, column ${c}`;
}

export const cellName = (provenance, [name, r, c]) => `${symbolOf(provenance, name)}[${r},${c}]`;

/** A symbol with what follows "_" set low. */
export function symbolNode(symbol) {
  const [stem, low] = symbol.split("_"),
    node = el("i", {}, stem);
  if (low) node.append(el("sub", {}, low.replace("ᵀ", "")), low.includes("ᵀ") ? "ᵀ" : "");
  return node;
}

/** A sentence with W_Q and its like set as symbols. */
export function withSymbols(text) {
  return text.split(/\b(W_[QKVO12])\b/).map((part, i) => (i % 2 ? symbolNode(part) : part));
}

/** A name of cells, "W_Q[0,1] × x[1,3]", with its low letters set low. */
export const nameNodes = (name) =>
  name.split(/(\p{L}²?_\p{L}?\d*)(?=\[)/u).map((part, i) => (i % 2 ? symbolNode(part) : part));

/** "W_Q[0,1]" with its low letter set low. */
export function symbolText(text) {
  const [, symbol, place] = /^(.*?)(\[.*)$/.exec(text);
  return [symbolNode(symbol), el("span", {}, place)];
}
