/* anatomy.js: a model's parts as a diagram (a Streamlit component, components v2): SVG, from what goes in at the top
   to what comes out. The data is {models: [{title, total, columns: [{title, reads, blocks: [{title, count, layer,
   around, parts: [{title, gives, once, all, share, percent, says, weights}]}]}]}]}; every text and number comes from
   the page, here are only places. A part's number, like its share, is that of all layers of its block. A part is looked
   at by pointer or arrow keys; what is chosen stands beside the picture with its tensors. */
import { component } from "../core/bridge.js";
import { el, svg } from "../core/dom.js";

const ANATOMY = { width: 420, left: 34, right: 8, box: 46, gap: 22, head: 24, end: 30 };

const textAt = (x, y, text, name = "", anchor = "start") =>
  svg("text", { x, y, class: name, "text-anchor": anchor }, text);

/** Where everything of a column stands: y of each part's box, and of each block's frame. */
export function anatomyPlaces(column) {
  const { box, gap, head, end } = ANATOMY,
    blocks = [];
  let y = end;
  for (const block of column.blocks) {
    y += gap;
    const top = y,
      parts = [];
    y += head + (block.around.length ? gap / 2 : 0);
    block.parts.forEach((part, i) => {
      if (i) y += gap;
      parts.push(y);
      y += box;
    });
    if (block.around.length) y += gap;
    y += 6;
    blocks.push({ top, bottom: y, parts });
  }
  return { blocks, height: y + end + gap };
}

/** A line downwards with a head. */
function anatomyArrow(x, from, to) {
  return svg("path", { class: "flow", d: `M${x} ${from}V${to - 1}M${x - 4} ${to - 6}l4 5l4 -5` });
}

/** A residual connection: from above the first part, past it, to the plus under the last. */
function anatomyAround(parts, [first, last], x) {
  const { left, box, gap } = ANATOMY,
    from = parts[first] - gap / 2,
    to = parts[last] + box + gap / 2;
  return svg(
    "g",
    { class: "residual" },
    svg("path", { d: `M${x} ${from}H${left - 12}V${to}H${x - 8}` }),
    svg("circle", { cx: x, cy: to, r: 7 }),
    svg("path", { d: `M${x - 4} ${to}h8M${x} ${to - 4}v8` }),
  );
}

function anatomyPart(model, part, y, index) {
  const { width, left, right, box } = ANATOMY,
    wide = width - left - right;
  const group = svg(
    "g",
    {
      class: "part",
      role: "option",
      "aria-label": `${part.title}. ${part.says}`,
      "aria-selected": "false",
      tabindex: -1,
      "data-index": index,
    },
    svg("rect", { class: "box", x: left, y, width: wide, height: box, rx: 6 }),
    textAt(left + 12, y + 19, part.title, "title"),
    textAt(left + 12, y + 36, part.gives, "small"),
    textAt(width - right - 12, y + 19, part.all, "count", "end"),
    textAt(width - right - 12, y + 36, part.percent + (part.once ? ` (${part.once} per layer)` : ""), "small", "end"),
  );
  if (part.share)
    group.append(
      svg("rect", { class: "share", x: left, y: y + box - 3, width: Math.max(1, wide * part.share), height: 3 }),
    );
  group.addEventListener("pointerenter", () => showAnatomyPart(model, index));
  group.addEventListener("pointerleave", () => showAnatomyPart(model, model.chosen));
  group.addEventListener("click", () => chooseAnatomyPart(model, index));
  group.addEventListener("focus", () => showAnatomyPart(model, index));
  model.parts.push({ part, group });
  return group;
}

