/* panel.js: how one number was made: its place, all its digits, a sentence, and its terms. */
import { el } from "../core/dom.js";
import { brief, exact } from "./digits.js";
import { editor } from "./edit.js";
import { cellName, isolated, nameNodes, placeOf, symbolNode, symbolText, withSymbols } from "./names.js";
import { cellValue, isRemote, ownerOf, shownCell } from "./read.js";
import { symbolOf } from "./steps.js";
import { termTable } from "./term_table.js";
import { termsOf } from "./terms.js";

/** The nodes of the panel for the cell that ends a path. */
export function panelNodes(view, path) {
  const { provenance } = view,
    cell = path.at(-1),
    found = termsOf(provenance, ...cell),
    value = cellValue(provenance, ...cell);
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
    fullLine(view, cellName(provenance, cell), exact(value, provenance.single)),
    el("p", { class: "aw-what" }, withSymbols(panelSentence(provenance, cell, found))),
  ];
  if (found.kind === "given") return [...nodes, ...givenNodes(view, cell)];
  if (found.kind === "remote") return nodes;
  return [...nodes, termTable(view, cell, found), ...onwards(view, cell)];
}

/** All digits of the number that is looked at, under its name; and whether the terms show theirs. */
function fullLine(view, name, text) {
  const every = el(
    "button",
    {
      type: "button",
      class: "av-link",
      "aria-pressed": String(view.everyDigit),
      onclick: () => view.showDigits(!view.everyDigit),
    },
    view.everyDigit ? "Fewer digits" : "All digits",
  );
  const line = el("p", { class: "aw-full" }, "In full: ", el("span", {}), " = ", el("b", {}), every);
  Object.assign(line.dataset, { name, own: text });
  writeFull(line, name, text);
  return line;
}

function writeFull(line, name, text) {
  line.querySelector("span").replaceChildren(...nameNodes(name));
  line.querySelector("b").textContent = text;
}

/** All digits of a number in the panel, while it is looked at; then again those of the number it is about. */
export function showFull(trace, pointed) {
  const line = trace.querySelector(".aw-full");
  if (!line) return;
  const { name, full } = pointed?.dataset ?? { name: line.dataset.name, full: line.dataset.own };
  writeFull(line, name, full);
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
    bias = found.terms.some((t) => t.bias),
    word = (i) => isolated(provenance.tokens[i].label);
  const say = {
    given: () => givenSentence(provenance, cell, rule),
    remote: () =>
      isRemote(provenance, name)
        ? `Head ${ownerOf(name)} made this number; choose it, and that head’s numbers come.`
        : "Choose it, and the numbers that it was made of come.",
    sum: () => `${n} numbers at the same place, added.`,
    scale: () =>
      name.startsWith("z.")
        ? `What the head took along, times the factor ${brief(rule.by)} on this head.`
        : Math.abs(rule.by * Math.sqrt(provenance.width) - 1) < 1e-6
          ? `The score times 1 ÷ √${provenance.width} = ${brief(rule.by)}.`
          : `The score times ${brief(rule.by)}.`,
    softmax: () =>
      `e (2.718…) to the power of each score, less the row’s largest; then the share of ${word(c)} in the sum.`,
    mean: () => `The mean of the ${n} numbers of ${word(r)}: their sum, divided by ${n}.`,
    variance: () =>
      `How far the ${n} numbers of ${word(r)} lie from their mean: ` +
      `the mean of the squared distances (${symbolOf(provenance, rule.of)} − μ)².`,
    norm: () =>
      `The mean of its row taken off, divided by √(σ² + ε), times γ${bias ? ", plus β" : ""}. ` +
      `ε = ${brief(found.eps)} keeps it from a division by 0.`,
    activation: () =>
      found.function === "relu"
        ? "ReLU: the larger of the number and 0."
        : "GELU: the number times the share of a normal distribution that lies below it" +
          `${found.function === "gelu" ? "" : ", by a formula close to it"}.`,
    rotation: () =>
      `Numbers ${found.even} and ${found.even + 1} are a pair. At position ${r} it turns by ${brief(found.angle)} ` +
      `(a full turn is 6.283): cos ${brief(Math.cos(found.angle))}, sin ${brief(Math.sin(found.angle))}.`,
    concat: () =>
      `Copied from head ${Math.floor(c / provenance.width)}: heads stand side by side, ` +
      `${provenance.width} columns each.`,
  }[found.kind];
  if (say) return say();
  if (name.startsWith("scores.")) {
    const [query, key] = [symbolOf(provenance, rule.a), symbolOf(provenance, rule.b)],
      from = rule.start ? ` Dimension 0 of the head is column ${rule.start} of ${query} and ${key}.` : "";
    return `The query of ${word(r)} times the key of ${word(c)}: ${n} products, added.${from}`;
  }
  if (/^(z|AV)\./.test(name)) return `Every word’s value, times the share that ${word(r)} gives it, added.`;
  const products = `${(n - bias).toLocaleString("en")} products${bias ? " and a bias" : ""}`,
    row = `Row ${word(r)} of ${symbolOf(provenance, rule.a)}`;
  return `${row} times column ${c} of ${symbolOf(provenance, rule.b)}: ${products}, added.`;
}

