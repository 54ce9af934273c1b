/* edit.js: changing a weight of the example. What cannot be read stays in its field, with a sentence. Methods of the view. */
import { el } from "../core/dom.js";
import { cellName, symbolText } from "./panel.js";
import { shownCell } from "./read.js";

const PLAIN_NUMBER = /^[+-]?(\d{1,9}(\.\d{0,9})?|\.\d{1,9})(e[+-]?\d{1,3})?$/i,
  FRACTION = /^([+-]?\d{1,6})\/(\d{1,6})$/;

/** What a reader typed as {value, text} or {error}: the same numbers as by_hand.number takes. */
export function readWeight(typed, limit) {
  const text = typed
      .trim()
      .replace(/−/g, "-")
      .replace(/\s*\/\s*/, "/"),
    fraction = FRACTION.exec(text);
  const value = fraction && +fraction[2] ? fraction[1] / fraction[2] : PLAIN_NUMBER.test(text) ? +text : NaN;
  if (Number.isNaN(value))
    return { error: `“${[...typed.trim()].slice(0, 20).join("")}” is not a number. Write it as 2, −0.5 or 1/3.` };
  if (Math.abs(value) > limit)
    return {
      error: `${typed.trim().slice(0, 20)} is outside −${limit} … ${limit}, the weights that this example takes.`,
    };
  return { value, text };
}

export const editMethods = {
  /** The field for one weight. */
  editor(cell) {
    const { walk } = this,
      key = cell.join(":"),
      note = el("p", { id: "aw-note", role: "status" });
    const typed = this.drafts.get(key) ?? this.edits.get(key)?.replace("-", "−") ?? shownCell(walk, ...cell);
    const input = el("input", {
      type: "text",
      inputmode: "text",
      autocomplete: "off",
      maxlength: 40,
      "aria-describedby": "aw-note",
    });
    input.value = typed;
    input.addEventListener("input", () => this.drafts.set(key, input.value));
    input.addEventListener("change", () => this.commit(key, input, note));
    input.addEventListener("keydown", (e) => {
      if (e.key === "Enter") this.commit(key, input, note);
      e.stopPropagation();
    });
    if (this.drafts.has(key)) this.judge(key, input, note);
    const back = this.edits.has(key)
      ? el("button", { type: "button", class: "av-button", onclick: () => this.restore(key) }, "Back to the example's")
      : null;
    return el(
      "div",
      { class: "aw-edit" },
      el("label", {}, el("span", {}, symbolText(cellName(walk, cell))), input),
      back,
      note,
    );
  },

  /** Says what is wrong with a field; true if it is a weight. */
  judge(key, input, note) {
    const found = readWeight(input.value, this.walk.limit);
    input.setAttribute("aria-invalid", String(Boolean(found.error)));
    note.classList.toggle("bad", Boolean(found.error));
    note.textContent = found.error
      ? `${found.error} ${symbolName(this.walk, key)} stays ${shownCell(this.walk, ...this.parse(key))} until then.`
      : "";
    return found.error ? null : found;
  },

  commit(key, input, note) {
    if (!this.drafts.has(key)) return;
    const found = this.judge(key, input, note);
    if (!found) return;
    this.drafts.delete(key);
    this.edits.set(key, found.text);
    this.send(true);
  },

  restore(key) {
    this.drafts.delete(key);
    this.edits.delete(key);
    this.send(true);
  },

  /** How many weights were changed, and the way back. */
  drawFoot() {
    const { walk } = this,
      foot = this.node.foot;
    const n = this.edits.size,
      undo = el(
        "button",
        {
          type: "button",
          class: "av-link",
          onclick: () => {
            this.edits.clear();
            this.drafts.clear();
            this.send(true);
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
          : `Click any number to trace it.${walk.editable ? " Click a weight to change it." : ""}`,
      ),
      ...(n ? [undo] : []),
    );
  },

  /** The edits as by_hand.read_edits takes them. */
  editText() {
    return [...this.edits].map(([key, text]) => `${key.replaceAll(":", ".")}:${text}`).join(",");
  },
};

const symbolName = (walk, key) => {
  const [name, r, c] = key.split(":");
  return cellName(walk, [name, +r, +c]);
};
