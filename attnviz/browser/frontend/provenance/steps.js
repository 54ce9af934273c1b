/* steps.js: the twelve steps, which matrices each shows, and what is said about it. */
import { compact, percent } from "../core/format.js";
import { ownerOf, spread } from "./read.js";

export const STEPS = [
  ["x", "x"],
  ["q", "Q"],
  ["k", "K"],
  ["v", "V"],
  ["split", "heads"],
  ["scores", "QKᵀ"],
  ["scaled", "÷ √dₖ"],
  ["mask", "mask"],
  ["softmax", "softmax"],
  ["values", "· V"],
  ["concat", "concat"],
  ["out", "· W_O"],
].map(([id, label]) => ({ id, label }));

const STEP_TITLES = {
  x: "What goes in",
  q: "What each word looks for",
  k: "What each word is found by",
  v: "What each word hands over",
  split: "Cut into heads",
  scores: "Every query meets every key",
  scaled: "Divide by √dₖ",
  mask: "What may not be seen",
  softmax: "Scores become shares",
  values: "Mix the values by the shares",
  concat: "Heads side by side",
  out: "Mix the heads",
};
export const stepTitle = (id) => STEP_TITLES[id];

/** The matrix that a step makes. */
export function resultOf(provenance, id, head) {
  const letter = { q: "Q", k: "K", v: "V", split: "Q" }[id];
  if (letter) return letter;
  if (id === "x") return provenance.matrices.n ? "n" : "x";
  return (
    {
      scores: `scores.${head}`,
      scaled: `scaled.${head}`,
      mask: `masked.${head}`,
      softmax: `weights.${head}`,
      values: `z.${head}`,
    }[id] || id
  );
}

/** The step in which a matrix is made, or enters. */
export function stepOf(name) {
  const stem = name.split(".")[0];
  return (
    {
      W_Q: "q",
      b_Q: "q",
      Q: "q",
      W_K: "k",
      b_K: "k",
      K: "k",
      W_V: "v",
      b_V: "v",
      V: "v",
      scores: "scores",
      scaled: "scaled",
      mask: "mask",
      masked: "mask",
      weights: "softmax",
      z: "values",
      concat: "concat",
      W_O: "out",
      b_O: "out",
      out: "out",
    }[stem] || "x"
  );
}

/**
 * What a step shows, left to right: {op} signs and {name, rows: axis, block: only the head's columns, turned, role}.
 */
export function stageOf(provenance, id, head) {
  const has = (name) => provenance.matrices[name],
    item = (name, more = {}) => ({ name, ...more });
  if (id === "x") return embeddingStage(provenance);
  if (id === "q" || id === "k" || id === "v") {
    const letter = id.toUpperCase(),
      rows = id === "q" ? "query" : "key",
      from = has("n") ? "n" : "x",
      all = [];
    all.push(item(from, { rows }), { op: "×" }, item(`W_${letter}`));
    if (has(`b_${letter}`)) all.push({ op: "+" }, item(`b_${letter}`));
    return [...all, { op: "=" }, item(letter)];
  }
  const block = { block: true };
  return {
    split: () => [item("Q"), { op: " " }, item("K"), { op: " " }, item("V")],
    scores: () => [
      item("Q", block),
      { op: "×" },
      item("K", { block: true, turned: true }),
      { op: "=" },
      item(`scores.${head}`),
    ],
    scaled: () => [item(`scores.${head}`), { op: `÷ √${provenance.width}` }, { op: "=" }, item(`scaled.${head}`)],
    mask: () => [item(`scaled.${head}`), { op: "+" }, item(`mask.${head}`), { op: "=" }, item(`masked.${head}`)],
    softmax: () => [item(`masked.${head}`), { op: "softmax of each row" }, item(`weights.${head}`)],
    values: () => [item(`weights.${head}`), { op: "×" }, item("V", block), { op: "=" }, item(`z.${head}`, block)],
    concat: () => [...concatStage(provenance, head), { op: "=" }, item("concat")],
    out: () => {
      const all = [item("concat"), { op: "×" }, item("W_O")];
      if (has("b_O")) all.push({ op: "+" }, item("b_O"));
      return [...all, { op: "=" }, item("out")];
    },
  }[id]();
}

