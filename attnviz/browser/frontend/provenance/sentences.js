/* sentences.js: each step in words: its title, and a sentence on what is computed and why, from its numbers. */
import { compact, percent } from "../core/format.js";
import { isolated } from "./names.js";
import { spread } from "./read.js";
import { resultOf } from "./steps.js";

const count = (n) => n.toLocaleString("en");

const TITLES = {
  x: "What goes in",
  embnorm: "Even out the size: LayerNorm",
  n: "Even out the size: LayerNorm",
  q: "What each word looks for: queries",
  k: "What each word is found by: keys",
  v: "What each word hands over: values",
  split: "Cut into heads",
  turn: "Turn queries and keys by their position",
  scores: "Every query meets every key",
  scaled: "Divide by √dₖ",
  mask: "What may not be seen",
  softmax: "Scores become shares",
  values: "Mix the values by the shares",
  concat: "Heads side by side",
  out: "Mix the heads",
  r: "Add to what the word was",
  m: "Even out the size: LayerNorm",
  c: "Add what the other text says",
  mc: "Even out the size: LayerNorm",
  n2: "Even out the size: LayerNorm",
  h: "More room: the hidden numbers",
  a: "Keep what is positive",
  f: "Back to the width of the model",
  s: "Add to what the word was",
  y: "Even out the size: LayerNorm",
  final: "The last LayerNorm",
};
export const stepTitle = (id) => TITLES[id];

/** One sentence about a step, from its numbers; `at` holds the chosen row and key. */
export function stepSentence(provenance, id, head, at) {
  const { matrices, width: d, heads } = provenance,
    made = matrices[resultOf(provenance, id, head)],
    word = (i) => isolated(provenance.tokens[i].label),
    say = SENTENCES[id] ?? normSentence;
  return say({ provenance, matrices, made, head, at, d, heads, word, from: (made.rule.a ?? "x").replace("n", "x̂") });
}

const SENTENCES = {
  x: ({ provenance }) => inputSentence(provenance),
  q: (on) => `${by(on, "W_Q")} its query, what it looks for in the others. ${columnsOf(on)}.`,
  k: (on) => `${by(on, "W_K")} its key, by which others find it. ${keysOf(on)}.`,
  v: (on) => `${by(on, "W_V")} its value, what it hands to those that look at it. ${keysOf(on)}.`,
  split: ({ heads, d, matrices }) =>
    `Each token’s ${matrices.concat.width} numbers are split: ${d} for each of ${heads} heads. ` +
    "Each head goes on alone, with its own columns of Q, K and V.",
  turn: ({ at, word, made }) =>
    `${made.rule.by}: each pair of numbers is turned by an angle that grows with the position. ${word(at.query)} ` +
    `stands at position ${at.query}. A score then depends on how far apart two words stand. Values are not turned.`,
  scores: ({ at, word, d }) =>
    `How well the query of ${word(at.query)} fits the key of ${word(at.key)}: ${d} products, added up.`,
  scaled: ({ made, d }) =>
    Math.abs(made.rule.by - 1) < 1e-9
      ? "This model takes the scores as they are."
      : `Sums of ${d} products grow with √${d} = ${compact(Math.sqrt(d), 2)}; ` +
        "dividing by it keeps softmax from becoming all or nothing.",
  mask: ({ provenance, head, at }) => maskSentence(provenance, head, at),
  softmax: ({ provenance, head, at, word }) =>
    `e (2.718…) to the power of each score, divided by the sum of the row: ${word(at.query)} gives ` +
    `${shareOf(provenance, head, at)} of its attention to ${word(at.key)}.`,
  values: ({ at, word, matrices, head }) =>
    matrices[`AV.${head}`]
      ? `Each word’s value times its share, added up, for ${word(at.query)}; then times the factor on this head.`
      : `What ${word(at.query)} takes along: each word’s value times its share, added up.`,
  concat: ({ heads, d, matrices }) =>
    `The results of the ${heads} heads stand side by side again: ${heads} × ${d} = ${matrices.concat.width} ` +
    "numbers per word.",
  out: () => "W_O mixes the heads: each number of the result draws on all of them.",
  r: () =>
    "What attention found is added to what the word was (the residual connection): " +
    "nothing is lost, and each layer only adds its part.",
  c: () =>
    "What the word takes from the other text is added too. That attention has the same steps, " +
    "with keys and values of the other text; the page Translate shows it.",
  h: ({ provenance, matrices, made }) =>
    `Now each word on its own: W_1 makes ${count(made.width)} numbers of its ${provenance.model}, ` +
    `each a detector of some pattern in ${matrices.n2 ? "m̂" : "m"}.`,
  a: ({ made, matrices, at, provenance }) => activationSentence(made, matrices, at, provenance.tokens[at.query]),
  f: ({ matrices, provenance }) =>
    `W_2 turns the ${count(matrices.h.width)} hidden numbers back into ${provenance.model}: ` +
    "each that is on adds its row.",
  s: ({ matrices, provenance }) =>
    `What the network found is added to what the word was.${matrices.s ? "" : ` ${whereTo(provenance)}`}`,
};

