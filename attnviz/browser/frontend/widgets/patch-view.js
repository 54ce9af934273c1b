/* patch-view.js: attention laid over a picture, patch by patch. */
import { fitCanvas } from "../core/canvas.js";
import { el } from "../core/dom.js";
import { percent } from "../core/format.js";
import { paintLegend } from "../core/paint-legend.js";
import { PATCH_ROLLOUT, patchName, patchRow, patchSentence, patchStrongest, readPatches } from "./patch-rows.js";
import { lutIndex, onColour, readTheme, watchTheme } from "../core/theme.js";
import { buildPatches, layPatches, showAnswer } from "./patch-page.js";
import { paintOverlay, paintPatchGrid, paintPatchNumbers, washedPicture } from "./patch-picture.js";

const PATCH_LARGEST = 420, // px of the picture's side
  PATCH_TALLEST = 420, // px of all layers, one under the other
  PATCH_LAYERS = 22, // px of the layers' numbers, beside them
  PATCH_ROLLED = 48; // px of the column of rollouts, at least: its name

/** @typedef {{layer: number, head: number, query: number, off: string}} Look off: heads, "2.0,1.3" */

export class PatchView {
  /**
   * @param {HTMLElement} root
   * @param {(look: Look) => void} onLook called when the reader has chosen
   */
  constructor(root, onLook) {
    this.root = root;
    /** @type {Map<string, HTMLElement>} by "layer.head" */
    this.tiles = new Map();
    /** @type {HTMLElement[]} */
    this.cells = [];
    /** @type {HTMLElement[]} */
    this.chips = [];
    this.shape = "";
    this.cursor = this.side = 0;
    this.ratio = 1;
    /** @type {number | null} the token under the pointer */
    this.key = null;
    /** @type {{layer: number, head: number} | null} the head under the pointer */
    this.hover = null;
    /** @type {HTMLCanvasElement | null} */
    this.base = null;
    this.model = this.look = null;
    this.onLook = onLook;
    root.classList.add("av", "ap");
    this.theme = readTheme(root);
    this.node = buildPatches(this);
    this.resize = new ResizeObserver(() => this.paint());
    this.resize.observe(root);
    this.unwatch = watchTheme(root, (theme) => {
      this.theme = theme;
      this.base = null;
      this.paint();
    });
  }

  tokenOf(e) {
    const cell = e.target.closest?.("[data-token]");
    return cell ? +cell.dataset.token : null;
  }

  // ---- what is shown ------------------------------------------------------------------------------

  /**
   * @param {Uint8Array | null} message as patch-rows.js reads it; null: the one that is here
   * @param {Look | null} look the same
   * @param {object} about
   * @param {string} about.changed what was done to the model, "" for nothing
   * @param {[string, number, number][]} about.answer classes with their probabilities as trained and now
   */
  read(message, look, { changed, answer }) {
    if (message) {
      this.model = readPatches(message);
      this.base = null;
      const { side, special, layers, heads } = this.model,
        shape = [side, special, layers, heads].join();
      if (shape !== this.shape) {
        this.shape = shape;
        this.cursor = 0;
        layPatches(this);
      }
    }
    if (look) this.look = { ...look };
    this.node.changed.textContent = changed || "choose a patch: where does it look?";
    showAnswer(this.node.answer, answer, changed);
    this.paint();
  }

  /** @param {string} alt the picture's text alternative */
  describe(alt) {
    this.node.canvas.setAttribute("aria-label", alt);
  }

  /** The token that looks, of those whose rows are here. */
  query() {
    return this.model.queries.includes(this.look.query) ? this.look.query : this.model.queries[0];
  }

  /** What is on screen: the chosen head, or the one under the pointer. */
  seen() {
    return { ...this.look, ...this.hover, query: this.query() };
  }

  row(layer = this.seen().layer, head = this.seen().head) {
    return patchRow(this.model, layer, head, this.query());
  }

  offHeads() {
    return new Set(this.look.off.split(",").filter(Boolean));
  }

  paint() {
    const width = this.root.clientWidth;
    if (!this.model || !width) return;
    this.ratio = Math.ceil(window.devicePixelRatio || 1);
    this.base ??= washedPicture(this.model, this.theme);
    const { node: n, model, look } = this,
      narrow = width < 560,
      room = narrow ? width : width - Math.min(0.42 * width, 340) - 32;
    this.root.classList.toggle("ap-narrow", narrow);
    this.side = Math.floor(Math.min(PATCH_LARGEST, room) / model.side) * model.side;
    const across = (narrow ? width : Math.min(0.42 * width, 340)) - PATCH_LAYERS,
      wide = Math.min(across / (model.heads + 1), (across - PATCH_ROLLED) / model.heads),
      fitting = Math.min(wide, PATCH_TALLEST / model.layers);
    this.paintTiles(Math.max(13, Math.min(56, Math.floor(fitting) - 4)));
    const off = this.offHeads();
    n.off.hidden = look.head === PATCH_ROLLOUT;
    n.off.textContent = off.has(`${look.layer}.${look.head}`) ? "Switch this head on again" : "Switch this head off";
    n.on.hidden = off.size < 2;
    for (const e of [n.over, n.over.parentNode]) e.style.width = e.style.height = `${this.side}px`;
    this.paintBig();
    this.paintFocus();
  }

