/* panel.js: how one number was made, term by term, with every factor a step deeper. */
import { el } from "../core/dom.js";
import { editor } from "./edit.js";
import { cellName, isolated, placeOf, symbolNode, symbolText, withSymbols } from "./names.js";
import { compact } from "../core/format.js";
import { cellExists, cellValue, decimalsFor, isRemote, ownerOf, shownCell } from "./read.js";
import { symbolOf } from "./steps.js";
import { grouped, termsOf } from "./terms.js";

/** The nodes of the panel for the cell that ends a path. */
export function panelNodes(view, path) {
  const { provenance } = view,
    cell = path.at(-1),
    found = termsOf(provenance, ...cell);
  const title = el(
    "p",
    { class: "aw-cell" },
    symbolNode(symbolOf(provenance, cell[0])),
    el("span", {}, placeOf(provenance, cell)),
    el("output", {}, shownCell(provenance, ...cell)),
  );
  const nodes = [
    crumbs(view, path),
    title,
    el("p", { class: "aw-what" }, withSymbols(panelSentence(provenance, cell, found))),
  ];
  if (found.kind === "given") return [...nodes, ...givenNodes(view, cell)];
  if (found.kind === "remote") return nodes;
  return [...nodes, termTable(view, cell, found)];
}

function crumbs(view, path) {
  const steps = path.map((cell, i) => {
    const last = i === path.length - 1,
      text = cellName(view.provenance, cell);
    const button = el(
      "button",
      { type: "button", "aria-current": last ? "true" : null, onclick: () => view.upTo(i) },
      symbolText(text),
    );
    return el("li", {}, button);
  });
  const up =
    path.length > 1
      ? el("button", { type: "button", class: "aw-up", onclick: () => view.upTo(path.length - 2) }, "‹ up")
      : null;
  return el(
    "nav",
    { class: "aw-crumbs", "aria-label": "From the number you chose down to this one" },
    el("ol", {}, steps),
    up,
  );
}

function panelSentence(provenance, cell, found) {
  const [name, r, c] = cell,
    rule = provenance.matrices[name]?.rule,
    n = found.terms.length,
    bias = found.terms.some((t) => t.bias);
  const word = (i) => isolated(provenance.tokens[i].label);
  switch (found.kind) {
    case "given":
      return givenSentence(provenance, cell, rule);
    case "remote":
      return `Head ${ownerOf(name)} made this number; its own numbers are on their way.`;
    case "sum":
      return `${n} numbers at the same place, added.`;
    case "scale":
      return `The score times 1 ÷ √${provenance.width} = ${compact(found.by, 3)}.`;
    case "softmax":
      return `e to the power of each score (less the row’s largest), then the share of ${word(c)} in their sum.`;
    case "norm":
      return (
        `The row’s mean ${compact(found.mean, 2)} taken off, divided by its spread ${compact(found.deviation, 3)}, ` +
        `times γ${bias ? ", plus β" : ""}.`
      );
    case "concat":
      return (
        `Copied from head ${Math.floor(c / provenance.width)}: heads stand side by side, ` +
        `${provenance.width} columns each.`
      );
  }
  if (name.startsWith("scores.")) return `The query of ${word(r)} times the key of ${word(c)}: ${n} products, added.`;
  if (name.startsWith("z.")) return `Every word’s value, times the share that ${word(r)} gives it, added.`;
  const products = `${n - bias} products${bias ? " and a bias" : ""}`,
    row = `Row ${isolated(provenance.tokens[r].label)} of ${symbolOf(provenance, rule.a)}`;
  return `${row} times column ${c} of ${symbolOf(provenance, rule.b)}: ${products}, added.`;
}

