/* maths.js: attention from queries and keys. No DOM.

     scores  = q·k · scale + bias        (bias: the model's own, or ALiBi's -slope · |i - j|; before it is added, a
                                         layer with a soft cap c takes c · tanh(score / c))
     weights = softmax(scores / temperature) over the keys that the mask lets a query see, and a sink beyond them */
import { expOf } from "./exponentials.js";
import { allowed, isRange, keyRange, layerRule, openCell } from "./masks.js";

/**
 * "model:layer:head", with ":past" where later keys are left out → q·k, the oldest first
 *
 * @type {Map<string, Float32Array>}
 */
const rawCache = new Map();
const rawCacheLimit = 96 << 20;
let rawCacheBytes = 0;

/** Settings under which `weights` gives what the run itself computed. */
export function ownSettings() {
  return { temperature: null, scaled: null, mask: "model", window: null };
}

/**
 * q·k of one head, T × S, kept for the next call; keep = false (a sweep over all heads) pushes nothing out of the
 * cache. `past`: keys after the query are not needed, and may stay 0.
 */
export function raw(model, layer, head, keep = true, past = false) {
  const full = `${model.id}:${layer}:${head}`,
    name = past && !rawCache.has(full) ? full + ":past" : full,
    known = rawCache.get(name);
  if (known) {
    rawCache.delete(name);
    rawCache.set(name, known);
    return known;
  }
  const out = rawHead(model, layer, head, past);
  if (keep || rawCacheBytes + out.byteLength <= rawCacheLimit) {
    rawCache.set(name, out);
    rawCacheBytes += out.byteLength;
    for (const [oldest, values] of rawCache) {
      if (rawCacheBytes <= rawCacheLimit || oldest === name) break;
      rawCache.delete(oldest);
      rawCacheBytes -= values.byteLength;
    }
  }
  return out;
}

/** All rows of q·k, four queries by two keys at a time: each number read from memory serves several products. */
function rawHead(model, layer, head, past) {
  const { T, S, d } = model,
    { q, k } = model.layers[layer],
    out = new Float32Array(T * S);
  const Q = rawCopy(0, q, head * T * d, T * d),
    K = rawCopy(1, k, head * S * d, S * d);
  const rows = T - (T % 4),
    columns = S - (S % 2);
  for (let i = 0; i < rows; i += 4)
    for (let j = 0, end = past ? Math.min(columns, i + 4) : columns; j < end; j += 2) {
      let a0 = 0,
        a1 = 0,
        b0 = 0,
        b1 = 0,
        c0 = 0,
        c1 = 0,
        d0 = 0,
        d1 = 0;
      for (let at = i * d, to = j * d, end = to + d; to < end; at++, to++) {
        const x = K[to],
          y = K[to + d],
          a = Q[at],
          b = Q[at + d],
          c = Q[at + 2 * d],
          e = Q[at + 3 * d];
        a0 += a * x;
        a1 += a * y;
        b0 += b * x;
        b1 += b * y;
        c0 += c * x;
        c1 += c * y;
        d0 += e * x;
        d1 += e * y;
      }
      const o = i * S + j;
      out[o] = a0;
      out[o + 1] = a1;
      out[o + S] = b0;
      out[o + S + 1] = b1;
      out[o + 2 * S] = c0;
      out[o + 2 * S + 1] = c1;
      out[o + 3 * S] = d0;
      out[o + 3 * S + 1] = d1;
    }
  for (let i = 0; i < T; i++) rawRow(model, layer, head, i, out, i * S, i < rows ? columns : 0);
  return out;
}

const rawCopies = [new Float64Array(0), new Float64Array(0)];

/** A part of an array as doubles, in memory that the next call takes again. */
function rawCopy(which, values, from, count) {
  if (rawCopies[which].length < count) rawCopies[which] = new Float64Array(count);
  rawCopies[which].set(values.subarray(from, from + count));
  return rawCopies[which];
}

