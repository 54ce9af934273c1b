/* terms.js: what made a cell, by the rules of analysis/provenance/terms.py: the same terms as Provenance.terms, in
   the same order. */
import { cellValue, isElsewhere } from "./read.js";

const factorOf = (provenance, name, r, c) => ({ value: cellValue(provenance, name, r, c), cell: [name, r, c] });
const termOf = (...factors) => ({ value: factors.reduce((p, f) => p * f.value, 1), factors });
const timesOf = (by, factor) => ({ value: factor.value * by, factors: [factor], by });
const rowOf = (provenance, name, r) =>
  Array.from({ length: provenance.matrices[name].width }, (_, k) => factorOf(provenance, name, r, k));

/**
 * {kind, terms: [{value, factors: [{value, cell}], by, bias}], chosen, divisor, total, size} of the cell (r, c), and
 * what its kind works out on the way.
 */
export function termsOf(provenance, name, r, c) {
  if (isElsewhere(provenance, [name, r, c])) return finished({ kind: "remote", terms: [] });
  const rule = provenance.matrices[name].rule,
    make = TERM_RULES[rule.kind];
  return finished({ kind: rule.kind, ...make(provenance, rule, r, c) });
}

const TERM_RULES = {
  given: () => ({ terms: [] }),
  sum: (provenance, rule, r, c) => ({
    terms: rule.parts.map((part) =>
      termOf(factorOf(provenance, part, Math.min(r, provenance.matrices[part].rows - 1), c)),
    ),
  }),
  product: (provenance, rule, r, c) => {
    const terms = [];
    for (let k = rule.start; k < rule.stop; k++) {
      const term = termOf(
        factorOf(provenance, rule.a, r, k),
        rule.transposed ? factorOf(provenance, rule.b, c, k) : factorOf(provenance, rule.b, k, c),
      );
      terms.push({ ...term, k });
    }
    if (rule.bias) terms.push({ ...termOf(factorOf(provenance, rule.bias, 0, c)), bias: true });
    return { terms };
  },
  scale: (provenance, rule, r, c) => ({ terms: [timesOf(rule.by, factorOf(provenance, rule.of, r, c))] }),
  softmax: (provenance, rule, r, c) => {
    const factors = rowOf(provenance, rule.of, r);
    const top = Math.max(...factors.map((f) => f.value));
    const power = (v) => (top === -Infinity ? 0 : Math.exp((v - top) / rule.temperature));
    return {
      terms: factors.map((f, k) => ({ value: power(f.value), factors: [f], k })),
      chosen: c,
      top,
      temperature: rule.temperature,
    };
  },
  mean: (provenance, rule, r) => {
    const terms = rowOf(provenance, rule.of, r).map((x, k) => ({ ...termOf(x), k }));
    return { terms, divisor: terms.length };
  },
  variance: (provenance, rule, r) => {
    const mean = factorOf(provenance, rule.mean, r, 0),
      terms = rowOf(provenance, rule.of, r).map((x, k) => ({
        value: (x.value - mean.value) ** 2,
        factors: [x, mean],
        k,
      }));
    return { terms, divisor: terms.length };
  },
  norm: (provenance, rule, r, c) => {
    const x = factorOf(provenance, rule.of, r, c),
      mean = factorOf(provenance, rule.mean, r, 0),
      variance = factorOf(provenance, rule.variance, r, 0),
      gamma = factorOf(provenance, rule.weight, 0, c);
    const centred = x.value - mean.value,
      deviation = Math.sqrt(variance.value + rule.eps),
      terms = [{ value: (centred / deviation) * gamma.value, factors: [x, mean, variance, gamma] }];
    if (rule.bias) terms.push({ ...termOf(factorOf(provenance, rule.bias, 0, c)), bias: true });
    return { terms, centred, deviation, eps: rule.eps };
  },
  activation: (provenance, rule, r, c) => {
    const x = factorOf(provenance, rule.of, r, c);
    return { terms: [{ value: ACTIVATIONS[rule.function](x.value), factors: [x] }], function: rule.function };
  },
  rotation: (provenance, rule, r, c) => {
    const even = c - (c % 2),
      angle = r * rule.rates[(even % rule.width) / 2],
      [sin, cos] = [Math.sin(angle), Math.cos(angle)],
      [first, second] = [factorOf(provenance, rule.of, r, even), factorOf(provenance, rule.of, r, even + 1)];
    const by = c === even ? [cos, -sin] : [sin, cos];
    return { terms: [timesOf(by[0], first), timesOf(by[1], second)], angle, even };
  },
  concat: (provenance, rule, r, c) => ({
    terms: [termOf(factorOf(provenance, rule.parts[Math.floor(c / rule.width)], r, c))],
  }),
};

/** erfc(x), from the series of erf, whose terms are all positive; of far numbers from its continued fraction. */
function erfc(x) {
  const tail = Math.abs(x) < 3 ? 1 - erf(Math.abs(x)) : farTail(Math.abs(x));
  return x < 0 ? 2 - tail : tail;
}

function erf(x) {
  let term = x,
    sum = x;
  for (let n = 1; term > 1e-17 * sum; n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function farTail(x) {
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}

/** By their names in the rules. */
export const ACTIVATIONS = {
  relu: (x) => Math.max(0, x),
  gelu: (x) => 0.5 * x * erfc(-x / Math.SQRT2),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

function finished(found) {
  const sum = found.terms.reduce((s, t) => s + t.value, 0);
  const size = found.terms.reduce((s, t) => s + (Number.isFinite(t.value) ? Math.abs(t.value) : 0), 0);
  const divisor = found.divisor ?? 1,
    total = found.chosen == null ? sum / divisor : sum ? found.terms[found.chosen].value / sum : 0;
  return { ...found, sum, size: size / divisor, total };
}

/**
 * The `most` largest terms in their own order, and what the others add up to; all of them if only few are left over.
 */
export function grouped(terms, most = 8) {
  if (terms.length <= most + 2) return { shown: terms, others: 0, rest: 0 };
  const bias = terms.filter((t) => t.bias),
    plain = terms.filter((t) => !t.bias);
  const largest = new Set([...plain].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, most));
  const rest = plain.reduce((s, t) => (largest.has(t) ? s : s + t.value), 0);
  return { shown: [...plain.filter((t) => largest.has(t)), ...bias], others: plain.length - largest.size, rest };
}
