/* masks.js: which query may see which key, and what else a layer runs with, under settings that replace what it ran
   with. No DOM. */

/** @typedef {import("./unpack.js").Model} Model */

/**
 * What replaces what the layer ran with; null or undefined keeps it.
 *
 * @typedef {object} Settings
 * @property {number | null} [temperature] divides the scores
 * @property {boolean | null} [scaled] true: the model's own factor, 1/√d in nearly all; false: 1
 * @property {string} [mask] "model": as run; "causal", "window" (|i - j| <= window, causal if the model is) and "none"
 *   replace it; "painted" keeps the mask (of the model `under`, if given) and blocks where the bitmap `painted` is 1.
 *   Which keys are real (padding), keys beyond the text and blocked cells stay, as in Intervention.mask.
 * @property {number | null} [window]
 * @property {Uint8Array | null} [painted] T × S
 * @property {Model | null} [under]
 */

/**
 * The mask under these settings: {causal, window, length, dense, keys, blocked, painted}. Length is the number of keys
 * that can be seen before the `extra` ones at the end, which every query sees.
 *
 * @param {Model} model
 * @param {number} layer
 * @param {Settings} settings
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
export function layerRule(model, layer, head, settings) {
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
    softcap: own.softcap,
    sink: own.sinks ? own.sinks[head] : null,
    scale: scaled == null ? own.scale : scaled ? own.base : 1,
    temperature: temperature ?? own.temperature,
  };
}

/**
 * One head of an array whose sides of length 1 stand for all heads, queries or keys.
 *
 * @param {{shape: number[], values: ArrayLike<number>}} all
 * @param {number} head
 */
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
export function keyRange({ length, causal, window }, i) {
  const high = Math.min(length, causal ? i + 1 : length, window === null ? length : i + window + 1);
  const low = window === null ? 0 : Math.max(0, i - window);
  return [Math.min(low, high), high];
}

/** Whether nothing but the range decides what a query sees. */
export const isRange = (rule) => !rule.dense && !rule.keys && !rule.blocked && !rule.painted && rule.end === rule.S;

const bitOf = (bits, i, j) => bits.values[bits.start + i * bits.row + j * bits.step] === 1;

/** Whether query i, whose range is [low, high), sees key j. */
export function openCell(rule, i, j, low, high) {
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

/** Whether query i may attend to key j. */
export function allowed(model, layer, head, i, j, settings = {}) {
  return opener(model, layer, head, settings)(i, j);
}

/** The same as a function of i and j, for many pairs. */
export function opener(model, layer, head, settings = {}) {
  const rule = layerRule(model, layer, head, settings);
  return (i, j) => openCell(rule, i, j, ...keyRange(rule, i));
}
