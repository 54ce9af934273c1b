/* terms.js: what made a cell, by the rules of analysis/provenance/terms.py: the same terms as Provenance.terms, in
   the same order. */
import { cellValue, isRemote } from "./read.js";

const factorOf = (provenance, name, r, c) => ({ value: cellValue(provenance, name, r, c), cell: [name, r, c] });
const termOf = (...factors) => ({ value: factors.reduce((p, f) => p * f.value, 1), factors });

/**
 * {kind, terms: [{value, factors: [{value, cell}], bias}], chosen, mean, deviation, total, size} of the cell (r, c).
 */
export function termsOf(provenance, name, r, c) {
  if (isRemote(provenance, name)) return finished({ kind: "remote", terms: [] });
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
  scale: (provenance, rule, r, c) => {
    const factor = factorOf(provenance, rule.of, r, c);
    return { terms: [{ value: factor.value * rule.by, factors: [factor] }], by: rule.by };
  },
  softmax: (provenance, rule, r, c) => {
    const factors = Array.from({ length: provenance.matrices[rule.of].width }, (_, k) =>
      factorOf(provenance, rule.of, r, k),
    );
    const top = Math.max(...factors.map((f) => f.value));
    const power = (v) => (top === -Infinity ? 0 : Math.exp((v - top) / rule.temperature));
    return {
      terms: factors.map((f, k) => ({ value: power(f.value), factors: [f], k })),
      chosen: c,
      top,
      temperature: rule.temperature,
    };
  },
  norm: (provenance, rule, r, c) => {
    const m = provenance.matrices[rule.of],
      row = m.values.subarray(r * m.stored, (r + 1) * m.stored);
    const mean = row.reduce((s, v) => s + v, 0) / row.length;
    const deviation = Math.sqrt(row.reduce((s, v) => s + (v - mean) ** 2, 0) / row.length + rule.eps);
    const x = factorOf(provenance, rule.of, r, c),
      gamma = factorOf(provenance, rule.weight, 0, c);
    const terms = [{ value: ((x.value - mean) / deviation) * gamma.value, factors: [x, gamma] }];
    if (rule.bias) terms.push({ ...termOf(factorOf(provenance, rule.bias, 0, c)), bias: true });
    return { terms, mean, deviation };
  },
  concat: (provenance, rule, r, c) => ({
    terms: [termOf(factorOf(provenance, rule.parts[Math.floor(c / rule.width)], r, c))],
  }),
};

function finished(found) {
  const sum = found.terms.reduce((s, t) => s + t.value, 0);
  const size = found.terms.reduce((s, t) => s + (Number.isFinite(t.value) ? Math.abs(t.value) : 0), 0);
  const total = found.chosen == null ? sum : sum ? found.terms[found.chosen].value / sum : 0;
  return { ...found, sum, size, total };
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
