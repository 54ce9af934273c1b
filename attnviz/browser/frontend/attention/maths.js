// Attention from queries and keys, and the numbers read off it. No DOM.
//
//   scores  = q·k · scale + bias        (bias: the model's own, or ALiBi's -slope · |i - j|)
//   weights = softmax(scores / temperature) over the keys that the mask lets a query see
//
// Settings {temperature, scaled, mask, window, painted, under} replace what the layer ran with; null or undefined keeps it:
//   scaled       true: the model's own factor, 1/√d in nearly all; false: 1
//   temperature  a number divides the scores
//   mask         "model": as run; "causal", "window" (|i - j| <= window, causal if the model is) and "none" replace it.
//                "painted" keeps the mask (of the model `under`, if given) and blocks where the T × S bitmap `painted` is 1.
//                Which keys are real (padding), keys beyond the text and blocked cells stay, as in Intervention.mask.

const rawCache = new Map(); // "model:layer:head", with ":past" where later keys are left out → Float32Array, the oldest first
const rawCacheLimit = 96 << 20;
let rawCacheBytes = 0;

const expSteps = 2048,
  expFractions = Float64Array.from({ length: expSteps }, (_, i) => 2 ** (i / expSteps));
const expPowers = Float64Array.from({ length: 152 }, (_, i) => 2 ** -i);

/** e^x for x <= 0, within 1e-11 of Math.exp and several times as fast; 0 where float32 has nothing smaller. */
export function expOf(x) {
  if (x < -104) return 0;
  const steps = x * (expSteps / Math.LN2),
    whole = Math.floor(steps),
    rest = (steps - whole) * (Math.LN2 / expSteps);
  return expFractions[whole & (expSteps - 1)] * expPowers[-(whole >> 11)] * (1 + rest * (1 + rest / 2));
}

const logSteps = 2048,
  logFractions = Float64Array.from({ length: logSteps }, (_, i) => Math.log2(1 + i / logSteps));
const logNumber = new Float32Array(1),
  logBits = new Int32Array(logNumber.buffer);

/** log2 of a positive float32, within 1e-12 of Math.log2 and several times as fast. */
export function log2Of(x) {
  if (x < 2 ** -126) return Math.log2(x); // no exponent of its own
  logNumber[0] = x;
  const bits = logBits[0],
    step = (bits >> 12) & (logSteps - 1),
    rest = (bits & 4095) / (1 << 23) / (1 + step / logSteps);
  return (bits >> 23) - 127 + logFractions[step] + rest * (1 - rest * (1 / 2 - rest / 3)) * Math.LOG2E;
}

/** Settings under which `weights` gives what the run itself computed. */
export function ownSettings() {
  return { temperature: null, scaled: null, mask: "model", window: null };
}

/**
 * q·k of one head, T × S, kept for the next call; keep = false (a sweep over all heads) pushes nothing out of the cache.
 * `past`: keys after the query are not needed, and may stay 0.
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

/**
 * The mask under these settings: {causal, window, length, dense, keys, blocked, painted}. Length is the number of keys that can be
 * seen before the `extra` ones at the end, which every query sees.
 */
export function maskOf(model, layer, { mask, window, painted, under }) {
  const own = ((mask === "painted" && under) || model).layers[layer].mask,
    replaced = mask === "causal" || mask === "window" || mask === "none",
    { extra } = own;
  return {
    causal: mask === "causal" || (mask !== "none" && own.causal),
    window: replaced ? (mask === "window" ? (window ?? 0) : null) : own.window,
    dense: replaced ? null : own.dense,
    keys: own.keys,
    blocked: own.blocked,
    painted: (mask === "painted" && painted) || null,
    extra,
    length: Math.min(own.length ?? model.S, model.S - extra),
  };
}

/** What the layer ran with, after the settings replaced what they replace. */
function layerRule(model, layer, head, settings) {
  const own = model.layers[layer],
    { causal, window, dense, keys, blocked, painted, extra, length } = maskOf(model, layer, settings),
    { temperature, scaled } = settings;
  return {
    S: model.S,
    end: model.S - extra,
    length,
    causal,
    window,
    dense: dense && denseOf(dense, head),
    keys: keys && denseOf(keys, head),
    blocked: blockedOf(blocked, head, model.S),
    painted,
    bias: own.bias && denseOf(own.bias, head),
    slope: own.alibi ? own.alibi[head] : 0,
    scale: scaled == null ? own.scale : scaled ? own.base : 1,
    temperature: temperature ?? own.temperature,
  };
}

/** One head of an array whose sides of length 1 stand for all heads, queries or keys. */
function denseOf({ shape: [h, t, s], values }, head) {
  return { values, start: h > 1 ? head * t * s : 0, row: t > 1 ? s : 0, step: s > 1 ? 1 : 0 };
}

const blockedKnown = new WeakMap(); // a mask's list of cells → head → their set, because every frame asks for it

function blockedOf(cells, head, S) {
  if (!cells.length) return null;
  if (!blockedKnown.has(cells)) blockedKnown.set(cells, new Map());
  const heads = blockedKnown.get(cells);
  if (!heads.has(head)) {
    const here = cells.filter(([only]) => only === null || only === head);
    heads.set(head, here.length ? new Set(here.map(([, i, j]) => i * S + j)) : null);
  }
  return heads.get(head);
}

/** Keys [low, high) that query i may see by causality, window and length. */
function keyRange({ length, causal, window }, i) {
  const high = Math.min(length, causal ? i + 1 : length, window === null ? length : i + window + 1);
  const low = window === null ? 0 : Math.max(0, i - window);
  return [Math.min(low, high), high];
}

