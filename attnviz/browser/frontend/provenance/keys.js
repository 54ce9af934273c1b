/* keys.js: the keyboard on the steps, the matrices and the terms, and the marks of what takes part. */
import { rolesOf } from "./term_table.js";
import { parseCell } from "./path.js";

const CELL_ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const plainKey = (e) => !e.altKey && !e.ctrlKey && !e.metaKey;

export function stepKeys(view, e) {
  const at = view.at(),
    n = view.steps.length;
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: n - 1 }[e.key];
  if (to === undefined || !plainKey(e)) return;
  e.preventDefault();
  if (to < 0 || to >= n) return;
  view.go(view.steps[to].id);
  view.node.tabs[to].focus();
}

/** Arrows move inside a matrix, into what is left out too; Enter traces; Escape goes up. */
export function gridKeys(view, e) {
  const td = e.target.closest("[data-cell]");
  if (!td || !plainKey(e)) return;
  const cell = parseCell(td.dataset.cell);
  if (e.key === "Enter" || e.key === " ") {
    e.preventDefault();
    return view.choose(cell);
  }
  if (e.key === "Escape") return view.upTo(view.state.path.length - 2);
  const to = targetCell(view, cell, e.key);
  if (!to) return;
  e.preventDefault();
  td.tabIndex = -1;
  const key = to.join(":");
  if (!view.cells.has(key)) {
    view.aim(to);
    view.draw();
  }
  const next = view.cells.get(key);
  if (!next) return;
  next.tabIndex = 0;
  next.focus();
  view.preview(key);
}

function targetCell(view, [name, r, c], key) {
  const m = view.provenance.matrices[name],
    item = view.item(name),
    turned = item?.turned,
    d = view.provenance.width;
  const block = item?.block && m.axes[1] === "inner",
    of = item?.of ?? view.head();
  const [from, to] = block ? [of * d, (of + 1) * d - 1] : [m.first, m.first + m.stored - 1];
  const clip = (v, a, b) => Math.max(a, Math.min(b, v));
  if (key === "Home" || key === "End")
    return turned ? [name, key === "Home" ? 0 : m.rows - 1, c] : [name, r, key === "Home" ? from : to];
  const arrow = CELL_ARROWS[key];
  if (!arrow) return null;
  const [dr, dc] = turned ? [arrow[1], arrow[0]] : arrow;
  return [name, clip(r + dr, 0, m.rows - 1), clip(c + dc, from, to)];
}

/** Arrows move among the factors of the panel; Backspace and Escape go up. */
export function panelKeys(view, e) {
  if (e.target.matches("input") || !plainKey(e)) return;
  if (e.key === "Backspace" || e.key === "Escape") {
    e.preventDefault();
    return view.upTo(view.state.path.length - 2);
  }
  const arrow = CELL_ARROWS[e.key];
  if (!arrow || !e.target.matches(".aw-f")) return;
  e.preventDefault();
  const rows = [...view.node.trace.querySelectorAll("tbody tr")]
    .map((tr) => [...tr.querySelectorAll(".aw-f")])
    .filter((r) => r.length);
  const row = rows.findIndex((r) => r.includes(e.target)),
    col = rows[row].indexOf(e.target);
  const to = rows[Math.max(0, Math.min(rows.length - 1, row + arrow[0]))];
  const next = to[Math.max(0, Math.min(to.length - 1, col + arrow[1]))];
  e.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

// ---- marks --------------------------------------------------------------------------------------

/** The runs of cells that made a cell: {name, r, c} with null for all rows or all columns, and whose colour. */
export function partsOf(provenance, [name, r, c]) {
  const rule = provenance.matrices[name]?.rule,
    [first, second] = rolesOf(name);
  if (!rule) return [];
  switch (rule.kind) {
    case "sum":
      return rule.parts.map((part) => ({
        name: part,
        r: Math.min(r, provenance.matrices[part].rows - 1),
        c,
        role: "",
      }));
    case "scale":
    case "activation":
      return [{ name: rule.of, r, c, role: first }];
    case "concat":
      return [{ name: rule.parts[Math.floor(c / rule.width)], r, c, role: "" }];
    case "softmax":
      return [{ name: rule.of, r, c: null, role: first }];
    case "mean":
      return [{ name: rule.of, r, c: null, role: "" }];
    case "variance":
      return [
        { name: rule.of, r, c: null, role: "" },
        { name: rule.mean, r, c: 0, role: "" },
      ];
    case "norm": {
      const row = [rule.weight, rule.bias].filter(Boolean).map((part) => ({ name: part, r: 0, c, role: "" })),
        column = [rule.mean, rule.variance].map((part) => ({ name: part, r, c: 0, role: "" }));
      return [{ name: rule.of, r, c, role: "" }, ...column, ...row];
    }
    case "rotation":
      return [c - (c % 2), c - (c % 2) + 1].map((pair) => ({ name: rule.of, r, c: pair, role: first }));
    case "product": {
      const b = rule.transposed ? { name: rule.b, r: c, c: null } : { name: rule.b, r: null, c };
      const bias = rule.bias ? [{ name: rule.bias, r: 0, c, role: "" }] : [];
      return [{ name: rule.a, r, c: null, role: first }, { ...b, role: second }, ...bias];
    }
  }
  return [];
}

/** Marks on the stage the cell, and what made it. */
export function markParts(view, cell) {
  const { cells, provenance, node } = view;
  for (const td of node.stage.querySelectorAll("[data-cell].run,[data-cell].on"))
    td.classList.remove("run", "on", "q", "k", "v", "hz", "vt", "s", "e");
  for (const th of node.stage.querySelectorAll("th.hot")) th.classList.remove("hot", "q", "k", "v");
  for (const part of partsOf(provenance, cell)) markRun(view, part);
  const own = cells.get(cell.join(":"));
  if (!own) return;
  own.classList.add("on");
  const [first, second] = rolesOf(cell[0]);
  headOf(own, "row")?.classList.add("hot", ...(first ? [first] : []));
  headOf(own, "col")?.classList.add("hot", ...(second && second !== "v" ? [second] : []));
}

function markRun(view, { name, r, c, role }) {
  const found = [];
  for (const [key, td] of view.cells) {
    const at = parseCell(key);
    if (at[0] === name && (r === null || at[1] === r) && (c === null || at[2] === c)) found.push(td);
  }
  if (!found.length) return;
  const turned = Boolean(view.item(name)?.turned),
    across = (c === null) !== turned,
    single = r !== null && c !== null;
  found.forEach((td, i) => {
    td.classList.add("run", single || across ? "hz" : "vt", ...(role ? [role] : []));
    if (single || i === 0) td.classList.add("s");
    if (single || i === found.length - 1) td.classList.add("e");
  });
  if (!single) headOf(found[0], across ? "row" : "col")?.classList.add("hot", ...(role ? [role] : []));
}

/** The label in front of a cell's row or above its column. */
function headOf(td, which) {
  if (which === "row") return td.parentNode.querySelector("th");
  const heads = td.closest("table").querySelectorAll("thead tr");
  return heads[heads.length - 1].children[[...td.parentNode.children].indexOf(td)];
}
