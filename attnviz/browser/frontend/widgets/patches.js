/* patches.js: attention laid over a picture, patch by patch, as a Streamlit component (components v2).
   The data is a frame: {id of the message, number of the state, look, alt, answer, changed}, then the message
   (patch-rows.js). Hovering, and choosing heads and patches, run without the server. */
import { bytesOf, component, news } from "../core/bridge.js";
import { fitCanvas } from "../core/canvas.js";
import { el } from "../core/dom.js";
import { readFrame } from "../core/framing.js";
import { percent } from "../core/format.js";
import { paintLegend } from "../attention/paint-matrix.js";
import {
  PATCH_ROLLOUT,
  PATCH_SPECIAL,
  patchName,
  patchRow,
  patchSentence,
  patchStrongest,
  readPatches,
} from "./patch-rows.js";
import { isDark, lutIndex, onColour, readTheme } from "../core/theme.js";

const PATCH_LARGEST = 420; // px of the picture's side
const PATCH_INK = 0.6,
  PATCH_PHOTO = 0.4; // how much of the picture's contrast stays under the attention

const patchRgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

class PatchView {
  /** `onLook` gets {layer, head, query, off}. */
  constructor(root) {
    Object.assign(this, { root, tiles: new Map(), cells: [], key: null, cursor: 0, hover: null });
    root.classList.add("av", "ap");
    this.theme = readTheme(root);
    this.build();
    this.resize = new ResizeObserver(() => this.paint());
    this.resize.observe(root);
    this.themeWatch = setInterval(() => {
      if (isDark(root) !== this.theme.dark) {
        this.theme = readTheme(root);
        this.base = null;
        this.paint();
      }
    }, 500);
  }

  build() {
    const n = (this.node = {});
    n.say = el("p", { class: "av-say" });
    n.heads = el("div", {
      class: "ap-tiles",
      role: "grid",
      "aria-label": "Heads: a row per layer, the last column is rollout",
      onkeydown: (e) => this.headKey(e),
    });
    n.answer = el("section", { class: "ap-answer" });
    n.title = el("span");
    n.changed = el("small");
    n.off = el("button", { type: "button", class: "av-button", onclick: () => this.switchHead() });
    n.on = el(
      "button",
      { type: "button", class: "av-button", onclick: () => this.choose({ off: "" }) },
      "All on again",
    );
    n.chips = el("div", { class: "ap-chips", role: "group", "aria-label": "Tokens that are no patch" });
    n.canvas = el("canvas", { role: "img" });
    n.over = el("div", {
      class: "ap-over",
      role: "grid",
      "aria-label":
        "Patches: arrow keys move, Enter makes a patch the one that looks, Escape goes back to the class token",
      onkeydown: (e) => this.patchKey(e),
    });
    n.legend = el("canvas", { "aria-hidden": "true" });
    n.live = el("div", { class: "av-sr", "aria-live": "polite" });
    this.root.replaceChildren(
      n.say,
      el(
        "div",
        { class: "ap-main" },
        el("section", {}, el("h2", {}, "All heads", el("small", {}, "layers ↓ heads →")), n.heads, n.answer),
        el(
          "section",
          { class: "ap-big" },
          el("h2", {}, n.title, n.changed),
          n.chips,
          el("div", { class: "ap-stage" }, n.canvas, n.over),
          n.legend,
          el("div", { class: "ap-tools" }, n.off, n.on),
        ),
      ),
      n.live,
    );
    n.over.addEventListener("pointerover", (e) => this.point(this.tokenOf(e)));
    n.over.addEventListener("pointerleave", () => this.point(null));
    n.over.addEventListener("focusin", (e) => this.point(this.tokenOf(e)));
    n.over.addEventListener("focusout", () => this.point(null));
    n.over.addEventListener("click", (e) => this.ask(this.tokenOf(e)));
    n.heads.addEventListener("pointerover", (e) => {
      if (e.pointerType !== "touch") this.preview(e.target.closest("[data-head]"));
    });
    n.heads.addEventListener("pointerleave", () => this.preview(null));
    n.heads.addEventListener("click", (e) => {
      const tile = e.target.closest("[data-head]");
      if (tile) this.pick(+tile.dataset.layer, +tile.dataset.head);
    });
  }

