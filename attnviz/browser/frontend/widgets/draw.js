/* draw.js: the square to draw in as a Streamlit component (components v2). The data is {drawing: a character from 0 to
   g per cell, number: of the last report that the page has seen, page: examples shown at once, examples: [[name,
   drawing], …]}. */
import { component } from "../core/bridge.js";
import { Reports } from "../core/reports.js";
import { DrawPad } from "./draw-pad.js";
import { writeInk } from "./ink.js";

const DRAW_PAUSE = 80; // ms between two reports of one stroke

export default component(".ad-root", {
  mount(root, data, tell) {
    const pad = new DrawPad(root, () => reports.now()),
      send = (number) => tell.state("drawn", { drawing: writeInk(pad.ink), number }),
      reports = new Reports(send, DRAW_PAUSE, data.number);
    pad.take(data, true);
    return { pad, reports };
  },
  update({ pad, reports }, data) {
    const answered = reports.answered(data.number) && !pad.stroke; // else the pen is further already
    pad.take(answered ? data : { ...data, drawing: writeInk(pad.ink) }, false);
  },
  destroy({ pad, reports }) {
    reports.stop();
    pad.unwatch();
  },
});
