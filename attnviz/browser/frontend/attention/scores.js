/* scores.js: what kind of head it is, in one number per head, from its weights. No DOM.

   A share is the weight that queries give to their target keys, mean over the queries that have a target and see
   anything; the induction score is the prefix-matching score of Olsson et al. 2022. All of them count tokens, also
   where words are joined. */
import { number, percent } from "../core/format.js";
import { entropy } from "./entropy.js";

const SHARES = [
  ["previous", "previous token", "mean weight on the token before"],
  ["next", "next token", "mean weight on the token after"],
  ["self", "self", "mean weight on the token itself"],
  ["first", "first token", "mean weight on the first token"],
  ["special", "special tokens", "mean weight on special tokens"],
  ["induction", "induction", "mean weight on what followed an earlier copy of the token"],
];

/**
 * @typedef {object} Score
 * @property {string} name
 * @property {string} label
 * @property {string} gloss
 * @property {"bits" | "share" | "given"} kind
 * @property {number} top stands at the end of the scale
 * @property {number[][]} [targets] of a share: per query the keys that count
 * @property {(number | null)[][]} [values] of what the page gave
 * @property {boolean} [signed]
 */

/** Scores of this model's heads. @param {import("./unpack.js").Model} model @returns {Score[]} */
export function scoreTable(model) {
  /** @type {Score} */
  const bits = {
    name: "entropy",
    label: "entropy",
    gloss: "mean entropy",
    kind: "bits",
    top: Math.log2(Math.max(2, model.S)),
  };
  /** @type {Score[]} */
  const shares = SHARES.map(([name, label, gloss]) => ({
    name,
    label,
    gloss,
    kind: "share",
    top: 1,
    targets: scoreTargets(model, name),
  }));
  /** @type {Score[]} */
  const given = Object.entries(model.scores || {}).map(([name, values]) => {
    const flat = values.flat().filter((v) => v !== null),
      label = name.replaceAll("-", " ");
    return {
      name,
      label,
      gloss: label,
      kind: "given",
      values,
      signed: flat.some((v) => v < 0),
      top: Math.max(1e-12, ...flat.map(Math.abs)),
    };
  });
  return [bits, ...shares.filter((s) => s.targets), ...given];
}

/** Per query the keys that a share counts, or null where no query has any. */
function scoreTargets(model, name) {
  const { T, S, tokens, keys } = model,
    own = keys === tokens,
    at = (of) => Array.from({ length: T }, (_, i) => of(i).filter((j) => j >= 0 && j < S));
  const special = name === "special" ? [...keys.keys()].filter((j) => keys[j].sp) : [];
  const found = {
    previous: () => own && at((i) => [i - 1]),
    next: () => own && !model.layers.every((layer) => layer.mask.causal) && at((i) => (i + 1 < T ? [i + 1] : [])),
    self: () => own && at((i) => [i]),
    first: () => at(() => [0]),
    special: () => at(() => special),
    induction: () => own && inductionTargets(tokens),
  }[name]();
  return found && found.some((list) => list.length) ? found : null;
}

/** The tokens right after earlier copies of each token. */
function inductionTargets(tokens) {
  const seen = new Map();
  return tokens.map(({ label, sp }, i) => {
    if (sp) return [];
    const before = seen.get(label) || [],
      targets = before.map((j) => j + 1).filter((j) => j < i && !tokens[j].sp);
    seen.set(label, [...before, i]);
    return targets;
  });
}

/**
 * One score of weights a (T × S); rows that see nothing or hold NaN do not count, NaN if no row does.
 *
 * @param {{T: number, S: number}} model
 * @param {Pick<Score, "kind" | "targets">} score
 * @param {Float32Array} a
 */
export function scoreHead({ T, S }, { kind, targets }, a) {
  let sum = 0,
    rows = 0;
  for (let i = 0; i < T; i++) {
    if (targets && !targets[i].length) continue;
    let total = 0;
    for (let j = i * S, end = j + S; j < end; j++) total += a[j];
    if (!(total > 0)) continue;
    if (kind === "bits") sum += entropy(a, i * S, S);
    else for (const j of targets[i]) sum += a[i * S + j];
    rows++;
  }
  return rows ? sum / rows : NaN;
}

/** A score in words and, shorter, in a cell. */
export const scoreText = ({ kind }, v) =>
  kind === "share" ? percent(v) : kind === "bits" ? `${number(v)}\u202fbits` : v === null ? "none" : number(v);
export function scoreCell({ kind, top }, v) {
  if (v === null || !Number.isFinite(v)) return "";
  if (kind === "share") return v < 0.01 ? "" : String(Math.round(v * 100));
  return number(v, kind === "bits" ? 1 : top < 10 ? 2 : 0);
}

/** What the ends of the colour scale are. */
export function scoreRange(score) {
  if (score.kind === "share") return "darkest 100\u202f%";
  if (score.kind === "bits") return `darkest ${number(score.top, 1)}\u202fbits`;
  return score.signed ? `red \u2212${number(score.top)} to blue ${number(score.top)}` : `darkest ${number(score.top)}`;
}

/**
 * Heads by score, largest first (the sharpest first of entropy), those without one last; `of` gives a head's score.
 */
export function rankHeads(heads, score, of) {
  const sign = score.kind === "bits" ? 1 : -1,
    value = (k) => {
      const v = of(k);
      return v == null || Number.isNaN(v) ? Infinity : sign * v;
    };
  const values = new Map(heads.map((k) => [k, value(k)]));
  return [...heads].sort((x, y) => values.get(x) - values.get(y) || x - y);
}
