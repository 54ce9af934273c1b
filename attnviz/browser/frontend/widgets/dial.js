/* dial.js: a slider as a Streamlit component (components v2) that reports while it moves; Streamlit's own waits for the release.
   The data is {label, texts: one per step, index, marks: [[index, text], …], number: of the last report that the page has seen,
   play: whether it offers to move by itself}. */
import { whenGone } from "../core/kit.js";

const DIAL_PAUSE = 40; // ms between two reports of one drag: the page cannot paint faster
const DIAL_PLAY = 600; // ms between two steps of one that moves by itself: time to look
const mountedDials = new WeakMap();

/** Where step i of n stands, in % of the way. */
export const dialPosition = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0);

/** Puts the marks under the track; the outer ones stay inside it. */
function paintDialMarks(dial, { marks, texts }) {
  const list = dial.root.querySelector(".av-dial-marks"),
    said = JSON.stringify([marks, texts.length]);
  if (dial.marks === said) return;
  dial.marks = said;
  list.replaceChildren(
    ...marks.map(([index, text]) => {
      const mark = document.createElement("span"),
        at = dialPosition(index, texts.length);
      mark.textContent = text;
      mark.style.left = `${at}%`;
      mark.className = at <= 10 ? "first" : at >= 90 ? "last" : "";
      return mark;
    }),
  );
  list.hidden = !marks.length;
}

/** Writes the value beside the label, and for screen readers. */
function paintDial(dial, index) {
  const { texts } = dial.data,
    text = texts[index] ?? "";
  dial.input.setAttribute("aria-valuetext", text);
  dial.root.querySelector("output").textContent = text;
}

/** Reports the thumb's step: at once, then at most every 40 ms, and always the last one. */
function reportDial(dial) {
  if (dial.timer) return void (dial.waiting = true);
  dial.waiting = false;
  dial.number += 1;
  dial.report("moved", { index: Number(dial.input.value), number: dial.number });
  dial.timer = setTimeout(() => {
    dial.timer = 0;
    if (dial.waiting) reportDial(dial);
  }, DIAL_PAUSE);
}

/** Moves the thumb, and says so. */
function moveDial(dial, index) {
  dial.input.value = index;
  paintDial(dial, index);
  reportDial(dial);
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
    if (dial.data.number < dial.number) return; // the picture of the last step is not there yet
    const next = Number(dial.input.value) + 1;
    if (next <= last) moveDial(dial, next);
    if (next >= last) playDial(dial, false);
  }, DIAL_PLAY);
}

function mountDial(parent) {
  const root = parent.querySelector(".av-dial");
  const dial = {
    root,
    input: root.querySelector("input"),
    button: root.querySelector("button"),
    number: 0,
    timer: 0,
    playing: 0,
  };
  dial.input.addEventListener("input", () => moveDial(dial, Number(dial.input.value)));
  for (const hand of ["pointerdown", "keydown"]) dial.input.addEventListener(hand, () => playDial(dial, false));
  dial.button.addEventListener("click", () => playDial(dial, !dial.playing));
  return dial;
}

export default function dialComponent({ data, parentElement, setStateValue }) {
  let dial = mountedDials.get(parentElement);
  const fresh = !dial;
  if (fresh) {
    mountedDials.set(parentElement, (dial = mountDial(parentElement)));
    dial.number = data.number;
    dial.button.hidden = !data.play;
    dial.button.textContent = "Play";
  }
  dial.data = data;
  dial.report = setStateValue;
  dial.root.querySelector("label").textContent = data.label;
  dial.input.max = data.texts.length - 1;
  paintDialMarks(dial, data);
  // An answer to an earlier report comes late in a drag: the thumb is further already.
  if (fresh || (data.number >= dial.number && !dial.waiting)) dial.input.value = data.index;
  dial.number = Math.max(dial.number, data.number);
  paintDial(dial, Number(dial.input.value));
  return whenGone(parentElement, () => {
    clearTimeout(dial.timer);
    clearInterval(dial.playing);
  });
}
