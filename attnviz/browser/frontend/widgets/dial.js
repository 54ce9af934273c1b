/* dial.js: a slider as a Streamlit component (components v2) that reports while it moves; Streamlit's own waits for
   the release. The data is {label, texts: one per step, index, marks: [[index, text], …], number: of the last report
   that the page has seen, play: whether it offers to move by itself, typed: whether its steps are numbers, of which one
   may be typed}. */
import { component } from "../core/bridge.js";
import { el } from "../core/dom.js";
import { Reports } from "../core/reports.js";

const DIAL_PAUSE = 40; // ms between two reports of one drag: the page cannot paint faster
const DIAL_PLAY = 600; // ms between two steps of one that moves by itself: time to look

/** Where step i of n stands, in % of the way. */
export const dialPosition = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0);

/** Puts the marks under the track; the outer ones stay inside it. */
function paintDialMarks(dial, { marks, texts }) {
  const list = dial.root.querySelector(".av-dial-marks"),
    text = JSON.stringify([marks, texts.length]);
  if (dial.marks === text) return;
  dial.marks = text;
  list.replaceChildren(
    ...marks.map(([index, mark]) => {
      const at = dialPosition(index, texts.length);
      return el("span", { style: `left:${at}%`, class: at <= 10 ? "first" : at >= 90 ? "last" : "" }, mark);
    }),
  );
  list.hidden = !marks.length;
}

/** Writes the value beside the label, and for screen readers. */
function paintDial(dial, index) {
  const { texts } = dial.data,
    text = texts[index] ?? "";
  dial.input.setAttribute("aria-valuetext", text);
  dial.output.textContent = text;
  if (dial.root.getRootNode().activeElement !== dial.typed) dial.typed.value = text;
}

/** The step whose number is nearest to a typed one, in which a comma may stand for the point; -1 if it is none. */
export function nearestStep(texts, typed) {
  const text = typed.trim(),
    thousands = texts.some((step) => step.includes(",")),
    value = text ? Number(thousands ? text.replaceAll(",", "") : text.replace(",", ".")) : NaN;
  if (!Number.isFinite(value)) return -1;
  const away = texts.map((step) => Math.abs(Number(step.replaceAll(",", "")) - value));
  return away.indexOf(Math.min(...away));
}

/** Goes to the step that was typed, and shows which one that is. */
function typeDial(dial) {
  const index = nearestStep(dial.data.texts, dial.typed.value);
  if (index >= 0 && index !== Number(dial.input.value)) {
    playDial(dial, false);
    moveDial(dial, index);
  }
  dial.typed.value = dial.data.texts[Number(dial.input.value)] ?? "";
}

/** Moves the thumb, and says so. */
function moveDial(dial, index) {
  dial.input.value = index;
  paintDial(dial, index);
  dial.reports.now();
}

/** Begins to move by itself, from the start if the thumb stands at the end; or stops. */
function playDial(dial, playing) {
  clearInterval(dial.playing);
  dial.playing = 0;
  dial.button.textContent = playing ? "Pause" : "Play";
  if (!playing) return;
  const last = dial.data.texts.length - 1;
  if (Number(dial.input.value) >= last) moveDial(dial, 0);
  dial.playing = setInterval(() => {
    if (dial.data.number < dial.reports.number) return; // the picture of the last step is not there yet
    const next = Number(dial.input.value) + 1;
    if (next <= last) moveDial(dial, next);
    if (next >= last) playDial(dial, false);
  }, DIAL_PLAY);
}

/** Takes the page's data; the thumb stays where a hand has it already. */
function update(dial, data) {
  const answered = dial.reports.answered(data.number);
  dial.data = data;
  dial.root.querySelector("label").textContent = data.label;
  dial.typed.setAttribute("aria-label", `${data.label}, typed`);
  [dial.output.hidden, dial.typed.hidden] = [Boolean(data.typed), !data.typed];
  dial.input.max = data.texts.length - 1;
  paintDialMarks(dial, data);
  if (answered) dial.input.value = data.index; // else it answers an earlier report of a drag
  paintDial(dial, Number(dial.input.value));
}

export default component(".av-dial", {
  mount(root, data, tell) {
    const input = /** @type {HTMLInputElement} */ (root.querySelector('input[type="range"]')),
      button = root.querySelector("button"),
      output = root.querySelector("output"),
      typed = el("input", { type: "text", inputmode: "decimal", class: "av-dial-typed", hidden: true });
    output.after(typed);
    const send = (number) => tell.state("moved", { index: Number(input.value), number });
    const dial = {
      root,
      input,
      output,
      typed,
      button,
      playing: 0,
      reports: new Reports(send, DIAL_PAUSE, data.number),
    };
    input.addEventListener("input", () => moveDial(dial, Number(input.value)));
    for (const hand of ["pointerdown", "keydown"]) input.addEventListener(hand, () => playDial(dial, false));
    button.addEventListener("click", () => playDial(dial, !dial.playing));
    typed.addEventListener("change", () => typeDial(dial));
    typed.addEventListener("keydown", (event) => event.key === "Enter" && typeDial(dial));
    button.hidden = !data.play;
    button.textContent = "Play";
    update(dial, data);
    return dial;
  },
  update,
  destroy(dial) {
    dial.reports.stop();
    clearInterval(dial.playing);
  },
});
