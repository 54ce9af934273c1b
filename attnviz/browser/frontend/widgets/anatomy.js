/* anatomy.js: a model's parts as a diagram (a Streamlit component, components v2): SVG, from what goes in at the top to what comes
   out. The data is {models: [{title, total, columns: [{title, reads, blocks: [{title, count, layer, around, parts: [{title, gives,
   count, all, times, share, percent, says, weights}]}]}]}]}; every text and number comes from the page, here are only places.
   A part is looked at by pointer or arrow keys; what is chosen stands beside the picture with its tensors. */
const ANATOMY = { width: 420, left: 34, right: 8, box: 46, gap: 22, head: 24, end: 30 };
const mountedAnatomies = new WeakMap();

function anatomySvg(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function anatomyText(x, y, text, name = "", anchor = "start") {
  const node = anatomySvg("text", { x, y, class: name, "text-anchor": anchor });
  node.textContent = text;
  return node;
}

function anatomyElement(kind, name, text, ...children) {
  const node = document.createElement(kind);
  node.className = name;
  if (text) node.textContent = text;
  node.append(...children);
  return node;
}

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
  return anatomySvg("path", { class: "flow", d: `M${x} ${from}V${to - 1}M${x - 4} ${to - 6}l4 5l4 -5` });
}

/** A residual connection: from above the first part, past it, to the plus under the last. */
function anatomyAround(parts, [first, last], x) {
  const { left, box, gap } = ANATOMY,
    from = parts[first] - gap / 2,
    to = parts[last] + box + gap / 2;
  return anatomySvg(
    "g",
    { class: "residual" },
    anatomySvg("path", { d: `M${x} ${from}H${left - 12}V${to}H${x - 8}` }),
    anatomySvg("circle", { cx: x, cy: to, r: 7 }),
    anatomySvg("path", { d: `M${x - 4} ${to}h8M${x} ${to - 4}v8` }),
  );
}

function anatomyPart(model, part, y, index) {
  const { width, left, right, box } = ANATOMY,
    wide = width - left - right;
  const group = anatomySvg(
    "g",
    {
      class: "part",
      role: "option",
      "aria-label": part.says,
      "aria-selected": "false",
      tabindex: -1,
      "data-index": index,
    },
    anatomySvg("rect", { class: "box", x: left, y, width: wide, height: box, rx: 6 }),
    anatomyText(left + 12, y + 19, part.title, "title"),
    anatomyText(left + 12, y + 36, part.gives, "small"),
    anatomyText(width - right - 12, y + 19, part.weights.length ? part.count : "–", "count", "end"),
    anatomyText(width - right - 12, y + 36, part.percent, "small", "end"),
  );
  if (part.share)
    group.append(
      anatomySvg("rect", { class: "share", x: left, y: y + box - 3, width: Math.max(1, wide * part.share), height: 3 }),
    );
  group.addEventListener("pointerenter", () => showAnatomyPart(model, index));
  group.addEventListener("pointerleave", () => showAnatomyPart(model, model.chosen));
  group.addEventListener("click", () => chooseAnatomyPart(model, index));
  group.addEventListener("focus", () => showAnatomyPart(model, index));
  model.parts.push({ part, group });
  return group;
}

function anatomyColumn(model, column) {
  const { width, left, right, head, end, gap } = ANATOMY,
    x = (left + width - right) / 2,
    places = anatomyPlaces(column);
  const svg = anatomySvg("svg", {
    viewBox: `0 0 ${width} ${places.height}`,
    role: "listbox",
    "aria-label": `${model.data.title}, ${column.title}: ${column.reads}`,
  });
  svg.append(anatomyText(x, end - 8, column.reads, "end", "middle"));
  let from = end;
  column.blocks.forEach((block, b) => {
    const { top, bottom, parts } = places.blocks[b];
    svg.append(
      anatomySvg("rect", {
        class: block.layer ? "frame layer" : "frame",
        x: 2,
        y: top,
        width: width - 4,
        height: bottom - top,
        rx: 10,
      }),
      anatomyText(left, top + 17, block.title, "block"),
      anatomyText(width - right - 12, top + 17, block.count, "small", "end"),
    );
    parts.forEach((y, i) => {
      if (!i || !block.layer || block.around.length) svg.append(anatomyArrow(x, from, y)); // else nobody knows the way
      svg.append(anatomyPart(model, block.parts[i], y, model.parts.length));
      from = y + ANATOMY.box;
    });
    if (!parts.length) from = bottom;
    for (const pair of block.around) svg.append(anatomyAround(parts, pair, x));
  });
  const last = column.blocks.at(-1)?.parts.at(-1);
  svg.append(
    anatomyArrow(x, from, places.height - end),
    anatomyText(x, places.height - 10, last ? last.gives : "", "end", "middle"),
  );
  svg.addEventListener("keydown", (event) => moveInAnatomy(model, event));
  return anatomyElement("figure", "", "", anatomyElement("figcaption", "", column.title), svg);
}

/** What is under the hand, or chosen, in words and with its tensors. */
function showAnatomyPart(model, index) {
  const { part } = model.parts[index];
  model.parts.forEach(({ group }, i) => group.classList.toggle("shown", i === index));
  const rows = part.weights.map((cells) =>
    anatomyElement("tr", "", "", ...cells.map((text, i) => anatomyElement(i ? "td" : "th", "", text))),
  );
  model.details.replaceChildren(anatomyElement("h4", "", part.title), anatomyElement("p", "", part.says));
  if (rows.length) model.details.append(anatomyElement("table", "", "", anatomyElement("tbody", "", "", ...rows)));
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
  const line = (kind, cells) =>
    anatomyElement("tr", "", "", ...cells.map((text, i) => anatomyElement(i ? kind : "th", "", text)));
  const rows = model.parts.map(({ part }) =>
    line("td", [part.title, part.gives, `${part.count} × ${part.times}`, part.all]),
  );
  rows.push(line("td", ["All", "", "", model.data.total]));
  const table = anatomyElement(
    "table",
    "",
    "",
    anatomyElement("thead", "", "", line("th", ["Part", "gives", "parameters", "in all"])),
    anatomyElement("tbody", "", "", ...rows),
  );
  return anatomyElement("details", "", "", anatomyElement("summary", "", "The same as a table"), table);
}

function drawAnatomy(data) {
  const model = { data, parts: [], chosen: 0, details: anatomyElement("div", "av-anatomy-part", "") };
  const columns = anatomyElement(
    "div",
    "av-anatomy-columns",
    "",
    ...data.columns.map((column) => anatomyColumn(model, column)),
  );
  const biggest = model.parts.reduce((best, { part }, i) => (part.share > model.parts[best].part.share ? i : best), 0);
  chooseAnatomyPart(model, biggest);
  const title = anatomyElement("h3", "", data.title, anatomyElement("small", "", `${data.total} parameters`));
  return anatomyElement(
    "section",
    "",
    "",
    title,
    anatomyElement(
      "div",
      "av-anatomy-body",
      "",
      columns,
      anatomyElement("div", "av-anatomy-side", "", model.details, anatomyTable(model)),
    ),
  );
}

export default function anatomyComponent({ data, parentElement }) {
  const root = parentElement.querySelector(".av-anatomy"),
    said = JSON.stringify(data);
  if (mountedAnatomies.get(parentElement) !== said) {
    mountedAnatomies.set(parentElement, said);
    root.classList.toggle("two", data.models.length > 1);
    root.replaceChildren(...data.models.map(drawAnatomy));
  }
}