  tokenOf(e) {
    const cell = e.target.closest?.("[data-token]");
    return cell ? +cell.dataset.token : null;
  }

  // ---- what is shown ------------------------------------------------------------------------------

  read(message, look, { alt, changed, answer }) {
    if (message) {
      this.model = readPatches(message);
      this.base = null;
      const { side, special, layers, heads } = this.model,
        shape = [side, special, layers, heads].join();
      if (shape !== this.shape) {
        this.shape = shape;
        this.cursor = 0;
        this.lay();
      }
    }
    if (look) this.look = { ...look };
    this.node.canvas.setAttribute("aria-label", alt);
    this.node.changed.textContent = changed || "click a patch: where does it look?";
    this.showAnswer(answer, changed);
    this.paint();
  }

  /** Classes with bars: pale as trained, blue now. */
  showAnswer(rows, changed) {
    const bar = (share, name) => el("i", { class: name, style: `width:${100 * share}%` });
    this.node.answer.hidden = !rows.length;
    this.node.answer.replaceChildren(
      el("h2", {}, "The answer", el("small", {}, changed ? "pale: as trained" : "")),
      el(
        "ul",
        {},
        rows.map(([name, before, now]) =>
          el(
            "li",
            {},
            el("span", { class: "name", title: name }, name),
            el(
              "span",
              { class: "bar", "aria-hidden": "true" },
              changed ? bar(before, "before") : null,
              bar(now, "now"),
            ),
            el("span", { class: "share" }, now < 0.001 ? "" : percent(now)),
            changed ? el("span", { class: "av-sr" }, `, ${percent(before)} as trained`) : null,
          ),
        ),
      ),
    );
  }

