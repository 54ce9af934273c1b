/* controls.js: what can be changed. Each control writes one field of the state through view.set and follows it in sync(). */
import { el } from "../core/dom.js";
import { percent } from "../core/format.js";
import { brushBar, paintedText } from "./brush.js";

/** A group of which one is chosen: [value, text, title]. Arrow keys move the choice. */
function segment(label, options, get, set) {
  const buttons = options.map(([value, text, title]) =>
    el("button", { type: "button", role: "radio", title, onclick: () => set(value) }, text),
  );
  const node = el(
    "div",
    {
      class: "av-seg",
      role: "radiogroup",
      "aria-label": label,
      onkeydown: (e) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
        if (!step) return;
        const i = options.findIndex(([value]) => value === get()),
          j = (i + step + options.length) % options.length;
        set(options[j][0]);
        buttons[j].focus();
        e.preventDefault();
        e.stopPropagation();
      },
    },
    buttons,
  );
  const sync = () => {
    const chosen = Math.max(
      0,
      options.findIndex(([value]) => value === get()),
    );
    buttons.forEach((b, i) => {
      b.setAttribute("aria-checked", String(i === chosen));
      b.tabIndex = i === chosen ? 0 : -1;
    });
  };
  return { node, sync };
}

function toggle(text, get, set) {
  const input = el("input", { type: "checkbox", role: "switch", onchange: () => set(input.checked) });
  return {
    node: el("label", { class: "av-switch" }, input, el("i"), el("span", {}, text)),
    sync: () => {
      input.checked = get();
    },
  };
}

function slider(text, { min, max, step, mark, ends, show, get, set }) {
  let held = false; // snaps to the mark only in the hand: arrow keys could not leave it
  const out = el("output"),
    marked = mark != null;
  const input = el("input", {
    type: "range",
    min,
    max,
    step,
    "aria-label": text,
    oninput: () => set(Number(input.value), held),
    ondblclick: marked ? () => set(mark) : () => {},
    onpointerdown: () => {
      held = true;
    },
    onpointerup: () => {
      held = false;
    },
    onpointercancel: () => {
      held = false;
    },
  });
  const track = el("div", { class: marked ? "av-slide mark" : "av-slide" }, input, marked && el("i"));
  const names =
    ends &&
    el(
      "div",
      { class: "av-ends", "aria-hidden": "true" },
      el("span", {}, ends[0]),
      el("span", { class: "mid" }, ends[1]),
      el("span", {}, ends[2]),
    );
  const node = el("div", { class: "av-field" }, el("span", {}, text), out, track, names);
  const place = (v) => ((v - min) / (max - min)) * 100;
  const sync = () => {
    const v = get(),
      from = place(mark ?? min),
      to = Math.max(0, Math.min(100, place(v)));
    input.value = v;
    input.style.setProperty("--a", Math.min(from, to) + "%");
    input.style.setProperty("--b", Math.max(from, to) + "%");
    out.textContent = show();
    input.setAttribute("aria-valuetext", show());
  };
  return { node, sync, input };
}

function choice(text, options, get, set) {
  const node = el(
    "select",
    { "aria-label": text, onchange: () => set(node.value) },
    options.map(([value, name]) => el("option", { value }, name)),
  );
  return {
    node,
    sync: () => {
      node.value = String(get());
    },
  };
}

/** Two choices in a row: curves from one sentence to another. */
function sentencePair({ state, set, model }) {
  const named = (spans, tokens) => [
    ["", "all sentences"],
    ...spans.map(([a, b], i) => [
      String(i),
      `${i}: ${tokens
        .slice(a, b)
        .filter((t) => !t.sp)
        .map((t) => t.label)
        .join(" ")
        .slice(0, 28)} …`,
    ]),
  ];
  const put = (at, v, other) => {
    if (v === "") return set({ sentences: null });
    const pair = state.sentences
      ? [...state.sentences]
      : [Math.min(Number(v), other - 1), Math.min(Number(v), other - 1)];
    pair[at] = Number(v);
    set({ sentences: pair });
  };
  const from = choice(
    "Curves from sentence",
    named(model.sentences, model.tokens),
    () => (state.sentences ? state.sentences[0] : ""),
    (v) => put(0, v, model.keySentences.length),
  );
  const to = choice(
    "Curves to sentence",
    named(model.keySentences, model.keys),
    () => (state.sentences ? state.sentences[1] : ""),
    (v) => put(1, v, model.sentences.length),
  );
  const node = el(
    "div",
    { class: "av-field" },
    el("span", {}, "Curves from one sentence to another"),
    el("span", { class: "av-pair" }, from.node, "→", to.node),
  );
  return {
    node,
    sync: () => {
      from.sync();
      to.sync();
    },
  };
}

