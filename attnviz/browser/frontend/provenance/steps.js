/* steps.js: the steps of one layer, which matrix each makes, and which matrices it shows. */
import { ownerOf } from "./read.js";

/** Parts of a layer, in their order; a step belongs to one. */
export const PARTS = {
  input: "Input",
  attention: "Attention",
  residual: "Add & norm",
  network: "Feed-forward",
  output: "Add & norm",
  end: "End",
};

/**
 * Every step that a layer may have: what it is called on the strip, its part, and the matrix that it makes, if any.
 * @type {{id: string, label: string, part: string, made: (matrices: any, head: number) => any}[]}
 */
const EVERY_STEP = /** @type {[string, string, string, (matrices: any, head: number) => any][]} */ ([
  ["x", "x", "input", ({ e }) => (e ? "e" : "x")],
  ["embnorm", "norm", "input", ({ e }) => e && "x"],
  ["n", "norm", "attention", ({ n }) => n && "n"],
  ["q", "Q", "attention", () => "Q"],
  ["k", "K", "attention", () => "K"],
  ["v", "V", "attention", () => "V"],
  ["split", "heads", "attention", () => "Q"],
  ["turn", "turn", "attention", ({ Qr }) => Qr && "Qr"],
  ["scores", "QKᵀ", "attention", (_, head) => `scores.${head}`],
  ["scaled", "÷ √dₖ", "attention", (_, head) => `scaled.${head}`],
  ["mask", "mask", "attention", (_, head) => `masked.${head}`],
  ["softmax", "softmax", "attention", (_, head) => `weights.${head}`],
  ["values", "· V", "attention", (_, head) => `z.${head}`],
  ["concat", "concat", "attention", () => "concat"],
  ["out", "· W_O", "attention", ({ out }) => out && "out"],
  ["r", "+ x", "residual", ({ r, m, y }) => (r ? "r" : sumOf(m, "out") ? "m" : sumOf(y, "out") && "y")],
  ["m", "norm", "residual", ({ r, m }) => r && (m ? "m" : "y")],
  ["c", "+ c", "residual", ({ c, rc, mc, y }) => c && (rc ? "rc" : mc ? "mc" : sumOf(y, "c") && "y")],
  ["mc", "norm", "residual", ({ rc, mc }) => rc && (mc ? "mc" : "y")],
  ["n2", "norm", "network", ({ n2 }) => n2 && "n2"],
  ["h", "· W_1", "network", ({ h }) => h && "h"],
  ["a", "σ", "network", ({ a }) => a && "a"],
  ["f", "· W_2", "network", ({ f }) => f && "f"],
  ["s", "+ m", "output", ({ s, f }) => f && (s ? "s" : "y")],
  ["y", "norm", "output", ({ s }) => s && "y"],
  ["final", "norm", "end", ({ final }) => final && "final"],
]).map(([id, label, part, made]) => ({ id, label, part, made }));

const sumOf = (m, part) => m?.rule.kind === "sum" && m.rule.parts.includes(part);
const ACTIVATION_LABELS = { relu: "ReLU", gelu: "GELU", gelu_tanh: "GELU" };
const OWN_LABELS = {
  turn: ({ Qr }) => Qr.rule.by,
  a: ({ a }) => ACTIVATION_LABELS[a.rule.function],
  s: ({ mc }) => mc && "+ m_c",
};

/** The steps of this layer: {id, label, part}. */
export function stepsOf(provenance) {
  const { matrices } = provenance;
  return EVERY_STEP.filter(({ made }) => made(matrices, provenance.head) in matrices).map(({ id, label, part }) => ({
    id,
    part,
    label: OWN_LABELS[id]?.(matrices) ?? label,
  }));
}

/** The matrix that a step makes. */
export const resultOf = (provenance, id, head) => EVERY_STEP.find((s) => s.id === id).made(provenance.matrices, head);

const ENTERS = { E: "x", P: "x", S: "x", mask: "mask", bias: "mask", c: "c", AV: "values", Kr: "turn" };
const MADE_BY = { W_Q: "q", W_K: "k", W_V: "v", W_O: "out", W_1: "h", W_2: "f" };

