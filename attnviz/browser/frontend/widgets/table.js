/* table.js: a table as a Streamlit component (components v2), whose rows may be chosen like radio buttons.
   The data is {label, columns: [[heading, "number"?], …], rows: [{key, cells: [[text, small text?], …]}], chosen: a key, or null
   for a table to read, number: of the last report that the page has seen}. All text is from strangers: textContent only. */
const mountedTables = new WeakMap();

function tableCell(kind, [text, small], number) {
  const cell = document.createElement(kind);
  if (number) cell.className = "number";
  cell.textContent = text;
  if (small) {
    const under = document.createElement("small");
    under.textContent = small;
    cell.append(under);
  }
  return cell;
}

/** A row's first cell: its name, and where rows can be chosen, a radio button with that name. */
function tableHead(table, { key, cells }) {
  const head = tableCell("th", cells[0], false);
  head.scope = "row";
  if (table.data.chosen === null) return head;
  const label = document.createElement("label"),
    input = document.createElement("input");
  input.type = "radio";
  input.name = table.name;
  input.value = key;
  input.addEventListener("change", () => chooseRow(table, key));
  const words = document.createElement("span");
  words.append(...head.childNodes);
  label.append(input, words);
  head.replaceChildren(label);
  return head;
}

function tableRow(table, row) {
  const line = document.createElement("tr"),
    { columns, chosen } = table.data;
  line.dataset.key = row.key;
  line.append(
    tableHead(table, row),
    ...row.cells.slice(1).map((cell, i) => tableCell("td", cell, columns[i + 1][1] === "number")),
  );
  if (chosen !== null)
    line.addEventListener("click", (event) => {
      if (!event.target.closest("label")) chooseRow(table, row.key);
    });
  return line;
}

/** Marks a row, and tells the page. */
function chooseRow(table, key) {
  table.number += 1;
  markRow(table, key);
  table.report("chosen", { key, number: table.number });
}

function markRow(table, key) {
  for (const line of table.root.querySelectorAll("tbody tr")) {
    const chosen = line.dataset.key === key,
      input = line.querySelector("input");
    line.classList.toggle("chosen", chosen);
    if (input) input.checked = chosen;
  }
}

/** Draws everything, if anything is new: a reader's place in the table stays otherwise. */
function drawTable(table) {
  const { label, columns, rows } = table.data,
    said = JSON.stringify([label, columns, rows]);
  if (table.said === said) return;
  table.said = said;
  const focused = table.root.getRootNode().activeElement?.value;
  const whole = document.createElement("table"),
    top = document.createElement("tr");
  whole.setAttribute("aria-label", label);
  for (const [text, kind] of columns) {
    const heading = tableCell("th", [text], kind === "number");
    heading.scope = "col";
    top.append(heading);
  }
  whole.createTHead().append(top);
  whole.createTBody().append(...rows.map((row) => tableRow(table, row)));
  table.root.replaceChildren(whole);
  if (focused) [...table.root.querySelectorAll("input")].find((input) => input.value === focused)?.focus();
}

export default function tableComponent({ data, parentElement, setStateValue }) {
  let table = mountedTables.get(parentElement);
  if (!table) {
    const root = parentElement.querySelector(".av-table");
    mountedTables.set(parentElement, (table = { root, name: `av-table-${Math.random()}`, number: data.number }));
  }
  table.data = data;
  table.report = setStateValue;
  drawTable(table);
  if (data.chosen !== null && data.number >= table.number) markRow(table, data.chosen);
  table.number = Math.max(table.number, data.number);
}