function stepper(label, get, set) {
  const out = el("output", {}, ""),
    go = (d) => set(Math.max(0, Math.min(999, get() + d)));
  const button = (name, sign, d) => el("button", { type: "button", "aria-label": name, onclick: () => go(d) }, sign);
  const node = el(
    "span",
    { class: "av-step", role: "group", "aria-label": label },
    "±",
    button("narrower", "−", -1),
    out,
    button("wider", "+", 1),
    "tokens",
  );
  return {
    node,
    sync: () => {
      out.textContent = get();
    },
  };
}

const asTrained = (mask, keysLength) =>
  mask.causal
    ? "causal"
    : mask.window != null
      ? "window"
      : mask.dense
        ? "own"
        : mask.length != null && mask.length < keysLength
          ? "padding"
          : "none";

const MASK_GLOSS = {
  causal: "causal: only the past and itself",
  none: "none: each word may look at all",
  window: "window: only near words",
  "model causal": "as trained = causal: only the past",
  "model none": "as trained = none: each word sees all",
  "model window": "as trained = window: only near words",
  "model padding": "as trained: all but the padding",
  "model own": "as trained: a pattern of its own",
};

/** Temperatures move on a log scale and, in the hand, snap to 1. */
const snapTemperature = (x, held) => (Math.abs(x) < (held ? 0.035 : 0.005) ? 1 : Number((10 ** x).toFixed(3)));
/** Below 1 all of its three decimals count: 0.316 shown as 0.32 would not divide a score into the one on screen. */
const temperatureText = (t) => (t < 1 ? t.toFixed(3).replace(/0$/, "") : t.toFixed(t < 10 ? 2 : 1));

/** The panel "What if": temperature, mask, the factor 1/√d, one head or the whole model. */
export function whatIf(view) {
  const { state, set } = view,
    s = (name) => () => state[name],
    parts = [];
  const add = (part) => {
    parts.push(part);
    return part.node;
  };
  const reset = el("button", { class: "av-link", type: "button", onclick: () => view.reset() }, "Reset");
  const gloss = el("div", { class: "av-gloss" }),
    steps = stepper("window", s("window"), (v) => set({ window: v })),
    brush = brushBar(view);
  const root = el(
    "span",
    {},
    "Divide by ",
    el("span", { class: "av-root-d", role: "img", "aria-label": "the square root of d" }, "√", el("span", {}, "d")),
  );
  const scaled = toggle(root, s("scaled"), (v) => set({ scaled: v }));
  const places = [
    [false, "Each head alone", "Recomputed here, from the queries and keys of the unchanged model"],
    [true, "The whole model", "The model runs again with the change, so later layers see it too"],
  ];
  const masks = [
    ["model", "As trained"],
    ["causal", "Causal", "Only the past and itself"],
    ["none", "None"],
    ["window", "Window", "Only words nearby"],
    ["painted", "Painted", "Blocked by hand, on top of the model's own mask"],
  ];
  const temperature = slider("Temperature", {
    min: -1,
    max: 1,
    step: 0.01,
    mark: 0,
    ends: ["sharp", "1", "even"],
    show: () => temperatureText(state.temperature),
    get: () => Math.log10(state.temperature),
    set: (x, held) => set({ temperature: snapTemperature(x, held) }),
  });
  const nodes = [
    add(temperature),
    el(
      "div",
      { class: "av-field" },
      el("span", {}, "Mask"),
      steps.node,
      brush.node,
      add(segment("Mask", masks, s("mask"), (v) => set({ mask: v }))),
      gloss,
    ),
    add(scaled),
    view.live &&
      el(
        "div",
        { class: "av-field" },
        el("span", {}, "Applies to"),
        add(segment("Applies to", places, s("whole"), (v) => set({ whole: v }))),
      ),
  ];
  const node = el(
    "section",
    { class: "av-controls", "aria-label": "What if" },
    el("h2", {}, "What if …", reset),
    nodes,
  );
  const sync = () => {
    parts.forEach((p) => p.sync());
    steps.sync();
    steps.node.hidden = state.mask !== "window";
    [brush, view.brush].forEach((bar) => bar.sync());
    gloss.textContent = view.painting()
      ? `painted: ${paintedText(view)}`
      : MASK_GLOSS[state.mask === "model" ? "model " + asTrained(view.plainModel().mask, view.model.S) : state.mask];
    reset.hidden = !view.changed() && !state.threshold && !state.join && !state.hide;
  };
  return { node, sync };
}