  /** The elements that a model needs: patches, special tokens, heads. */
  lay() {
    const { side, special, layers, heads } = this.model,
      { node: n } = this,
      grid = (count, of) => Array.from({ length: count }, (_, i) => of(i));
    n.over.style.setProperty("--side", side);
    this.cells = grid(side * side, (i) => el("div", { role: "gridcell", "data-token": special + i, tabindex: "-1" }));
    n.over.replaceChildren(
      ...grid(side, (row) => el("div", { role: "row" }, this.cells.slice(row * side, (row + 1) * side))),
    );
    this.chips = grid(special, (token) =>
      el("button", {
        type: "button",
        class: "av-chip sp",
        "data-token": token,
        onclick: () => this.ask(token),
        onpointerenter: () => this.point(token),
        onpointerleave: () => this.point(null),
        onfocus: () => this.point(token),
        onblur: () => this.point(null),
      }),
    );
    n.chips.replaceChildren(...this.chips);
    this.tiles.clear();
    const tile = (layer, head) => {
      const cell = el(
        "div",
        { role: "gridcell", "data-layer": layer, "data-head": head, tabindex: "-1" },
        el("canvas", { "aria-hidden": "true" }),
      );
      this.tiles.set(`${layer}.${head}`, cell);
      return cell;
    };
    const name = (text, role) => el("div", { role, class: "ap-name" }, text);
    n.heads.style.setProperty("--columns", heads + 1);
    n.heads.replaceChildren(
      el(
        "div",
        { role: "row" },
        name("", "columnheader"),
        grid(heads, (h) => name(heads > 8 && h % 2 ? "" : String(h), "columnheader")),
        name("rollout", "columnheader"),
      ),
      ...grid(layers, (layer) =>
        el(
          "div",
          { role: "row" },
          name(String(layer), "rowheader"),
          grid(heads, (h) => tile(layer, h)),
          tile(layer, PATCH_ROLLOUT),
        ),
      ),
    );
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
    this.base ??= this.picture();
    const { node: n, model, look } = this,
      narrow = width < 560,
      room = narrow ? width : width - Math.min(0.42 * width, 340) - 32;
    this.root.classList.toggle("ap-narrow", narrow);
    this.side = Math.floor(Math.min(PATCH_LARGEST, room) / model.side) * model.side;
    this.paintTiles(
      Math.max(
        13,
        Math.min(56, Math.floor(((narrow ? width : Math.min(0.42 * width, 340)) - 22) / (model.heads + 1)) - 4),
      ),
    );
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
      this.overlay(fitCanvas(cell.firstChild, size, size, this.ratio), size, row);
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

  /** The picture as a canvas of its own, washed out so that the attention is seen: ink on paper, or a photograph in grey. */
  picture() {
    const {
        picture: [height, width, channels],
        pixels,
      } = this.model,
      canvas = el("canvas"),
      paper = patchRgb(this.theme.paper),
      ink = patchRgb(this.theme.ink);
    Object.assign(canvas, { width, height });
    const g = canvas.getContext("2d"),
      image = g.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const at = i * channels,
        grey =
          channels === 1
            ? pixels[at] / 255
            : (0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2]) / 255;
      const share = channels === 1 ? PATCH_INK * grey : PATCH_PHOTO * (this.theme.dark ? grey : 1 - grey);
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(paper[c] + share * (ink[c] - paper[c]));
      image.data[4 * i + 3] = 255;
    }
    g.putImageData(image, 0, 0);
    return canvas;
  }

  /** The picture and on it a row of attention; colour multiplies on paper and adds light on black. */
  overlay(g, size, row) {
    const { model, theme } = this,
      step = size / model.side;
    g.imageSmoothingEnabled = model.picture[0] > 2 * size;
    g.globalCompositeOperation = "source-over";
    g.drawImage(this.base, 0, 0, size, size);
    g.globalCompositeOperation = theme.dark ? "screen" : "multiply";
    for (let i = 0; i < model.side ** 2; i++) {
      const value = row[model.special + i],
        x = Math.round((i % model.side) * step),
        y = Math.round(Math.floor(i / model.side) * step);
      if (!(value > 0)) continue;
      g.fillStyle = theme.lut.css[lutIndex(value, "sqrt")];
      g.fillRect(
        x,
        y,
        Math.round(((i % model.side) + 1) * step) - x,
        Math.round((Math.floor(i / model.side) + 1) * step) - y,
      );
    }
    g.globalCompositeOperation = "source-over";
  }

  paintBig() {
    const { node: n, model, theme, side } = this,
      g = fitCanvas(n.canvas, side, side, this.ratio),
      row = this.row(),
      { layer, head, query } = this.seen(),
      step = side / model.side;
    n.title.textContent = head === PATCH_ROLLOUT ? `Rollout to layer ${layer}` : `Layer ${layer}, head ${head}`;
    this.overlay(g, side, row);
    g.strokeStyle = theme.line;
    g.lineWidth = 1;
    g.globalAlpha = step >= 20 ? 1 : 0.5;
    g.beginPath();
    for (let i = 0; i <= model.side; i++) {
      const at = Math.min(side - 0.5, Math.round(i * step) + 0.5);
      (g.moveTo(at, 0), g.lineTo(at, side), g.moveTo(0, at), g.lineTo(side, at));
    }
    g.stroke();
    g.globalAlpha = 1;
    if (step >= 38) this.paintNumbers(g, row, step);
    this.cells.forEach((cell, i) => {
      const token = model.special + i;
      cell.classList.toggle("q", token === query);
      cell.tabIndex = i === this.cursor ? 0 : -1;
      cell.setAttribute(
        "aria-label",
        `row ${Math.floor(i / model.side)}, column ${i % model.side}: ${percent(row[token])}${token === query ? ", looks" : ""}`,
      );
    });
    this.chips.forEach((chip, token) => {
      chip.replaceChildren(PATCH_SPECIAL[token][0], el("b", {}, percent(row[token])));
      chip.classList.toggle("q", token === query);
      chip.classList.toggle("lock", token === query);
      chip.setAttribute("aria-pressed", String(token === query));
      chip.setAttribute(
        "aria-label",
        `${PATCH_SPECIAL[token][1]}${token === query ? ", looks" : ""}: gets ${percent(row[token])}`,
      );
      const colour = lutIndex(row[token], "sqrt");
      chip.style.setProperty("--c", token === query ? "" : theme.lut.css[colour]);
      chip.style.setProperty("--ct", token === query ? "" : onColour(theme.lut, colour));
    });
  }

  /** Whole percents in the patches that get at least one. */
  paintNumbers(g, row, step) {
    const { model } = this;
    g.font = `600 15px ${this.theme.sans}`;
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.lineJoin = "round";
    g.lineWidth = 3;
    for (let i = 0; i < model.side ** 2; i++) {
      const value = row[model.special + i];
      if (value < 0.01) continue;
      const x = ((i % model.side) + 0.5) * step,
        y = (Math.floor(i / model.side) + 0.5) * step,
        strong = value > 0.2;
      g.strokeStyle = strong === this.theme.dark ? "#FFFFFF" : "#000000";
      g.fillStyle = strong === this.theme.dark ? "#000000" : "#FFFFFF";
      g.strokeText(String(Math.round(100 * value)), x, y);
      g.fillText(String(Math.round(100 * value)), x, y);
    }
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

  patchKey(e) {
    const { side, special } = this.model,
      row = Math.floor(this.cursor / side),
      col = this.cursor % side;
    const to = {
      ArrowLeft: [row, col - 1],
      ArrowRight: [row, col + 1],
      ArrowUp: [row - 1, col],
      ArrowDown: [row + 1, col],
      Home: [row, 0],
      End: [row, side - 1],
    }[e.key];
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === "Enter" || e.key === " ") this.ask(special + this.cursor);
    else if (e.key === "Escape") this.choose({ query: 0 });
    else if (to) this.cursor = Math.max(0, Math.min(side - 1, to[0])) * side + Math.max(0, Math.min(side - 1, to[1]));
    else return;
    e.preventDefault();
    this.cells.forEach((cell, i) => {
      cell.tabIndex = i === this.cursor ? 0 : -1;
    });
    this.cells[this.cursor].focus();
  }

  headKey(e) {
    const { layers, heads } = this.model,
      { layer, head } = this.look,
      column = head === PATCH_ROLLOUT ? heads : head;
    const to = {
      ArrowLeft: [layer, column - 1],
      ArrowRight: [layer, column + 1],
      ArrowUp: [layer - 1, column],
      ArrowDown: [layer + 1, column],
      Home: [layer, 0],
      End: [layer, heads],
    }[e.key];
    if (!to || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    const [l, c] = [Math.max(0, Math.min(layers - 1, to[0])), Math.max(0, Math.min(heads, to[1]))];
    this.pick(l, c === heads ? PATCH_ROLLOUT : c);
    this.tiles.get(`${this.look.layer}.${this.look.head}`).focus();
  }

  destroy() {
    clearInterval(this.themeWatch);
    this.resize.disconnect();
  }
}

export default component(".ap-root", {
  mount(root, data, tell) {
    const { header, payload } = readFrame(bytesOf(data)),
      view = new PatchView(root);
    view.onLook = (look) => tell.state("look", look);
    view.read(payload, header.look, header);
    return { view, id: header.id, number: header.number };
  },
  update(entry, data) {
    const { header, payload } = readFrame(bytesOf(data)),
      fresh = news(entry, header);
    entry.view.read(fresh.message ? payload : null, fresh.state ? header.look : null, header);
  },
  destroy: (entry) => entry.view.destroy(),
});
