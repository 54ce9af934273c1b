/* chips.js: the row of tokens, coloured by what the chosen one gives them. Methods of the view. */
import { items } from "./maths.js";
import { lutIndex, onColour } from "../core/theme.js";
import { el, plainLabel } from "../core/dom.js";

export const chipMethods = {
  buildChips() {
    const { model, state } = this,
      key = `${model.id}${state.join}${state.hide}`;
    if (this.chipsKey === key) return;
    this.chipsKey = key;
    const it = items(model, state),
      cross = model.keys !== model.tokens,
      box = this.node.chips,
      keep = box.scrollTop;
    this.chips = [];
    this.chipSides = [];
    const row = (list, side) => {
      let word = null,
        last = null;
      const nodes = [];
      list.forEach((item, i) => {
        if (!word || item.sp || item.w === null || item.w !== last)
          nodes.push((word = el("span", { class: "av-word" })));
        last = item.sp ? null : item.w;
        const title = item.sp ? "Special token added by the tokenizer" : null;
        const b = el("button", {
          type: "button",
          class: item.sp ? "av-chip sp" : "av-chip",
          "data-i": i,
          "data-side": side,
          tabindex: "-1",
          title,
        });
        const name = el("bdi");
        name.textContent = plainLabel(item) || " ";
        b.append(name);
        word.append(b);
        this.chips.push(b);
        this.chipSides.push(side === "q" ? i : -1 - i);
      });
      return nodes;
    };
    const name = (text) => el("span", { class: "av-side" }, text),
      line = el("span", { style: "flex-basis:100%;height:0" });
    box.replaceChildren(
      ...(cross
        ? [name("query (looks)"), ...row(it.queries.list, "q"), line, name("key (is seen)"), ...row(it.keys.list, "k")]
        : row(it.queries.list, "q")),
    );
    box.classList.toggle("av-dense", Math.max(model.T, model.S) > 30);
    box.dir = model.dir;
    box.classList.remove("av-fade");
    if (box.scrollHeight > box.clientHeight + 4) box.classList.add("av-fade");
    box.scrollTop = keep;
    this.tints = new Float64Array(this.chips.length).fill(-1);
  },

  /** Colours the chips by what the chosen token gives them; touches only those that changed. */
  tintChips() {
    this.buildChips();
    const { scene: s, theme, state, model } = this,
      f = s.focus,
      cross = model.keys !== model.tokens,
      locked = this.hover ? null : this.locked(),
      active = this.root.getRootNode().activeElement;
    let at = this.chips.indexOf(active);
    if (at < 0) at = locked ? (locked.side === "k" ? (cross ? s.nq : 0) + locked.key : locked.queries[0]) : 0;
    const rows = f.queries.length > 1 ? f.queries : [f.q],
      marks = new Map(),
      least = Math.max(state.threshold, 0.01);
    for (const i of f.keys) marks.set(cross ? -1 - i : i, "k");
    for (const i of f.queries) marks.set(i, "q");
    const lockedKeys = new Set(
      locked ? (locked.side === "q" ? locked.queries : [cross ? -1 - locked.key : locked.key]) : [],
    );
    for (let c = 0; c < this.chips.length; c++) {
      const id = this.chipSides[c],
        i = id < 0 ? -1 - id : id;
      let v = 0;
      if (f.q >= 0 && (!cross || (f.side === "k") === id >= 0)) {
        if (f.side === "k") v = s.a[i * s.nk + f.k];
        else for (const row of rows) v += s.a[row * s.nk + i] / rows.length;
      }
      const tint = v >= least ? lutIndex(v, state.colour) : 0,
        mark = marks.get(id),
        lock = lockedKeys.has(id);
      const code =
        tint +
        (mark === "q" ? 256 : mark === "k" ? 512 : 0) +
        (lock ? 1024 : 0) +
        (c === at ? 2048 : 0) +
        theme.id * 4096;
      if (this.tints[c] !== code) this.tintChip(c, tint, mark, lock, c === at, (this.tints[c] = code));
    }
  },

  tintChip(c, tint, mark, lock, entry) {
    const b = this.chips[c],
      { lut } = this.theme;
    b.style.setProperty("--c", tint ? lut.css[tint] : "transparent");
    if (tint) b.style.setProperty("--ct", onColour(lut, tint));
    else b.style.removeProperty("--ct");
    b.classList.toggle("q", mark === "q");
    b.classList.toggle("k", mark === "k");
    b.classList.toggle("lock", lock);
    b.setAttribute("aria-pressed", String(lock));
    b.tabIndex = entry ? 0 : -1;
  },
};