function embeddingStage(provenance) {
  const { E, P, S, e, n, x } = provenance.matrices,
    all = [];
  const parts = [E, P, S].filter(Boolean);
  parts.forEach((m, i) => all.push(...(i ? [{ op: "+" }] : []), { name: m.name }));
  if (e) all.push({ op: "=" }, { name: "e" }, { op: "LayerNorm of each row" });
  else if (parts.length) all.push({ op: "=" });
  all.push({ name: x.name });
  if (n) all.push({ op: "LayerNorm of each row" }, { name: "n" });
  return all;
}

/** All heads' z where they are here, the chosen one otherwise. */
function concatStage(provenance, head) {
  const names = provenance.matrices.concat.rule.parts.filter((name) => provenance.matrices[name]),
    all = [];
  names.forEach((name, i) => all.push(...(i ? [{ op: "|" }] : []), { name, block: true, of: ownerOf(name) }));
  return names.length < provenance.heads
    ? [{ op: head ? "… |" : "" }, ...all, { op: head < provenance.heads - 1 ? "| …" : "" }].filter(
        (one) => one.op !== "",
      )
    : all;
}

/** The matrix's name as it is printed. */
export function symbolOf(provenance, name) {
  const m = provenance.matrices[name];
  return m ? m.symbol : `z_${ownerOf(name)}`;
}

/** One sentence about a step, from its numbers; `at` holds the chosen row and key. */
export function stepSentence(provenance, id, head, at) {
  const c = provenance.model,
    d = provenance.width,
    first = head * d,
    quote = (i) => `“\u2068${provenance.tokens[i].label}\u2069”`;
  const cut = `head ${head} has columns ${first} to ${first + d - 1}`;
  return {
    x: () => inputSentence(provenance),
    q: () => `x times W_Q gives every word its query; ${cut}.`,
    k: () => `x times W_K gives every word its key; ${cut}.`,
    v: () => `x times W_V gives every word its value; ${cut}.`,
    split: () =>
      `${c} numbers per word are ${provenance.heads} heads of ${d}. ` +
      "Each head goes on alone, with its own columns of Q, K and V.",
    scores: () => `The score of ${quote(at.query)} for ${quote(at.key)}: ${d} products of query and key, added up.`,
    scaled: () =>
      `Sums of ${d} products grow with √${d} = ${compact(Math.sqrt(d), 2)}; ` +
      "dividing by it keeps softmax from becoming all or nothing.",
    mask: () => maskSentence(provenance, head, at),
    softmax: () =>
      `Each row becomes shares of 100\u202f%: ${quote(at.query)} gives ${shareOf(provenance, head, at)} ` +
      `of its attention to ${quote(at.key)}.`,
    values: () => `The result for ${quote(at.query)} is every word’s value times its share, added up.`,
    concat: () =>
      `The ${provenance.heads} heads' results stand side by side again: ` +
      `${provenance.heads} × ${d} = ${c} numbers per word.`,
    out: () => "W_O mixes the heads: every number of the output draws on all of them. The layer adds this to x.",
  }[id]();
}

/** Where the numbers that a layer gets come from. */
function inputSentence(provenance) {
  const { matrices, layer, model } = provenance,
    { P, S, e, n } = matrices;
  if (layer) {
    const evened = n ? ", and evens out their size by LayerNorm" : "";
    return `Layer ${layer} gets ${model} numbers per word from layer ${layer - 1}${evened}.`;
  }
  const position = P ? "a row for its position" : "nothing for its position",
    segment = S ? ", plus one for its segment" : "",
    norm = e || n ? ", then LayerNorm" : "";
  return `Each word is ${model} numbers: its own row of a table, plus ${position}${segment}${norm}.`;
}

function maskSentence(provenance, head, at) {
  const m = provenance.matrices[`mask.${head}`];
  let n = 0;
  for (let k = 0; k < m.width; k++) n += Number(m.values[at.query * m.stored + k] === -Infinity);
  if (spread(m).most === 0 && !m.values.includes(-Infinity))
    return "Nothing is masked here: 0 is added to every score.";
  const seen = m.width - n,
    word = `\u2068${provenance.tokens[at.query].label}\u2069`;
  return `−∞ is added where a word may not look; “${word}” may look at ${seen} of ${m.width} words.`;
}

function shareOf(provenance, head, { query, key }) {
  const m = provenance.matrices[`weights.${head}`];
  return percent(m.values[query * m.stored + key]);
}