/** The step in which a matrix is made, or enters. */
export function stepOf(provenance, name) {
  const stem = name.split(".")[0],
    weight = MADE_BY[stem.replace("b_", "W_")],
    normed = /^(?:μ|σ²|γ|β)_(.+)$/.exec(stem)?.[1];
  if (ENTERS[stem] || weight) return ENTERS[stem] ?? weight;
  if (normed) return stepOf(provenance, normed);
  const made = EVERY_STEP.find((s) => s.made(provenance.matrices, 0)?.toString().split(".")[0] === stem);
  return made?.id ?? stepsOf(provenance)[0].id;
}

/**
 * What a step shows, left to right: {op} signs and {name, rows: axis, block: only the head's columns, turned, role}.
 */
export function stageOf(provenance, id, head) {
  const { matrices } = provenance,
    item = (name, more = {}) => ({ name, ...more }),
    block = { block: true },
    [q, k] = matrices.Qr ? ["Qr", "Kr"] : ["Q", "K"],
    product = (rows) => productStage(provenance, resultOf(provenance, id, head), rows);
  const drawn = {
    q: () => product("query"),
    k: () => product("key"),
    v: () => product("key"),
    split: () => [item("Q"), { op: " " }, item("K"), { op: " " }, item("V")],
    turn: () => [
      item("Q", block),
      { op: "turn" },
      item("Qr", block),
      { op: " " },
      item("K", block),
      { op: "turn" },
      item("Kr", block),
    ],
    scores: () => [
      item(q, block),
      { op: "×" },
      item(k, { ...block, turned: true }),
      { op: "=" },
      item(`scores.${head}`),
    ],
    scaled: () => [item(`scores.${head}`), { op: divided(provenance, head) }, { op: "=" }, item(`scaled.${head}`)],
    softmax: () => [item(`masked.${head}`), { op: "softmax of each row" }, item(`weights.${head}`)],
    values: () => valueStage(provenance, head),
    concat: () => [...concatStage(provenance, head), { op: "=" }, item("concat")],
  }[id];
  return drawn ? drawn() : stageOfRule(provenance, resultOf(provenance, id, head));
}

/** A matrix and what it was made of, by its rule. */
function stageOfRule(provenance, name) {
  const { rule } = provenance.matrices[name];
  switch (rule.kind) {
    case "sum":
      return [...rule.parts.flatMap((part, i) => [...(i ? [{ op: "+" }] : []), { name: part }]), { op: "=" }, { name }];
    case "product":
      return productStage(provenance, name, "query");
    case "norm": {
      const { of, mean, variance, weight, bias } = rule,
        shift = bias ? [{ op: "+" }, { name: bias }] : [];
      return [
        { name: of },
        { op: "−" },
        { name: mean },
        { op: "÷ √(σ² + ε)" },
        { name: variance },
        { op: "×" },
        { name: weight },
        ...shift,
        { op: "=" },
        { name },
      ];
    }
    case "activation":
      return [{ name: rule.of }, { op: ACTIVATION_LABELS[rule.function] }, { name }];
  }
  return [{ name }];
}

/** x × W + b = what they make; only the matrix itself where it is not known what made it. */
function productStage(provenance, name, rows) {
  const { rule } = provenance.matrices[name];
  if (rule.kind !== "product") return [{ name }];
  const bias = rule.bias ? [{ op: "+" }, { name: rule.bias }] : [];
  return [{ name: rule.a, rows }, { op: "×" }, { name: rule.b }, ...bias, { op: "=" }, { name }];
}

function valueStage(provenance, head) {
  const mixed = provenance.matrices[`AV.${head}`] ? `AV.${head}` : `z.${head}`,
    block = { block: true },
    all = [{ name: `weights.${head}` }, { op: "×" }, { name: "V", ...block }, { op: "=" }, { name: mixed, ...block }];
  if (mixed.startsWith("z.")) return all;
  const by = provenance.matrices[`z.${head}`].rule.by;
  return [...all, { op: `× ${by} =` }, { name: `z.${head}`, ...block }];
}

/** The factor on the scores, as it is written: ÷ √16, or ×1 where a model does without. */
function divided(provenance, head) {
  const by = provenance.matrices[`scaled.${head}`].rule.by;
  return Math.abs(by * Math.sqrt(provenance.width) - 1) < 1e-6 ? `÷ √${provenance.width}` : `× ${by}`;
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
