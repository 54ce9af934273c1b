/* table.js: a table as a Streamlit component (components v2), whose rows may be chosen like radio buttons. The data is
   {label, columns: [[heading, "number"?], …], rows: [{key, cells: [[text, small text?], …]}], chosen: a key, or null
   for a table to read, number: of the last report that the page has seen}. A row with the key "" cannot be chosen. */
import { component } from "../core/bridge.js";
import { el } from "../core/dom.js";

const MOST_NARROW = 5; // columns that stay side by side however narrow the page is

/**
 * @param {"th" | "td"} kind
 * @param {string[]} texts Its text, and what stands small under it.
 * @param {boolean} isNumber
 * @param {Record<string, string>} [attributes]
 */
const cellOf = (kind, [text, small], isNumber, attributes = {}) =>
  el(kind, { class: isNumber ? "number" : null, ...attributes }, text, small ? el("small", {}, small) : null);

/** A row's first cell: its name, and where rows can be chosen, a radio button with that name. */
function rowHead(table, { key, cells }) {
  const head = cellOf("th", cells[0], false, { scope: "row" });
  if (table.data.chosen === null || !key) return head;
  const input = el("input", { type: "radio", name: table.name, value: key, onchange: () => chooseRow(table, key) });
  head.replaceChildren(el("label", {}, input, el("span", {}, ...head.childNodes)));
  return head;
}

function rowOf(table, row) {
  const { columns, chosen } = table.data;
  const line = el(
    "tr",
    { "data-key": row.key },
    rowHead(table, row),
    row.cells.slice(1).map((cell, i) => {
      const [heading, kind] = columns[i + 1];
      return cellOf("td", cell, kind === "number", { "data-heading": heading });
    }),
  );
  if (chosen !== null && row.key)
    line.addEventListener("click", ({ target }) => {
      if (target instanceof Element && !target.closest("label")) chooseRow(table, row.key);
    });
  return line;
}

/** Marks a row, and tells the page. */
function chooseRow(table, key) {
  table.number += 1;
  markRow(table, key);
  table.tell.state("chosen", { key, number: table.number });
}

function markRow(table, key) {
  for (const line of table.root.querySelectorAll("tbody tr")) {
    const chosen = key !== "" && line.dataset.key === key,
      input = line.querySelector("input");
    line.classList.toggle("chosen", chosen);
    if (input) input.checked = chosen;
  }
}

/** Draws everything, if anything is new: a reader's place in the table stays otherwise. */
function drawTable(table) {
  const { label, columns, rows } = table.data,
    text = JSON.stringify([label, columns, rows]);
  if (table.text === text) return;
  table.text = text;
  const focused = table.root.getRootNode().activeElement?.value;
  const headings = columns.map(([heading, kind]) => cellOf("th", [heading], kind === "number", { scope: "col" }));
  table.root.classList.toggle("wide", columns.length > MOST_NARROW);
  table.root.replaceChildren(
    el(
      "table",
      { "aria-label": label },
      el("thead", {}, el("tr", {}, headings)),
      el(
        "tbody",
        {},
        rows.map((row) => rowOf(table, row)),
      ),
    ),
  );
  if (focused)
    [...table.root.querySelectorAll("input")].find((input) => input.value === focused)?.focus({ preventScroll: true });
}

function update(table, data) {
  table.data = data;
  drawTable(table);
  if (data.chosen !== null && data.number >= table.number) markRow(table, data.chosen);
  table.number = Math.max(table.number, data.number);
}

export default component(".av-table", {
  mount(root, data, tell) {
    const table = { root, tell, name: `av-table-${Math.random()}`, number: data.number };
    update(table, data);
    return table;
  },
  update,
});
