/* edit.js: changing a weight of the example. What cannot be read stays in its field, with a sentence. */
import { el } from "../core/dom.js";
import { cellName, symbolText } from "./names.js";
import { shownCell } from "./read.js";
import { parseCell } from "./path.js";

const PLAIN_NUMBER = /^[+-]?(\d{1,9}(\.\d{0,9})?|\.\d{1,9})(e[+-]?\d{1,3})?$/i,
  LONGEST = 40,
  FRACTION = /^([+-]?\d{1,6})\/(\d{1,6})$/;

/** What a reader typed as {value, text} or {error}: the same numbers as by_hand.number takes. */
export function readWeight(typed, limit) {
  if (typed.length > LONGEST) {
    const n = typed.length.toLocaleString("en");
    return { error: `What you typed has ${n} characters; a number of at most ${LONGEST} is read.` };
  }
  const text = typed
      .trim()
      .replace(/−/g, "-")
      .replace(/\s*\/\s*/, "/"),
    fraction = FRACTION.exec(text);
  const value =
    fraction && +fraction[2] ? Number(fraction[1]) / Number(fraction[2]) : PLAIN_NUMBER.test(text) ? +text : NaN;
  if (Number.isNaN(value))
    return { error: `“${[...typed.trim()].slice(0, 20).join("")}” is not a number. Write it as 2, −0.5 or 1/3.` };
  if (Math.abs(value) > limit)
    return {
      error: `${typed.trim().slice(0, 20)} is outside −${limit} … ${limit}, the weights that this example takes.`,
    };
  return { value, text };
}

/** The field for one weight. */
export function editor(view, cell) {
  const { provenance } = view,
    key = cell.join(":"),
    note = el("p", { id: "aw-note", role: "status" });
  const typed = view.drafts.get(key) ?? view.edits.get(key)?.replace("-", "−") ?? shownCell(provenance, ...cell);
  const input = el("input", {
    type: "text",
    inputmode: "text",
    autocomplete: "off",
    "aria-describedby": "aw-note",
  });
  input.value = typed;
  input.addEventListener("input", () => view.drafts.set(key, input.value));
  input.addEventListener("change", () => commit(view, key, input, note));
  input.addEventListener("keydown", (e) => {
    if (e.key === "Enter") commit(view, key, input, note);
    e.stopPropagation();
  });
  if (view.drafts.has(key)) judge(view, key, input, note);
  const back = view.edits.has(key)
    ? el("button", { type: "button", class: "av-button", onclick: () => restore(view, key) }, "Back to the example's")
    : null;
  return el(
    "div",
    { class: "aw-edit" },
    el("label", {}, el("span", {}, symbolText(cellName(provenance, cell))), input),
    back,
    note,
  );
}

/** Says what is wrong with a field; true if it is a weight. */
function judge(view, key, input, note) {
  const { provenance } = view,
    found = readWeight(input.value, provenance.limit);
  input.setAttribute("aria-invalid", String(Boolean(found.error)));
  note.classList.toggle("bad", Boolean(found.error));
  note.textContent = found.error
    ? `${found.error} ${symbolName(provenance, key)} stays ${shownCell(provenance, ...parseCell(key))} until then.`
    : "";
  return found.error ? null : found;
}

function commit(view, key, input, note) {
  if (!view.drafts.has(key)) return;
  const found = judge(view, key, input, note);
  if (!found) return;
  view.drafts.delete(key);
  view.edits.set(key, found.text);
  view.send(true);
}

function restore(view, key) {
  view.drafts.delete(key);
  view.edits.delete(key);
  view.send(true);
}

/** How many weights were changed, and the way back. */
export function drawFoot(view) {
  const { provenance } = view,
    foot = view.node.foot;
  const n = view.edits.size,
    undo = el(
      "button",
      {
        type: "button",
        class: "av-link",
        onclick: () => {
          view.edits.clear();
          view.drafts.clear();
          view.send(true);
        },
      },
      "Undo all",
    );
  foot.replaceChildren(
    el(
      "span",
      {},
      n
        ? `${n} weight${n > 1 ? "s" : ""} changed`
        : `Choose any number to trace it.${provenance.editable ? " Choose a weight to change it." : ""}`,
    ),
    ...(n ? [undo] : []),
  );
}

/** The edits as by_hand.read_edits takes them. */
export function editText(edits) {
  return [...edits].map(([key, text]) => `${key.replaceAll(":", ".")}:${text}`).join(",");
}

const symbolName = (provenance, key) => {
  const [name, r, c] = key.split(":");
  return cellName(provenance, [name, +r, +c]);
};