function givenSentence(provenance, [name, r], rule) {
  const word = isolated(provenance.tokens[Math.min(r, provenance.size - 1)].label),
    learned = provenance.editable ? "chosen for this example" : "a weight of the model",
    size = rule.size?.toLocaleString("en");
  return {
    token: `Row ${rule.ids[r]} of the table of ${size} token embeddings, the one for ${word}: ${learned}.`,
    position: `Row ${rule.ids[r]} of the table of ${size} positions: ${learned}.`,
    formula: "A sine or cosine of the position, by formula: nothing was learned here.",
    segment: "The same for every word of a first sentence: a weight of the model.",
    weight: provenance.editable?.includes(name)
      ? "A weight of the example. Change it, and everything after it changes."
      : "A weight of the model, learned in training or, if it is untrained, drawn at random.",
    bias: "A bias of the model: added whatever the words are.",
    gamma: "LayerNorm's factor for this column: a weight of the model.",
    beta: "LayerNorm's shift for this column: a weight of the model.",
    mask: "0 where the word may look, −∞ where it may not; a bias on the distance, where the model has one.",
    layer: `Layer ${provenance.layer - 1} passed this on. To see how it was made, choose that layer above.`,
  }[rule.note];
}

function givenNodes(view, cell) {
  const { provenance } = view,
    nodes = [];
  if (provenance.editable?.includes(cell[0])) nodes.push(editor(view, cell));
  if (provenance.matrices[cell[0]].rule.note === "layer" && view.onLayer)
    nodes.push(
      el(
        "button",
        { type: "button", class: "av-button", onclick: () => view.onLayer(provenance.layer - 1) },
        `Go to layer ${provenance.layer - 1}`,
      ),
    );
  return nodes;
}

// ---- the terms ----------------------------------------------------------------------------------

function termTable(view, cell, found) {
  const { provenance } = view,
    all = view.everyTerm,
    { shown: terms, others, rest } = grouped(found.terms, all ? Infinity : 8);
  const most = Math.max(...found.terms.map((t) => (Number.isFinite(t.value) ? Math.abs(t.value) : 0))),
    decimals = productDecimals(provenance, found, cell, most);
  const body = el(
    "tbody",
    {},
    terms.map((term) => termRow(view, cell, found, term, most, decimals)),
  );
  if (others) {
    const more = el(
      "button",
      { type: "button", class: "av-link", onclick: () => view.showEvery() },
      `+ ${others} smaller terms`,
    );
    body.append(
      el(
        "tr",
        { class: "rest" },
        el("th", { scope: "row", colspan: 2 }, more),
        el("td", { class: "num" }, compact(rest, decimals)),
        el("td"),
      ),
    );
  }
  const table = el(
    "table",
    { class: "aw-terms" },
    el("caption", { class: "av-sr" }, "The terms"),
    body,
    totals(provenance, cell, found, decimals),
  );
  return el("div", { class: "aw-scroll", tabindex: all ? "0" : null }, table);
}

/** Whole numbers stay whole, small terms get the digits they need. */
function productDecimals(provenance, found, cell, most) {
  return found.kind !== "softmax" && found.terms.every((t) => !Number.isFinite(t.value) || Number.isInteger(t.value))
    ? 0
    : decimalsFor(most);
}

function termRow(view, cell, found, term, most, decimals) {
  const { provenance } = view,
    chosen = found.chosen != null && term.k === found.chosen;
  const sum = el("span", { class: "aw-factors" }, factorNodes(view, cell, found, term));
  const bar = el("i", {
    class: term.value < 0 ? "neg" : null,
    style: `--w:${Number.isFinite(term.value) && most ? ((Math.abs(term.value) / most) * 100).toFixed(1) : 0}%`,
  });
  return el(
    "tr",
    { class: chosen ? "chosen" : null },
    el("th", { scope: "row", class: "lab" }, el("bdi", {}, termLabel(provenance, cell, found, term))),
    el("td", {}, sum),
    el("td", { class: "num" }, compact(term.value, decimals)),
    el("td", { class: "bar", "aria-hidden": "true" }, bar),
  );
}

function termLabel(provenance, [name], found, term) {
  if (term.bias) return found.kind === "norm" ? "β" : "bias";
  if (found.kind === "softmax" || name.startsWith("z.")) return provenance.tokens[term.k].label;
  if (found.kind === "product") return String(term.k);
  const note = provenance.matrices[term.factors[0].cell[0]]?.rule.note;
  return { token: "token", position: "position", formula: "position", segment: "segment", mask: "mask" }[note] || "";
}