/** The two switches beside the question. */
export function tokenSwitches(view) {
  const { state, set } = view;
  const long = (text) => el("span", { class: "av-long" }, text);
  const join = toggle(
      ["Join pieces", long(" into words")],
      () => state.join,
      (v) => set({ join: v }),
    ),
    hide = toggle(
      ["Hide special", long(" tokens")],
      () => state.hide,
      (v) => set({ hide: v }),
    );
  join.node.title = "Keys add up, queries average";
  return {
    nodes: [join.node, hide.node],
    sync: () => {
      join.sync();
      hide.sync();
    },
  };
}

export function changeSwitch(view) {
  const part = toggle(
    "Show the change",
    () => view.state.diff,
    (v) => view.set({ diff: v }),
  );
  return {
    node: part.node,
    sync: () => {
      part.sync();
      part.node.hidden = !view.changed();
    },
  };
}

/** Settings that are needed less often, in a row below the pictures. */
export function moreSettings(view) {
  const { state, set, model } = view,
    s = (name) => () => state[name],
    parts = [];
  const add = (part) => {
      parts.push(part);
      return part.node;
    },
    field = (name, part) => el("div", { class: "av-field" }, el("span", {}, name), add(part));
  const renormalise = toggle("Hidden tokens: let each row add up to 100\u202f% again", s("renormalise"), (v) =>
    set({ renormalise: v }),
  );
  const list = el("ol", { class: "av-list", tabindex: "0", "aria-label": "This head in words", hidden: true });
  const read = el(
    "button",
    {
      type: "button",
      class: "av-button",
      "aria-expanded": "false",
      onclick: () => {
        list.hidden = !list.hidden;
        read.setAttribute("aria-expanded", String(!list.hidden));
        view.mark("words");
      },
    },
    "Read this head as a list",
  );
  const pair = model.sentences.length > 1 || model.keySentences.length > 1 ? sentencePair(view) : null;
  const threshold = slider("Show weights from", {
    min: 0,
    max: 0.7,
    step: 0.01,
    show: () => (state.threshold ? percent(state.threshold) : "all"),
    get: () => Math.sqrt(state.threshold),
    set: (x) => set({ threshold: Number((x * x).toFixed(4)) }),
  });
  const choices = el(
    "div",
    { class: "av-more-grid" },
    add(threshold),
    field(
      "Colour of a weight",
      segment(
        "Colour of a weight",
        [
          ["sqrt", "√ root"],
          ["linear", "Linear"],
          ["log", "Log"],
        ],
        s("colour"),
        (v) => set({ colour: v }),
      ),
    ),
    field(
      "Curves",
      segment(
        "Curves",
        [
          [null, "By script"],
          [false, "Columns"],
          [true, "Rows"],
        ],
        s("horizontal"),
        (v) => set({ horizontal: v }),
      ),
    ),
    pair && add(pair),
    add(renormalise),
    el("div", {}, read),
    list,
  );
  const node = el(
    "details",
    { class: "av-more", ontoggle: () => view.mark("words") },
    el("summary", {}, "More settings"),
    choices,
  );
  const sync = () => {
    parts.forEach((p) => p.sync());
    renormalise.node.hidden = !state.hide;
  };
  return { node, list, sync };
}