  paintTiles(size) {
    const off = this.offHeads(),
      { look } = this;
    this.node.heads.style.setProperty("--tile", `${size}px`);
    for (const [name, cell] of this.tiles) {
      const layer = +cell.dataset.layer,
        head = +cell.dataset.head,
        chosen = layer === look.layer && head === look.head,
        row = this.row(layer, head);
      paintOverlay(fitCanvas(cell.querySelector("canvas"), size, size, this.ratio), this, size, row);
      cell.classList.toggle("off", off.has(name));
      cell.setAttribute("aria-selected", String(chosen));
      cell.tabIndex = chosen ? 0 : -1;
      const best = patchStrongest(row),
        says =
          head === PATCH_ROLLOUT
            ? `rollout to layer ${layer}`
            : `layer ${layer}, head ${head}${off.has(name) ? ", switched off" : ""}`;
      cell.setAttribute("aria-label", `${says}: most, ${percent(row[best])}, to ${patchName(this.model, best)}`);
      cell.title = says;
    }
  }

  paintBig() {
    const { node: n, model, theme, side } = this,
      g = fitCanvas(n.canvas, side, side, this.ratio),
      row = this.row(),
      { layer, head, query } = this.seen(),
      step = side / model.side;
    n.title.textContent = head === PATCH_ROLLOUT ? `Rollout to layer ${layer}` : `Layer ${layer}, head ${head}`;
    paintOverlay(g, this, side, row);
    paintPatchGrid(g, this, side);
    if (step >= 38) paintPatchNumbers(g, this, row, step);
    this.cells.forEach((cell, i) => {
      const token = model.special + i;
      cell.classList.toggle("q", token === query);
      cell.tabIndex = i === this.cursor ? 0 : -1;
      const place = `row ${Math.floor(i / model.side)}, column ${i % model.side}`;
      cell.setAttribute("aria-label", `${place}: ${percent(row[token])}${token === query ? ", looks" : ""}`);
    });
    this.chips.forEach((chip, token) => {
      chip.replaceChildren(model.names[token][0], el("b", {}, percent(row[token])));
      chip.classList.toggle("q", token === query);
      chip.classList.toggle("lock", token === query);
      chip.setAttribute("aria-pressed", String(token === query));
      chip.setAttribute(
        "aria-label",
        `${model.names[token][1]}${token === query ? ", looks" : ""}: gets ${percent(row[token])}`,
      );
      const colour = lutIndex(row[token], "sqrt");
      chip.style.setProperty("--c", token === query ? "" : theme.lut.css[colour]);
      chip.style.setProperty("--ct", token === query ? "" : onColour(theme.lut, colour));
    });
  }

  /** The sentence, the ring around what is pointed at, the legend's mark: what follows the pointer. */
  paintFocus() {
    if (!this.model) return;
    const { node: n, model } = this,
      row = this.row(),
      key = this.key ?? patchStrongest(row),
      look = this.seen();
    const [start, share, end] = patchSentence(model, look, key, row[key]);
    n.say.replaceChildren(start, el("b", {}, share), end);
    this.cells.forEach((cell, i) => cell.classList.toggle("k", model.special + i === key));
    this.chips.forEach((chip, token) => chip.classList.toggle("k", token === key && token !== look.query));
    const width = Math.min(300, this.side);
    paintLegend(fitCanvas(n.legend, width, 38, this.ratio), this.theme, width, row[key], false, "sqrt");
  }

  // ---- what the reader does -----------------------------------------------------------------------

  point(token) {
    if (token === this.key) return;
    this.key = token;
    this.paintFocus();
  }

  /** Shows the head under the pointer. */
  preview(tile) {
    const hover = tile ? { layer: +tile.dataset.layer, head: +tile.dataset.head } : null;
    if (hover?.layer === this.hover?.layer && hover?.head === this.hover?.head) return;
    this.hover = hover;
    this.paintBig();
    this.paintFocus();
  }

  /** Makes a token the one that looks; once more, and the class token looks again. */
  ask(token) {
    if (token === null) return;
    this.choose({ query: token === this.look.query ? 0 : token });
  }

  pick(layer, head) {
    this.choose({ layer, head });
  }

  switchHead() {
    const off = this.offHeads(),
      name = `${this.look.layer}.${this.look.head}`;
    if (!off.delete(name)) off.add(name);
    this.choose({ off: [...off].sort().join(",") });
  }

  choose(change) {
    this.hover = null;
    Object.assign(this.look, change);
    this.paint();
    this.node.live.textContent = this.node.say.textContent;
    this.onLook({ ...this.look });
  }

  destroy() {
    this.unwatch();
    this.resize.disconnect();
  }
}
