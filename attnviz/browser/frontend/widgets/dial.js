/* dial.js: a slider as a Streamlit component (components v2) that reports while it moves; Streamlit's own waits for
   the release. The data is {label, texts: one per step, index, marks: [[index, text], …], number: of the last report
   that the page has seen, play: whether it offers to move by itself, typed: whether its steps are numbers, of which one
   may be typed, places: where each step stands along the track, as a rising number; null for even distances}. */
import { component } from "../core/bridge.js";
import { el } from "../core/dom.js";
import { Reports } from "../core/reports.js";

const DIAL_PAUSE = 40; // ms between two reports of one drag: the page cannot paint faster
const DIAL_PLAY = 600; // ms between two steps of one that moves by itself: time to look

/** Where each step stands along the track. @param {{texts: string[], places: number[] | null}} data */
const placesOf = ({ texts, places }) => places ?? texts.map((_, i) => i);

/** Where step i stands, in % of the way. @param {number} i @param {number[]} places */
export const dialPosition = (i, places) => {
  const [first, last] = [places[0], places[places.length - 1]];
  return last > first ? (100 * (places[i] - first)) / (last - first) : 0;
};

/** The step that is nearest to a place on the track. @param {number} place @param {number[]} places */
export const nearestPlace = (place, places) =>
  places.reduce((best, at, i) => (Math.abs(at - place) < Math.abs(places[best] - place) ? i : best), 0);

/** Puts the marks under the track; the outer ones stay inside it. */
function paintDialMarks(dial, data) {
  const { marks } = data,
    places = placesOf(data);
  const list = dial.root.querySelector(".av-dial-marks"),
    text = JSON.stringify([marks, places]);
  if (dial.marks === text) return;
  dial.marks = text;
  list.replaceChildren(
    ...marks.map(([index, mark]) => {
      const at = dialPosition(index, places);
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
  if (index >= 0 && index !== dial.index) {
    playDial(dial, false);
    moveDial(dial, index);
  }
  dial.typed.value = dial.data.texts[dial.index] ?? "";
}

/** Moves the thumb. */
function setDial(dial, index) {
  dial.index = index;
  dial.input.value = placesOf(dial.data)[index];
  paintDial(dial, index);
}

/** Moves the thumb, and says so. */
function moveDial(dial, index) {
  setDial(dial, index);
  dial.reports.now();
}

const ARROWS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };

/** An arrow goes to the next step, however far it is. */
function arrowDial(dial, event) {
  const by = ARROWS[event.key],
    next = dial.index + by;
  if (!by) return;
  event.preventDefault();
  if (next >= 0 && next < dial.data.texts.length) moveDial(dial, next);
}

/** Begins to move by itself, from the start if the thumb stands at the end; or stops. */
function playDial(dial, playing) {
  clearInterval(dial.playing);
  dial.playing = 0;
  dial.button.textContent = playing ? "Pause" : "Play";
  if (!playing) return;
  const last = dial.data.texts.length - 1;
  if (dial.index >= last) moveDial(dial, 0);
  dial.playing = setInterval(() => {
    if (dial.data.number < dial.reports.number) return; // the picture of the last step is not there yet
    const next = dial.index + 1;
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
  const places = placesOf(data);
  Object.assign(dial.input, { min: places[0], max: places[places.length - 1] });
  paintDialMarks(dial, data);
  if (answered)
    setDial(dial, data.index); // else it answers an earlier report of a drag
  else paintDial(dial, dial.index);
}

export default component(".av-dial", {
  mount(root, data, tell) {
    const input = /** @type {HTMLInputElement} */ (root.querySelector('input[type="range"]')),
      button = root.querySelector("button"),
      output = root.querySelector("output"),
      typed = el("input", { type: "text", inputmode: "decimal", class: "av-dial-typed", hidden: true });
    output.after(typed);
    const send = (number) => tell.state("moved", { index: dial.index, number });
    const dial = {
      root,
      index: data.index,
      input,
      output,
      typed,
      button,
      playing: 0,
      reports: new Reports(send, DIAL_PAUSE, data.number),
    };
    input.addEventListener("input", () => moveDial(dial, nearestPlace(Number(input.value), placesOf(dial.data))));
    input.addEventListener("keydown", (event) => arrowDial(dial, event));
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