function normSentence({ provenance, made }) {
  const last = made.name === "y" || made.name === "final" ? ` ${whereTo(provenance, made.name)}` : "";
  return (
    "Each word’s numbers, less their mean μ, divided by their spread √(σ² + ε), times γ" +
    `${made.rule.bias ? ", plus β" : ""}: no word’s numbers grow too large.${last}`
  );
}

const whereTo = (provenance, name = "y") =>
  name === "y" && provenance.layer < provenance.layers - 1
    ? `Layer ${provenance.layer + 1} gets this.`
    : provenance.matrices.final && name === "y"
      ? "A last norm follows."
      : "This is what the model makes of the text.";

/** What gives a word its query, key or value. */
const by = ({ made, from }, weight) =>
  made.rule.kind === "product" ? `${from} times ${weight} gives each word` : "The model’s own code gives each word";

const columnsOf = ({ head, d }) => `Head ${head} has columns ${head * d} to ${(head + 1) * d - 1}`;

/** Which heads share keys and values (grouped-query attention). */
function keysOf({ provenance, head, d }) {
  const shared = provenance.heads / (provenance.keys ?? provenance.heads),
    first = head - (head % shared);
  return shared > 1 ? `Heads ${first} to ${first + shared - 1} share it (grouped queries)` : columnsOf({ head, d });
}

/** Where the numbers that a layer gets come from. */
function inputSentence(provenance) {
  const { matrices, layer, model } = provenance,
    { E, P, S, x } = matrices;
  if (layer) return `Layer ${layer} gets ${model} numbers per word: what layer ${layer - 1} gave out.`;
  if (!E) return `Each ${x.rule.note === "patches" ? "patch of the image" : "word"} enters as ${model} numbers.`;
  const segment = S ? ", plus one for its segment (first or second sentence)" : "",
    turned = matrices.Qr ? " Its position comes in later, when queries and keys are turned." : "",
    biased = matrices[`bias.${provenance.head}`] ? " Its position comes in later, as a bias on the scores." : "";
  return (
    `Each word is ${model} numbers: its own row of the table E` +
    `${P ? ", plus a row P for its position" : ""}${segment}.${turned}${biased}`
  );
}

function maskSentence(provenance, head, at) {
  const m = provenance.matrices[`mask.${head}`],
    bias = provenance.matrices[`bias.${head}`],
    word = isolated(provenance.tokens[at.query].label);
  let n = 0;
  for (let k = 0; k < m.width; k++) n += Number(m.values[at.query * m.stored + k] === -Infinity);
  const { by, slope } = bias?.rule ?? {},
    distance = slope
      ? `${by} takes ${compact(slope, 3)} off a score for each word that lies between: near words weigh more. `
      : bias
        ? `${by || "The model"} adds a number to each score, by how far apart two words stand. `
        : "";
  if (spread(m).most === 0 && !m.values.includes(-Infinity))
    return `${distance}Nothing is masked here: every word may look at every other, and 0 is added to each score.`;
  return (
    `${distance}−∞ is added where a word may not look, and softmax makes 0 of it; ${word} may look at ` +
    `${m.width - n} of ${m.width} words.`
  );
}

function activationSentence(made, matrices, at, token) {
  const { h } = matrices,
    row = made.values.subarray(at.query * made.stored, (at.query + 1) * made.stored);
  let on = 0;
  for (let k = 0; k < row.length; k++) on += Number(h.values[at.query * h.stored + k] > 0);
  const how =
    made.rule.function === "relu"
      ? "ReLU makes 0 of every negative number"
      : "GELU lets positive numbers through and makes almost 0 of negative ones";
  return (
    `${how}: ${on} of the ${count(made.width)} detectors are on for ${isolated(token.label)}. ` +
    "Without this bend, W_1 and W_2 would be one matrix."
  );
}

function shareOf(provenance, head, { query, key }) {
  const m = provenance.matrices[`weights.${head}`];
  return percent(m.values[query * m.stored + key]);
}
