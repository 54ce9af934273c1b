/* term_table.js: the terms of one number as a table: factors, products, their sum; every factor leads a step deeper. */
import { el } from "../core/dom.js";
import { brief, exact, worked } from "./digits.js";
import { cellName, placeOf } from "./names.js";
import { cellExists, cellValue } from "./read.js";
import { symbolOf } from "./steps.js";
import { grouped } from "./terms.js";

const MINUS_SIGN = " − ";

/** The table, with a line that says what of it is rounded. */
export function termTable(view, cell, found) {
  const { provenance } = view,
    all = view.everyTerm,
    { shown: terms, others, rest } = grouped(found.terms, all ? Infinity : 8);
  const most = Math.max(...found.terms.map((t) => (Number.isFinite(t.value) ? Math.abs(t.value) : 0))),
    pen = penOf(view);
  const rows =
    found.kind === "norm"
      ? normRows(view, cell, found, pen)
      : terms.map((term) => termRow(view, cell, found, term, most, pen));
  const body = el("tbody", {}, rows);
  if (others) {
    const more = el(
      "button",
      { type: "button", class: "av-link", onclick: () => view.showEvery() },
      `+ ${others.toLocaleString("en")} smaller terms`,
    );
    body.append(
      el(
        "tr",
        { class: "rest" },
        el("th", { scope: "row", colspan: 2 }, more),
        numberCell(pen.worked(rest), "the smaller terms"),
        el("td", { class: "bar" }),
      ),
    );
  }
  const table = el(
    "table",
    { class: view.everyDigit ? "aw-terms aw-digits" : "aw-terms" },
    el("caption", { class: "av-sr" }, "The terms"),
    body,
    totals(provenance, cell, found, pen),
  );
  const note =
    pen.rounded && !view.everyDigit ? el("p", { class: "aw-note" }, "Computed with all digits, shown with 4.") : null;
  return el("div", {}, table, note);
}

/** Writes numbers as the reader wants them, and remembers whether one was rounded. */
function penOf(view) {
  const { single } = view.provenance,
    pen = { rounded: false, stored: null, worked: null },
    write = (full, value) => {
      const short = brief(value);
      if (short !== full) pen.rounded = true;
      return { text: view.everyDigit ? full : short, full };
    };
  pen.stored = (value) => write(exact(value, single), value);
  pen.worked = (value) => write(worked(value, single), value);
  return pen;
}

// What a number in full is called, stands with it: `name`.
const numberCell = ({ text, full }, name) => el("td", { class: "num", "data-full": full, "data-name": name }, text);
const plain = ({ text, full }, name) => el("span", { class: "n", "data-full": full, "data-name": name }, text);
const sign = (text) => el("span", { class: "x" }, text);

function termRow(view, cell, found, term, most, pen) {
  const { provenance } = view,
    chosen = found.chosen != null && term.k === found.chosen;
  const bar = el("i", {
    class: term.value < 0 ? "neg" : null,
    style: `--w:${Number.isFinite(term.value) && most ? ((Math.abs(term.value) / most) * 100).toFixed(1) : 0}%`,
  });
  return el(
    "tr",
    { class: chosen ? "chosen" : null },
    el("th", { scope: "row", class: "lab" }, el("bdi", {}, termLabel(provenance, cell, found, term))),
    el("td", {}, el("span", { class: "aw-factors" }, factorNodes(view, cell, found, term, pen))),
    numberCell(pen.worked(term.value), termName(provenance, found, term)),
    el("td", { class: "bar", "aria-hidden": "true" }, bar),
  );
}

/** A term as it is worked out from its cells: Q[9,53] × K[7,53]. */
function termName(provenance, found, term) {
  const [first, ...others] = term.factors.map((f) => cellName(provenance, f.cell));
  switch (term.bias ? "" : found.kind) {
    case "softmax":
      return `the power for ${first}`;
    case "scale":
    case "rotation":
      return `${first} × ${brief(term.by)}`;
    case "variance":
      return `(${first} − ${others[0]})²`;
    case "activation":
      return `${found.function === "relu" ? "ReLU" : "GELU"}(${first})`;
  }
  return [first, ...others].join(" × ");
}

function termLabel(provenance, [name], found, term) {
  if (term.bias) return "bias";
  if (found.kind === "softmax" || /^(z|AV)\./.test(name)) return provenance.tokens[term.k].label;
  if (name.startsWith("scores.")) return String(term.k - provenance.matrices[name].rule.start); // of the head
  if (["product", "mean", "variance"].includes(found.kind)) return String(term.k);
  if (found.kind === "rotation") return String(term.factors[0].cell[2]);
  const { rule, symbol } = provenance.matrices[term.factors[0].cell[0]] ?? { rule: {} },
    note = { token: "token", position: "position", formula: "position", segment: "segment", mask: "mask" }[rule.note];
  return note ?? (rule.note === "alibi" ? "bias" : found.kind === "sum" ? symbol : "");
}

const COLOURED = { product: ["a", "b"], scale: ["a"], softmax: ["a"] };