function anatomyColumn(model, column) {
  const { width, left, right, end } = ANATOMY,
    x = (left + width - right) / 2,
    places = anatomyPlaces(column);
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${places.height}`,
    role: "listbox",
    "aria-label": `${model.data.title}, ${column.title}: ${column.reads}`,
  });
  picture.append(textAt(x, end - 8, column.reads, "end", "middle"));
  let from = end;
  column.blocks.forEach((block, b) => {
    const { top, bottom, parts } = places.blocks[b];
    picture.append(
      svg("rect", {
        class: block.layer ? "frame layer" : "frame",
        x: 2,
        y: top,
        width: width - 4,
        height: bottom - top,
        rx: 10,
      }),
      textAt(left, top + 17, block.title, "block"),
      textAt(width - right - 12, top + 17, block.count, "small", "end"),
    );
    parts.forEach((y, i) => {
      // Inside a layer without residual connections nobody knows the way.
      if (!i || !block.layer || block.around.length) picture.append(anatomyArrow(x, from, y));
      picture.append(anatomyPart(model, block.parts[i], y, model.parts.length));
      from = y + ANATOMY.box;
    });
    if (!parts.length) from = bottom;
    for (const pair of block.around) picture.append(anatomyAround(parts, pair, x));
  });
  const last = column.blocks.at(-1)?.parts.at(-1);
  picture.append(
    anatomyArrow(x, from, places.height - end),
    textAt(x, places.height - 10, last ? last.gives : "", "end", "middle"),
  );
  picture.addEventListener("keydown", (event) => moveInAnatomy(model, event));
  return el("figure", {}, el("figcaption", {}, column.title), picture);
}

/** What is under the hand, or chosen, in words and with its tensors. */
function showAnatomyPart(model, index) {
  const { part } = model.parts[index];
  model.parts.forEach(({ group }, i) => group.classList.toggle("shown", i === index));
  const rows = part.weights.map((cells) => el("tr", {}, ...cells.map((text, i) => el(i ? "td" : "th", {}, text))));
  model.details.replaceChildren(el("h4", {}, part.title), el("p", {}, part.says));
  if (rows.length) model.details.append(el("table", {}, el("tbody", {}, ...rows)));
}

function chooseAnatomyPart(model, index) {
  model.chosen = index;
  model.parts.forEach(({ group }, i) => {
    group.setAttribute("aria-selected", i === index);
    group.setAttribute("tabindex", i === index ? 0 : -1);
  });
  showAnatomyPart(model, index);
}

/** Arrow keys, Home and End: one Tab stop for all parts. */
function moveInAnatomy(model, event) {
  const last = model.parts.length - 1,
    step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -last, End: last }[event.key];
  if (!step) return;
  event.preventDefault();
  chooseAnatomyPart(model, Math.min(last, Math.max(0, model.chosen + step)));
  model.parts[model.chosen].group.focus();
}

/** All parts as a table: the same picture for those who read it otherwise. */
function anatomyTable(model) {
  const line = (kind, cells) => el("tr", {}, ...cells.map((text, i) => el(i ? kind : "th", {}, text)));
  const rows = model.parts.map(({ part }) => line("td", [part.title, part.gives, part.once, part.all, part.percent]));
  rows.push(line("td", ["All", "", "", model.data.total, "100\u202f%"]));
  const table = el(
    "table",
    {},
    el("thead", {}, line("th", ["Part", "gives", "per layer", "parameters", "share"])),
    el("tbody", {}, ...rows),
  );
  return el("details", {}, el("summary", {}, "The same as a table"), table);
}

function drawAnatomy(data) {
  const model = { data, parts: [], chosen: 0, details: el("div", { class: "av-anatomy-part" }) };
  const columns = data.columns.map((column) => anatomyColumn(model, column));
  const biggest = model.parts.reduce((best, { part }, i) => (part.share > model.parts[best].part.share ? i : best), 0);
  chooseAnatomyPart(model, biggest);
  return el(
    "section",
    {},
    el("h3", {}, data.title, el("small", {}, `${data.total} parameters`)),
    el(
      "div",
      { class: "av-anatomy-body" },
      el("div", { class: "av-anatomy-columns" }, columns),
      el("div", { class: "av-anatomy-side" }, model.details, anatomyTable(model)),
    ),
  );
}

function update(anatomy, data) {
  const text = JSON.stringify(data);
  if (anatomy.text === text) return;
  anatomy.text = text;
  anatomy.root.classList.toggle("two", data.models.length > 1);
  anatomy.root.replaceChildren(...data.models.map(drawAnatomy));
}

export default component(".av-anatomy", {
  mount(root, data) {
    const anatomy = { root, text: "" };
    update(anatomy, data);
    return anatomy;
  },
  update,
});