/** Whether nothing but the range decides what a query sees. */
const isRange = (rule) => !rule.dense && !rule.keys && !rule.blocked && !rule.painted && rule.end === rule.S;

const bitOf = (bits, i, j) => bits.values[bits.start + i * bits.row + j * bits.step] === 1;

/** Whether query i, whose range is [low, high), sees key j. */
function openCell(rule, i, j, low, high) {
  if (j >= rule.end) return true;
  return (
    j >= low &&
    j < high &&
    (!rule.dense || bitOf(rule.dense, i, j)) &&
    (!rule.keys || bitOf(rule.keys, i, j)) &&
    !rule.blocked?.has(i * rule.S + j) &&
    !rule.painted?.[i * rule.S + j]
  );
}

function rowWeights(rule, i, products, from, out, to) {
  const { S, scale, temperature } = rule,
    [low, high] = keyRange(rule, i),
    factor = scale / temperature;
  const range = isRange(rule),
    plain = !rule.bias && !rule.slope,
    first = range ? low : 0,
    last = range ? high : S;
  out.fill(0, to, to + S);
  let largest = -Infinity,
    sum = 0;
  for (let j = first; j < last; j++) {
    let score = products[from + j] * factor;
    if (!plain) score += biasOf(rule, i, j) / temperature;
    if (!range && !openCell(rule, i, j, low, high)) score = -Infinity;
    out[to + j] = score;
    if (score > largest) largest = score;
  }
  for (let j = first; j < last; j++) {
    const score = out[to + j];
    sum += out[to + j] = score === -Infinity ? 0 : expOf(score - largest);
  }
  if (sum > 0) for (let j = first, part = 1 / sum; j < last; j++) out[to + j] *= part;
  else if (sum !== sum) for (let j = first; j < last; j++) out[to + j] = NaN; // one NaN spoils its row, as in the model
}

function biasOf({ bias, slope }, i, j) {
  return (bias ? bias.values[bias.start + i * bias.row + j * bias.step] : 0) - (slope ? slope * Math.abs(i - j) : 0);
}

/** Whether query i may attend to key j. */
export function allowed(model, layer, head, i, j, settings = {}) {
  return opener(model, layer, head, settings)(i, j);
}

/** The same as a function of i and j, for many pairs. */
export function opener(model, layer, head, settings = {}) {
  const rule = layerRule(model, layer, head, settings);
  return (i, j) => openCell(rule, i, j, ...keyRange(rule, i));
}

/** Every step from products to weight for one query and key. */
export function explain(model, layer, head, i, j, settings = {}) {
  const rule = layerRule(model, layer, head, settings),
    { scale, temperature } = rule;
  const sum = products(model, layer, head, i, j).reduce((total, x) => total + x, 0),
    bias = biasOf(rule, i, j),
    score = sum * scale + bias;
  return {
    sum,
    scale,
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

/** What is shown on each side: tokens, or words with their pieces joined, with or without special tokens. */
export function items(model, { join = false, hide = false } = {}) {
  const queries = itemsOf(model.tokens, model.words, join, hide);
  return { queries, keys: model.keys === model.tokens ? queries : itemsOf(model.keys, model.keyWords, join, hide) };
}

function itemsOf(tokens, words, join, hide) {
  const list = [],
    of = new Int32Array(tokens.length).fill(-1);
  tokens.forEach((token, i) => {
    if (hide && token.sp) return;
    const last = list.at(-1);
    if (join && last && !token.sp && !last.sp && token.w !== null && last.w === token.w) last.toks.push(i);
    else
      list.push({
        w: token.w,
        sp: token.sp,
        cont: token.cont,
        toks: [i],
        label: token.cont ? "·" + token.label : token.label,
      });
    of[i] = list.length - 1;
  });
  for (const item of list) if (item.toks.length > 1) Object.assign(item, { label: words[item.w], cont: false });
  return { list, of };
}

/**
 * Token weights to item weights: keys add up, queries average (Clark et al. 2019, section 4.1).
 * What hidden tokens take is missing from the rows, unless `renormalise` brings each back to 1.
 */
export function fold(model, a, { queries, keys }, { renormalise = false } = {}) {
  const { T, S } = model,
    rows = queries.list,
    n = keys.list.length;
  if (rows.length === T && n === S) return a;
  const out = new Float32Array(rows.length * n),
    columns = keys.of;
  for (let t = 0; t < T; t++) {
    const i = queries.of[t];
    if (i < 0) continue;
    const at = i * n,
      from = t * S,
      part = 1 / rows[i].toks.length;
    for (let s = 0; s < S; s++) if (columns[s] >= 0) out[at + columns[s]] += a[from + s] * part;
  }
  if (renormalise)
    for (let at = 0; at < out.length; at += n) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += out[at + j];
      if (sum > 0) for (let j = 0; j < n; j++) out[at + j] /= sum;
    }
  return out;
}

/** Bits of a row divided by its sum: 0 when it is empty, NaN when it holds NaN. */
export function entropy(a, offset, n) {
  let sum = 0,
    bits = 0;
  for (let j = 0; j < n; j++) sum += a[offset + j];
  if (sum === 0) return 0;
  if (!(sum > 0 && sum < Infinity)) return NaN;
  for (let j = 0; j < n; j++) {
    // of p = a / sum: −Σ p log p = log sum − Σ a log a / sum
    const x = a[offset + j];
    if (x > 0) bits -= x * log2Of(x);
  }
  return Math.max(0, Math.log2(sum) + bits / sum);
}

/** Index, from 0, of the largest of n values. */
export function argmax(a, offset, n) {
  let best = 0;
  for (let j = 1; j < n; j++) if (a[offset + j] > a[offset + best]) best = j;
  return best;
}
