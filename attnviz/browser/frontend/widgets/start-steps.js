/* start-steps.js: the five steps of the start: what each points at, and what it says with the numbers on screen. */
import { el } from "../core/dom.js";
import { TABLE } from "./start-facts.js";

/**
 * @typedef {import("./start-facts.js").Facts} Facts
 *
 * @typedef {object} Step
 * @property {string} title
 * @property {string} at selector of the part of the view that it points at
 * @property {string} side of that part where the card stands: "right", "left", "below" or "above"
 * @property {string[]} spoken selectors of what it speaks of, which the card leaves free
 * @property {(facts: Facts, model: {layers: number, heads: number}, before: Facts) => import("../core/dom.js").Child[]}
 *   says
 */

const strong = (/** @type {string} */ text) => el("b", {}, text);
const query = (/** @type {string} */ text) => el("bdi", { class: "q" }, text);
const key = (/** @type {string} */ text) => el("bdi", { class: "k" }, text);
const token = (/** @type {string} */ text) => el("bdi", { class: "t" }, text);

/** a, b and c. @param {string[]} words @returns {import("../core/dom.js").Child[]} */
const listed = (words) => words.flatMap((word, i) => [i ? (i === words.length - 1 ? " and " : ", ") : "", token(word)]);

const count = (/** @type {number} */ n, /** @type {string} */ noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** @type {Step[]} */
export const STEPS = [
  {
    title: "Tokens",
    at: ".av-chips",
    side: "below",
    spoken: [".av-chips"],
    says: ({ tokens, pieces, special }) => [
      "The model has cut your text into ",
      strong(count(tokens.length, "token")),
      ". Most are whole words",
      ...(pieces.length > 1 ? ["; ", ...listed(pieces), " are pieces of one"] : []),
      ". ",
      ...(special ? ["Those in a dashed frame, like ", token(special), ", the model adds for itself."] : []),
    ],
  },
  {
    title: "Layers and heads",
    at: ".av-heads",
    side: "below",
    spoken: [".av-heads", TABLE],
    says: ({ place }, { layers, heads }) => [
      strong("A head is one way of looking: for every token it says how much that token looks at each of the tokens."),
      ` Every small square is a head. This model has ${count(layers, "layer")} with ${count(heads, "head")} each, `,
      "and a layer works on what the one before passed on. The framed one, ",
      strong(place),
      ", is drawn large on this page. Press another one: it looks at the same text in its own way.",
    ],
  },
  {
    title: "A query looks at keys",
    at: ".av-matrix",
    side: "right",
    spoken: [TABLE, ".av-foot canvas", ".av-entropy :is(th, td)"],
    says: (facts) => [
      "A row is one token looking, with its ",
      query("query"),
      ". A column is one being seen, by its ",
      key("key"),
      ". The stronger a cell’s colour, the more the one looks at the other. ",
      ...(facts.query
        ? ["Read along the row of ", query(facts.query), "; choose any cell to keep it."]
        : ["Choose a cell to keep it."]),
    ],
  },
  {
    title: "The weight",
    at: ".av-why",
    side: "left",
    spoken: [".av-why"],
    says: (facts) =>
      facts.share && facts.key
        ? [
            query(facts.query),
            " gives ",
            key(facts.key),
            " ",
            strong(facts.share),
            " of its attention: that is a weight, and a row of them adds up to 100\u202f%.",
            ...chain(facts.steps),
          ]
        : ["Choose a cell of the large table: here you see where its weight comes from."],
  },
  {
    title: "What changes it",
    at: ".av-controls",
    side: "right",
    spoken: [".av-controls", ".av-entropy :is(th, td)"],
    says: (facts, _, before) => [
      "Drag ",
      strong("Temperature"),
      " to the left, and the largest weight grows; to the right, and all become alike. ",
      strong("Mask"),
      " hides tokens: “Causal” hides what comes later. ",
      ...now(facts, before),
    ],
  },
];

/** How a weight is worked out, as it stands on screen. @param {[string, string][]} steps */
function chain(steps) {
  if (steps.length < 2) return [];
  const [sum, ...rest] = steps;
  return [
    " Multiply query and key number by number and add up: ",
    strong(sum[1]),
    ...rest.slice(0, -1).flatMap(([what, value]) => [`. ${what} gives `, strong(value)]),
    ". Softmax turns the scores of the row into shares: ",
    strong(steps[steps.length - 1][1]),
    ".",
  ];
}

/** The weight now, and what it was when the step began. @param {Facts} facts @param {Facts} before */
function now(facts, before) {
  if (!facts.share || !facts.key) return [];
  const same = facts.query === before.query && facts.key === before.key && facts.place === before.place;
  const was = same && facts.share !== before.share ? `; it was ${before.share}` : "";
  return ["Now ", query(facts.query), " gives ", key(facts.key), " ", strong(facts.share), `${was}.`];
}
