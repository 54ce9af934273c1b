/* brush-bar.js: "Undo" and "Clear", shown while a mask is painted. */
import { el } from "../core/dom.js";

/** @param {import("./view.js").AttentionView} view @returns {import("./controls.js").Control} */
export function brushBar({ store, screen, brush }) {
  const { root, node } = screen;
  const undo = el("button", { type: "button", class: "av-button", onclick: () => brush.undo() }, "Undo");
  const clear = el("button", { type: "button", class: "av-button", onclick: () => brush.clear() }, "Clear");
  const attributes = { class: "av-brush", role: "group", "aria-label": "Painted mask" };
  const bar = el("span", { ...attributes, onkeydown: (e) => brush.undoKey(e) }, undo, clear);
  const plain = node.matrixOver.getAttribute("aria-label");
  const idle = (button, on) => button.setAttribute("aria-disabled", String(on)); // `disabled` would drop the focus
  const sync = () => {
    const on = brush.painting();
    bar.hidden = !on;
    root.classList.toggle("av-painting", on);
    const label = on ? `${plain} Space blocks or allows the cell, Z undoes it.` : plain;
    node.matrixOver.setAttribute("aria-label", label);
    idle(undo, !on || !brush.history().length);
    idle(clear, !store.state.painted.length);
  };
  return { node: bar, sync };
}
