/* glossary.js: all terms with their sentences, to be searched (a Streamlit component, components v2). The data is
   {entries: [{term, also, says, page, query, title}]}. */
import { component } from "../core/bridge.js";
import { el } from "../core/dom.js";
import { addressOf, placeLink } from "../core/places.js";

function entryRows(entry, tell) {
  const link = placeLink(
    addressOf(entry.page, entry.query),
    () => tell.trigger("go", { term: entry.term }),
    entry.title,
  );
  const also = entry.also.length ? el("small", {}, entry.also.join(", ")) : null;
  return el(
    "div",
    { class: "entry" },
    el("dt", {}, entry.term, also),
    el("dd", {}, el("span", {}, entry.says), " ", el("span", { class: "shown" }, "See it on ", link)),
  );
}

/** What of an entry is searched. */
const searched = ({ term, also, says }) => [term, ...also, says].join(" ").toLowerCase();

/** The entries in the order of the alphabet; signs come first. */
const byTerm = (a, b) => a.term.toLowerCase().localeCompare(b.term.toLowerCase(), "en");

export default component(".aw-glossary", {
  mount(root, { entries }, tell) {
    const rows = [...entries].sort(byTerm).map((entry) => ({ text: searched(entry), node: entryRows(entry, tell) }));
    const input = el("input", { type: "search", id: "aw-search", autocomplete: "off", spellcheck: "false" });
    const count = el("p", { class: "count", role: "status" });
    const filter = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const { text, node } of rows) node.hidden = !words.every((word) => text.includes(word));
      const left = rows.filter(({ node }) => !node.hidden).length;
      count.textContent = left === rows.length ? `${left} terms` : left ? `${left} of ${rows.length} terms` : NOTHING;
    };
    input.addEventListener("input", filter);
    filter();
    const list = el("dl", { "aria-label": "Glossary" });
    list.append(...rows.map(({ node }) => node));
    root.replaceChildren(
      el("div", { class: "search" }, el("label", { for: "aw-search" }, "Search"), input, count),
      list,
    );
    return root;
  },
  update: () => {}, // the glossary stays the same
});

const NOTHING = "No term or sentence has this in it. Try a shorter word.";