function givenSentence(provenance, [name, r, c], rule) {
  const word = isolated(provenance.tokens[Math.min(r, provenance.size - 1)].label),
    learned = provenance.editable ? "chosen for this example" : "a weight of the model",
    size = rule.size?.toLocaleString("en"),
    row = rule.ids?.[r];
  return {
    token: `Row ${row} of the table of ${size} token embeddings, the one for ${word}: ${learned}.`,
    position: `Row ${row} of the table of ${size} positions: ${learned}.`,
    formula: "Worked out from the position by a formula: nothing was learned here.",
    segment: "The same for every word of a first sentence: a weight of the model.",
    patches: "Made from the pixels of this patch, plus a row for its position.",
    weight: provenance.editable?.includes(name)
      ? "A weight of the example. Change it, and everything after it changes."
      : "A weight of the model, learned in training or, if it is untrained, drawn at random.",
    bias: "A bias of the model: added whatever the words are.",
    gamma: "γ, LayerNorm’s factor for this column: a weight of the model.",
    beta: "β, LayerNorm’s shift for this column: a weight of the model.",
    mask: "0 where the word may look, −∞ where it may not.",
    alibi: rule.slope
      ? `${rule.by}: −${brief(rule.slope)} × ${Math.abs(r - c)} words of distance. Each head has a slope of its own.`
      : rule.by
        ? `${rule.by}: what this head adds to a score at ${Math.abs(r - c)} words of distance.`
        : "A bias that the model adds to this score, whatever the words are.",
    layer: `Number ${c} of what layer ${provenance.layer - 1} gave out for ${word}.`,
    cross: "Made by attention to the other text: its keys and values come from there.",
  }[rule.note];
}

function givenNodes(view, cell) {
  const { provenance } = view,
    [name, r, c] = cell;
  if (provenance.editable?.includes(name)) return [editor(view, cell)];
  if (provenance.matrices[name].rule.note === "layer" && view.onLayer)
    return [layerButton(view, provenance.layer - 1, ["y", r, c])];
  return [];
}

/** From what a layer gives out to the next one, where the same number goes in. */
function onwards(view, [name, r, c]) {
  const next = view.provenance.layer + 1;
  return name === "y" && next < view.provenance.layers && view.onLayer ? [layerButton(view, next, ["x", r, c])] : [];
}

function layerButton(view, layer, cell) {
  return el(
    "button",
    { type: "button", class: "av-button", onclick: () => view.onLayer({ layer, cell: cell.join(":") }) },
    `Go to layer ${layer}`,
  );
}

/** What is read aloud when a number has been chosen. */
export function spokenCell(provenance, cell) {
  const found = termsOf(provenance, ...cell),
    n = found.terms.length,
    symbol = symbolOf(provenance, cell[0]).replace("_", " "),
    text = `${symbol}, ${placeOf(provenance, cell)}: ${shownCell(provenance, ...cell)}`;
  if (!n) return text;
  if (found.chosen != null) return `${text}, a share of ${n} powers`;
  return n > 1 ? `${text}, the ${found.divisor ? "mean" : "sum"} of ${n} terms` : text;
}
