/* controls.js: kinds of controls. Each shows what `get` gives when `sync` is called, and hands what is chosen to
   `set`. */
import { el } from "../core/dom.js";

/** @typedef {{node: HTMLElement, sync: () => void}} Control */

/** A control that writes one field of the state. @param {import("./store.js").Store} store */
export const fieldOf = (store, name) => ({
  get: () => store.state[name],
  set: (value) => store.change({ [name]: value }),
});

/** A control under its name. @param {string} name @param {(Node | string)[]} children */
export const field = (name, ...children) => el("div", { class: "av-field" }, el("span", {}, name), ...children);

/** A group of which one is chosen: [value, text, title]. Arrow keys move the choice. @returns {Control} */
export function segment(label, options, { get, set }) {
  const buttons = options.map(([value, text, title]) =>
    el("button", { type: "button", role: "radio", title, onclick: () => set(value) }, text),
  );
  const onkeydown = (e) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
    if (!step) return;
    const i = options.findIndex(([value]) => value === get());
    const next = (i + step + options.length) % options.length;
    set(options[next][0]);
    buttons[next].focus();
    e.preventDefault();
    e.stopPropagation();
  };
  const node = el("div", { class: "av-seg", role: "radiogroup", "aria-label": label, onkeydown }, buttons);
  const sync = () => {
    const now = get();
    const at = options.findIndex(([value]) => value === now);
    buttons.forEach((button, i) => {
      button.setAttribute("aria-checked", String(i === Math.max(0, at)));
      button.tabIndex = i === Math.max(0, at) ? 0 : -1;
    });
  };
  return { node, sync };
}

/** A switch. @returns {Control} */
export function toggle(text, { get, set }) {
  const input = el("input", { type: "checkbox", role: "switch", onchange: () => set(input.checked) });
  const node = el("label", { class: "av-switch" }, input, el("i"), el("span", {}, text));
  return { node, sync: () => void (input.checked = get()) };
}

/**
 * A slider with its value beside its name. `mark` is a value that double click goes back to, `ends` three words below
 * it.
 *
 * @param {object} options
 * @param {(value: number, held: boolean) => void} options.set `held`: in the hand, where values may snap to the mark;
 *   arrow keys could not leave it
 * @returns {Control}
 */
export function slider(text, { min, max, step, mark = null, ends = null, show, get, set }) {
  let held = false;
  const output = el("output");
  const marked = mark != null;
  const input = el("input", {
    type: "range",
    min,
    max,
    step,
    "aria-label": text,
    oninput: () => set(Number(input.value), held),
    ondblclick: () => marked && set(mark, false),
    onpointerdown: () => (held = true),
    onpointerup: () => (held = false),
    onpointercancel: () => (held = false),
  });
  const track = el("div", { class: marked ? "av-slide mark" : "av-slide" }, input, marked && el("i"));
  const words = ends?.map((end, i) => el("span", { class: i === 1 ? "mid" : null }, end));
  const names = words && el("div", { class: "av-ends", "aria-hidden": "true" }, words);
  const node = el("div", { class: "av-field" }, el("span", {}, text), output, track, names);
  const place = (v) => ((v - min) / (max - min)) * 100;
  const sync = () => {
    const from = place(mark ?? min);
    const to = Math.max(0, Math.min(100, place(get())));
    input.value = get();
    input.style.setProperty("--a", Math.min(from, to) + "%");
    input.style.setProperty("--b", Math.max(from, to) + "%");
    output.textContent = show();
    input.setAttribute("aria-valuetext", show());
  };
  return { node, sync };
}

/** A list of which one is chosen: [value, text]. @returns {Control} */
export function list(label, options, { get, set }) {
  const items = options.map(([value, text]) => el("option", { value }, text));
  const node = el("select", { "aria-label": label, onchange: () => set(node.value) }, items);
  return { node, sync: () => void (node.value = String(get())) };
}

const MOST_STEPS = 999;

/** A whole number with a button on either side. @returns {Control} */
export function stepper(label, unit, { get, set }) {
  const output = el("output", {}, "");
  const button = (name, sign, by) => {
    const onclick = () => set(Math.max(0, Math.min(MOST_STEPS, get() + by)));
    return el("button", { type: "button", "aria-label": name, onclick }, sign);
  };
  const attributes = { class: "av-step", role: "group", "aria-label": label };
  const node = el("span", attributes, "±", button("narrower", "−", -1), output, button("wider", "+", 1), unit);
  return { node, sync: () => void (output.textContent = get()) };
}
