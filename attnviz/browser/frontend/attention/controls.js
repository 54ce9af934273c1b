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
 * @returns {Control & {input: HTMLInputElement, output: HTMLOutputElement}}
 */
export function slider(text, { min, max, step, mark = null, ends = null, show, get, set }) {
  const output = el("output");
  const marked = mark != null;
  const input = el("input", {
    type: "range",
    min,
    max,
    step,
    "aria-label": text,
    oninput: () => set(Number(input.value)),
    ondblclick: () => marked && set(mark),
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
  return { node, sync, input, output };
}

/** The number that a text writes, a comma for its point allowed; NaN if it writes none. @param {string} text */
const readNumber = (text) => (text.trim() ? Number(text.trim().replace(",", ".")) : NaN);

/**
 * A slider that steps through a series of numbers, and a field beside its name for any other within the limits.
 *
 * @param {object} options
 * @param {number[]} options.series rising; what lies between two of them stands between them
 * @param {number[]} options.limits of what may be typed
 * @param {number} options.mark a number of the series that double click goes back to
 * @param {string[]} options.ends three words below it
 * @returns {Control}
 */
export function seriesSlider(text, { series, limits, mark, ends, get, set }) {
  const last = series.length - 1;
  const show = () => String(Number(get().toPrecision(6)));
  const part = slider(text, {
    min: 0,
    max: last,
    step: "any", // of the pointer; it comes to rest on a number of the series
    mark: series.indexOf(mark),
    ends,
    show,
    get: () => placeIn(series, get()),
    set: (x) => set(series[Math.round(x)]),
  });
  const keys = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5 };
  part.input.addEventListener("keydown", (e) => {
    const step = keys[e.key];
    if (!step) return;
    e.preventDefault();
    const from = placeIn(series, get());
    const next = step > 0 ? Math.floor(from + 1e-9) + step : Math.ceil(from - 1e-9) + step;
    set(series[Math.max(0, Math.min(last, next))]);
  });
  const onchange = () => {
    const typed = readNumber(typing.value);
    if (Number.isFinite(typed)) set(Math.max(limits[0], Math.min(limits[1], typed)));
    typing.value = show();
  };
  const typing = el("input", { type: "text", inputmode: "decimal", class: "av-typed", "aria-label": `${text}, typed` });
  typing.addEventListener("change", onchange);
  typing.addEventListener("keydown", (e) => e.key === "Enter" && onchange());
  part.output.replaceWith(typing);
  const sync = () => {
    part.sync();
    const page = /** @type {Document | ShadowRoot} */ (typing.getRootNode());
    if (page.activeElement !== typing) typing.value = show();
  };
  return { node: part.node, sync };
}

/** Where a number stands in a rising series, in steps from its first. */
function placeIn(series, x) {
  const after = series.findIndex((one) => one >= x);
  if (after === 0) return 0;
  if (after < 0) return series.length - 1;
  const [low, high] = [series[after - 1], series[after]];
  return after - 1 + Math.log(x / low) / Math.log(high / low);
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
