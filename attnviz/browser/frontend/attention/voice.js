/* voice.js: tips beside the pointer, and what is read aloud. Methods of the view. */
import { number } from "../core/format.js";
import { spoken } from "./say.js";

export const voiceMethods = {
  showTip(node, x, y, content) {
    const { tip } = this.node,
      r = node.getBoundingClientRect(),
      o = this.root.getBoundingClientRect(),
      zoom = this.root.offsetWidth / o.width || 1;
    tip.replaceChildren(...[content].flat());
    tip.hidden = false;
    const px = (r.left - o.left) * zoom + x,
      py = (r.top - o.top) * zoom + y,
      w = tip.offsetWidth,
      h = tip.offsetHeight;
    tip.style.transform = `translate(${Math.round(Math.max(0, Math.min(this.root.clientWidth - w, px - w / 2)))}px,${Math.round(py - h - 10 < 0 ? py + 30 : py - h - 10)}px)`;
  },

  hideTip() {
    this.node.tip.hidden = true;
  },

  /** Reads the cell in focus aloud. */
  speak() {
    this.scene.focus = this.focus();
    const k = this.shown(),
      text = spoken(this.scene, this.headLabel(k));
    if (this.node.live.textContent !== text) this.node.live.textContent = text;
  },

  speakSoon() {
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => this.speak(), 120);
  },

  speakBar() {
    if (this.parts && this.bar !== null)
      this.node.live.textContent = `dimension ${this.bar}: product ${number(this.parts[this.bar])}`;
  },
};