function factorNodes(view, cell, found, term, pen) {
  const parts = COLOURED[found.kind] || [],
    roles = rolesOf(cell[0]);
  const buttons = term.factors.map((f, i) => factorButton(view, f, term.bias || !parts[i] ? "" : roles[i] || "", pen));
  switch (term.bias ? "" : found.kind) {
    case "softmax":
      return [
        sign(found.temperature === 1 ? "e^(" : "e^(("),
        buttons[0],
        ...(Number.isFinite(found.top) ? [sign(MINUS_SIGN), plain(pen.stored(found.top), "the row’s largest")] : []),
        sign(found.temperature === 1 ? ")" : `) ÷ ${found.temperature})`),
      ];
    case "scale":
    case "rotation":
      return [buttons[0], sign(" × "), plain(pen.worked(term.by), "the factor")];
    case "variance":
      return [sign("("), buttons[0], sign(MINUS_SIGN), buttons[1], sign(")²")];
    case "activation":
      return [sign(found.function === "relu" ? "max(0, " : "GELU("), buttons[0], sign(")")];
  }
  return buttons.flatMap((b, i) => (i ? [sign(" × "), b] : [b]));
}

/** LayerNorm in single steps: less the mean, by the spread, times γ, plus β. */
function normRows(view, cell, found, pen) {
  const { provenance } = view,
    [main, shift] = found.terms,
    [x, mean, variance, gamma] = main.factors.map((f) => factorButton(view, f, "", pen)),
    quotient = found.centred / found.deviation;
  const { rule } = provenance.matrices[cell[0]],
    less = `${symbolOf(provenance, rule.of)} − μ`,
    ratio = `(${less}) ÷ spread`;
  const row = (label, nodes, value, name = label) =>
    el(
      "tr",
      {},
      el("th", { scope: "row", class: "lab" }, label),
      el("td", {}, el("span", { class: "aw-factors" }, nodes)),
      numberCell(pen.worked(value), name),
      el("td", { class: "bar" }),
    );
  const rows = [
    row(less, [x, sign(MINUS_SIGN), mean], found.centred),
    row("spread", [sign("√("), variance, sign(` + ${brief(found.eps)})`)], found.deviation),
    row(
      "÷",
      [plain(pen.worked(found.centred), less), sign(" ÷ "), plain(pen.worked(found.deviation), "spread")],
      quotient,
      ratio,
    ),
    row("× γ", [plain(pen.worked(quotient), ratio), sign(" × "), gamma], main.value, `${ratio} × γ`),
  ];
  if (shift) rows.push(row("+ β", [factorButton(view, shift.factors[0], "", pen)], shift.value, "β"));
  return rows;
}

/** Amber for what comes from the looking word, blue for the one that is seen, green for values. */
export function rolesOf(name) {
  const stem = name.split(".")[0];
  return (
    {
      Q: ["q", ""],
      K: ["k", ""],
      V: ["v", ""],
      Qr: ["q", ""],
      Kr: ["k", ""],
      scores: ["q", "k"],
      weights: ["q"],
      z: ["q", "v"],
      AV: ["q", "v"],
    }[stem] || ["", ""]
  );
}

function factorButton(view, { cell, value }, role, pen) {
  const { provenance } = view,
    { text, full } = pen.stored(value),
    name = cellName(provenance, cell);
  if (!cellExists(provenance, cell)) return el("span", { class: role, "data-full": full, "data-name": name }, text);
  return el(
    "button",
    {
      type: "button",
      class: `aw-f ${role}`,
      tabindex: "-1",
      "data-factor": cell.join(":"),
      "data-full": full,
      "data-name": name,
      "aria-label": `${name}, ${placeOf(provenance, cell)}: ${full}. Trace it`,
      title: `${name} = ${full}`,
      onclick: () => view.deeper(cell),
    },
    text,
  );
}

function totals(provenance, cell, found, pen) {
  const value = cellValue(provenance, ...cell),
    result = pen.stored(value),
    rows = [];
  const line = (label, number, kind) =>
    el(
      "tr",
      { class: kind },
      el("th", { scope: "row", colspan: 2 }, label),
      numberCell(number, kind === "total" ? cellName(provenance, cell) : label),
      el("td", { class: "bar" }),
    );
  if (found.chosen != null) {
    const sum = pen.worked(found.sum),
      share = pen.worked(found.terms[found.chosen].value);
    rows.push(
      line("sum", sum, "part"),
      line(found.sum ? `${share.text} ÷ ${sum.text}` : "nothing to look at", result, "total"),
    );
  } else if (found.divisor) {
    rows.push(line("sum", pen.worked(found.sum), "part"), line(`÷ ${found.divisor}`, result, "total"));
  } else rows.push(line(found.terms.length > 1 ? "sum" : "result", result, "total"));
  const off = Math.abs(found.total - value),
    close = found.total === value || off <= provenance.tolerance * (1 + found.size);
  if (!close) rows.push(line("the terms give", pen.worked(found.total), "part"));
  return el("tfoot", {}, rows);
}
