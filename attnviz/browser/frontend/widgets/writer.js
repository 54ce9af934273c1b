/* writer.js: a text that grows token by token, as a Streamlit component (components v2). Chips are the tokens, tinted
   by the attention of the token that has to say the one in focus; below stand the tokens that could be said there,
   each a click. The data is {tokens: [{label, special, continues, p}], start: tokens of the prompt, focus: which token
   is asked for (their number for the next one), tints: weights on the tokens before it, candidates: [{id, label, p,
   here}], heading, ended}. */
import { component } from "../core/bridge.js";
import { el } from "../core/dom.js";
import { percent, shortened } from "../core/format.js";
import { readTheme, lutIndex, onColour, watchTheme } from "../core/theme.js";

/** One Tab stop for a row of buttons; arrows move inside it. */
function roveButtons(box, back, forth) {
  box.addEventListener("keydown", (e) => {
    const step = e.key === forth ? 1 : e.key === back ? -1 : e.key === "Home" ? -1e9 : e.key === "End" ? 1e9 : 0;
    if (!step) return;
    const all = [...box.querySelectorAll("button:not(:disabled)")],
      now = all.indexOf(e.target);
    const next = all[Math.max(0, Math.min(all.length - 1, now + step))];
    e.preventDefault();
    for (const b of all) b.tabIndex = b === next ? 0 : -1;
    next?.focus();
  });
}

function writerChip(writer, token, i, data, theme) {
  const said = i >= data.start,
    tint = i < data.tints.length && data.tints[i] >= 0.01 ? lutIndex(data.tints[i], "sqrt") : 0;
  const chip = el("button", {
    type: "button",
    class: "av-chip",
    "data-i": i,
    onclick: () => writer.tell.trigger("write", { act: "focus", at: i }),
  });
  chip.disabled = i === 0;
  chip.classList.toggle("sp", token.special);
  chip.classList.toggle("said", said);
  chip.classList.toggle("q", data.tints.length > 0 && i === data.focus - 1); // without tints nobody looks
  chip.classList.toggle("here", i === data.focus);
  if (tint) {
    chip.style.setProperty("--c", theme.lut.css[tint]);
    chip.style.setProperty("--ct", onColour(theme.lut, tint));
  }
  chip.append(el("bdi", {}, shortened(token.label) || " "));
  const words = [token.label, said ? `said, ${percent(token.p)}` : "given"];
  if (i < data.tints.length) words.push(`gets ${percent(data.tints[i])} of the attention`);
  if (i === data.focus) words.push("asked for");
  chip.setAttribute("aria-label", words.join(", "));
  chip.title = words.slice(1).join(", ");
  chip.tabIndex = -1;
  return chip;
}

function writerCandidate(writer, one, data) {
  const bar = el("i", { style: `width:${Math.max(0.2, (100 * one.p) / writer.top)}%` });
  const button = el(
    "button",
    {
      type: "button",
      class: one.here ? "here" : "",
      "aria-label": `${one.label}, ${percent(one.p)}${one.here ? ", stands here" : ""}`,
      onclick: () => writer.tell.trigger("write", { act: "take", at: data.focus, id: one.id }),
    },
    el("span", { class: "name" }, el("bdi", {}, shortened(one.label))),
    el("span", { class: "bar" }, bar),
    el("span", { class: "p" }, percent(one.p)),
  );
  button.disabled = data.focus < data.start; // what the reader gave is changed where it was given
  button.tabIndex = -1;
  return el("li", {}, button);
}

/** Brings a chip into view inside its box; the page stays where the reader is. */
function scrollChips(box, chip) {
  const outer = box.getBoundingClientRect(),
    { top, bottom } = chip.getBoundingClientRect();
  if (top < outer.top) box.scrollTop -= outer.top - top;
  else if (bottom > outer.bottom) box.scrollTop += bottom - outer.bottom;
}

function paintWriter(writer, data) {
  const { root, chips, list } = writer,
    active = root.getRootNode().activeElement,
    theme = readTheme(root);
  const inChips = chips.contains(active),
    inList = list.contains(active);
  writer.top = Math.max(...data.candidates.map((one) => one.p), 1e-9);
  const nodes = [];
  let word = null;
  data.tokens.forEach((token, i) => {
    if (!word || !token.continues) nodes.push((word = el("span", { class: "av-word" })));
    word.append(writerChip(writer, token, i, data, theme));
  });
  if (!data.ended) {
    const next = writerChip(writer, { label: "?", special: false, p: 0 }, data.tokens.length, data, theme);
    next.classList.add("next");
    next.setAttribute("aria-label", "the next token");
    next.title = "the next token";
    nodes.push(el("span", { class: "av-word" }, next));
  }
  chips.replaceChildren(...nodes);
  chips.classList.toggle("av-dense", data.tokens.length > 40);
  writer.heading.textContent = data.heading;
  list.replaceChildren(...data.candidates.map((one) => writerCandidate(writer, one, data)));
  const chip = chips.querySelector(".here") ?? chips.querySelector("button:not(:disabled)"),
    first = list.querySelector("button:not(:disabled)");
  if (chip) chip.tabIndex = 0;
  if (first) first.tabIndex = 0;
  if (inChips) chip?.focus({ preventScroll: true });
  if (inList) (first ?? chip)?.focus({ preventScroll: true });
  if (chip) scrollChips(chips, chip);
}

/** Paints what is new. */
function update(writer, data) {
  const text = JSON.stringify(data);
  if (writer.text !== text) paintWriter(writer, data);
  Object.assign(writer, { text, data });
}

export default component(".av-writer", {
  mount(root, data, tell) {
    const writer = {
      root,
      tell,
      data,
      chips: el("div", {
        class: "av-chips",
        role: "toolbar",
        "aria-label": "The text, token by token. Arrow keys move, Enter asks for another token there.",
      }),
      heading: el("h2"),
      list: el("ol", { "aria-label": "Tokens that could be said there, the likeliest first. Enter says one." }),
    };
    root.replaceChildren(writer.chips, el("section", {}, writer.heading, writer.list));
    roveButtons(writer.chips, "ArrowLeft", "ArrowRight");
    roveButtons(writer.list, "ArrowUp", "ArrowDown");
    update(writer, data);
    writer.unwatch = watchTheme(root, () => paintWriter(writer, writer.data));
    return writer;
  },
  update,
  destroy: ({ unwatch }) => unwatch(),
});