const PARTS = { product: ["a", "b"], scale: ["a"], softmax: ["a"], norm: ["a", "b"] };

function factorNodes(view, cell, found, term) {
  const parts = PARTS[found.kind] || [],
    roles = rolesOf(cell[0]);
  const buttons = term.factors.map((f, i) => factorButton(view, f, term.bias ? "" : parts[i] ? roles[i] || "" : ""));
  if (found.kind === "softmax")
    return [
      el("span", {}, "e^("),
      buttons[0],
      el("span", {}, Number.isFinite(found.top) ? ` − ${compact(found.top, 2).replace("−", "−\u2060")})` : ")"),
      found.temperature === 1 ? null : el("span", {}, ` ÷ ${found.temperature}`),
    ];
  if (found.kind === "scale") return [buttons[0], el("span", {}, ` × ${compact(found.by, 3)}`)];
  if (found.kind === "norm" && !term.bias)
    return [
      el("span", {}, "("),
      buttons[0],
      el("span", {}, ` − ${compact(found.mean, 2)}) ÷ ${compact(found.deviation, 2)} × `),
      buttons[1],
    ];
  return buttons.flatMap((b, i) => (i ? [el("span", { class: "x" }, " × "), b] : [b]));
}

/** Amber for what comes from the looking word, blue for the one that is seen, green for values. */
export function rolesOf(name) {
  const stem = name.split(".")[0];
  return (
    { Q: ["q", ""], K: ["k", ""], V: ["v", ""], scores: ["q", "k"], weights: ["q"], z: ["q", "v"] }[stem] || ["", ""]
  );
}

function factorButton(view, { cell }, role) {
  const { provenance } = view,
    text = shownCell(provenance, ...cell),
    open = cellExists(provenance, cell);
  if (!open) return el("span", { class: role }, text);
  return el(
    "button",
    {
      type: "button",
      class: `aw-f ${role}`,
      tabindex: "-1",
      "data-factor": cell.join(":"),
      "aria-label": `${cellName(provenance, cell)}, ${placeOf(provenance, cell)}: ${text}. Trace it`,
      title: cellName(provenance, cell),
      onclick: () => view.deeper(cell),
    },
    text,
  );
}

function totals(provenance, cell, found, decimals) {
  const value = cellValue(provenance, ...cell),
    text = shownCell(provenance, ...cell),
    rows = [];
  const line = (label, number, kind) =>
    el(
      "tr",
      { class: kind },
      el("th", { scope: "row", colspan: 2 }, label),
      el("td", { class: "num" }, number),
      el("td"),
    );
  if (found.chosen != null) {
    rows.push(
      line("sum", compact(found.sum, 2), "part"),
      line(
        found.sum ? `${compact(found.terms[found.chosen].value, 2)} ÷ ${compact(found.sum, 2)}` : "nothing to look at",
        text,
        "total",
      ),
    );
  } else rows.push(line(found.terms.length > 1 ? "sum" : "", text, "total"));
  const off = Math.abs(found.total - value),
    close = found.total === value || off <= provenance.tolerance * (1 + found.size);
  if (!close) rows.push(line("the terms give", compact(found.total, decimals + 4), "part"));
  return el("tfoot", {}, rows);
}

/** What is read aloud when a number has been chosen. */
export function spokenCell(provenance, cell) {
  const found = termsOf(provenance, ...cell),
    n = found.terms.length,
    symbol = symbolOf(provenance, cell[0]).replace("_", " "),
    text = `${symbol}, ${placeOf(provenance, cell)}: ${shownCell(provenance, ...cell)}`;
  if (isRemote(provenance, cell[0]) || !n) return text;
  return found.chosen != null ? `${text}, a share of ${n} powers` : n > 1 ? `${text}, the sum of ${n} terms` : text;
}