/** q·k of one query with the keys from `start` on. */
function rawRow(model, layer, head, i, out, at, start = 0) {
  const { T, S, d } = model,
    { q, k } = model.layers[layer],
    qi = (head * T + i) * d;
  for (let j = start, kj = (head * S + start) * d; j < S; j++, kj += d) {
    let sum = 0;
    for (let c = 0; c < d; c++) sum += q[qi + c] * k[kj + c];
    out[at + j] = sum;
  }
}

/** One head's attention weights, T × S (into `out` if given); a query that may see nothing gets zeros. */
export function weights(model, layer, head, settings = {}, out = null, keep = true) {
  const { T, S } = model,
    rule = layerRule(model, layer, head, settings),
    past = rule.causal && rule.end === S && T === S;
  const products = raw(model, layer, head, keep, past);
  out ||= new Float32Array(T * S);
  for (let i = 0; i < T; i++) rowWeights(rule, i, products, i * S, out, i * S);
  return out;
}

/** The weights of one query, S values, without working out the rest of the head. */
export function weightsRow(model, layer, head, i, settings = {}, out = null) {
  const S = model.S,
    rule = layerRule(model, layer, head, settings),
    known = rawCache.get(`${model.id}:${layer}:${head}`);
  out ||= new Float32Array(S);
  if (known) rowWeights(rule, i, known, i * S, out, 0);
  else {
    const products = new Float32Array(S);
    rawRow(model, layer, head, i, products, 0);
    rowWeights(rule, i, products, 0, out, 0);
  }
  return out;
}

function rowWeights(rule, i, products, from, out, to) {
  const { S, scale, temperature } = rule,
    [low, high] = keyRange(rule, i),
    factor = scale / temperature,
    capped = rule.softcap !== null;
  const range = isRange(rule),
    plain = !rule.bias && !rule.slope,
    first = range ? low : 0,
    last = range ? high : S;
  out.fill(0, to, to + S);
  let largest = -Infinity,
    sum = 0;
  for (let j = first; j < last; j++) {
    let score = capped ? cappedScore(rule, products[from + j]) / temperature : products[from + j] * factor;
    if (!plain) score += biasOf(rule, i, j) / temperature;
    if (!range && !openCell(rule, i, j, low, high)) score = -Infinity;
    out[to + j] = score;
    if (score > largest) largest = score;
  }
  if (rule.sink !== null) {
    largest = Math.max(largest, rule.sink / temperature);
    sum = expOf(rule.sink / temperature - largest);
  }
  for (let j = first; j < last; j++) {
    const score = out[to + j];
    sum += out[to + j] = score === -Infinity ? 0 : expOf(score - largest);
  }
  if (sum > 0) for (let j = first, part = 1 / sum; j < last; j++) out[to + j] *= part;
  else if (sum !== sum) for (let j = first; j < last; j++) out[to + j] = NaN; // one NaN spoils its row, as in the model
}

/** A score before a bias is added. */
function cappedScore({ scale, softcap }, product) {
  return softcap === null ? product * scale : softcap * Math.tanh((product * scale) / softcap);
}

function biasOf({ bias, slope }, i, j) {
  return (bias ? bias.values[bias.start + i * bias.row + j * bias.step] : 0) - (slope ? slope * Math.abs(i - j) : 0);
}

/** Every step from products to weight for one query and key. */
export function explain(model, layer, head, i, j, settings = {}) {
  const rule = layerRule(model, layer, head, settings),
    { scale, temperature } = rule;
  const sum = products(model, layer, head, i, j).reduce((total, x) => total + x, 0),
    bias = biasOf(rule, i, j),
    capped = cappedScore(rule, sum),
    score = capped + bias;
  return {
    sum,
    scale,
    softcap: rule.softcap,
    capped,
    sink: rule.sink,
    bias,
    score,
    temperature,
    logit: score / temperature,
    allowed: allowed(model, layer, head, i, j, settings),
    weight: weightsRow(model, layer, head, i, settings)[j],
  };
}

/** The d products of query i and key j, whose sum is q·k. */
export function products(model, layer, head, i, j) {
  const { T, S, d } = model,
    { q, k } = model.layers[layer],
    qi = (head * T + i) * d,
    kj = (head * S + j) * d;
  return Float32Array.from({ length: d }, (_, c) => q[qi + c] * k[kj + c]);
}
