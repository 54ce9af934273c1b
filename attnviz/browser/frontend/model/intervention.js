/* intervention.js: a change to a forward pass as data, as attnviz/nn/intervention.py has it. No DOM. */

/**
 * What to do differently; a field that is missing changes nothing.
 *
 * @typedef {object} Intervention
 * @property {number} [temperature] τ > 0 in softmax(scores / τ)
 * @property {boolean} [scaled] false leaves out the factor 1/√d
 * @property {null | "causal" | "none" | ["window", number]} [mask]
 * @property {[number | null, number | null, number, number][]} [blocked] layer, head (null: all), query, key
 * @property {[number | null, number, number][]} [headScale] layer (null: all), head, factor
 * @property {string | null} [positions]
 * @property {number[] | null} [layers] the layers to act in; null: every one
 * @property {"all" | "encoder" | "decoder" | "cross"} [where]
 */

/**
 * What of an intervention is left in one layer's attention.
 *
 * @typedef {object} Change
 * @property {number} temperature
 * @property {boolean} scaled
 * @property {null | "causal" | "none" | ["window", number]} mask
 * @property {[number | null, number, number][]} blocked head (null: all), query, key
 * @property {[number, number][]} headScale head, factor
 */

/** @type {Required<Intervention>} */
const IDLE = {
  temperature: 1,
  scaled: true,
  mask: null,
  blocked: [],
  headScale: [],
  positions: null,
  layers: null,
  where: "all",
};

/**
 * The intervention with all its fields, or null if it changes nothing. Errors: a temperature, layer or head that is
 * none, with the number.
 *
 * @param {Intervention | null | undefined} given
 * @param {{n_layers: number, n_heads: number}} config
 * @returns {Required<Intervention> | null}
 */
export function whole(given, config) {
  if (!given) return null;
  const all = { ...IDLE, ...given };
  all.headScale = all.headScale.filter(([, , factor]) => factor !== 1);
  if (!(all.temperature > 0) || !Number.isFinite(all.temperature))
    throw new Error(`temperature ${all.temperature} is not a finite number above 0`);
  const idle = all.temperature === 1 && all.scaled && !all.mask && !all.blocked.length && !all.headScale.length;
  if (all.positions === null && (idle || all.layers?.length === 0)) return null;
  checkPlaces(all, config);
  return all;
}

function checkPlaces({ layers, blocked, headScale }, { n_layers, n_heads }) {
  const named = [...(layers ?? []), ...blocked.map(([layer]) => layer), ...headScale.map(([layer]) => layer)];
  const wrong = named.find((layer) => layer !== null && !(layer >= 0 && layer < n_layers));
  if (wrong !== undefined) throw new Error(`the intervention names layer ${wrong} of ${n_layers} (counted from 0)`);
  const heads = [...headScale.map(([, head]) => head), ...blocked.map(([, head]) => head)];
  const off = heads.find((head) => head !== null && !(head >= 0 && head < n_heads));
  if (off !== undefined) throw new Error(`the intervention names head ${off} of ${n_heads} (counted from 0)`);
}

/** Whether an intervention acts in a layer of a stack. */
export const actsIn = (all, layer, place) =>
  (all.where === "all" || all.where === place) && (all.layers === null || all.layers.includes(layer));

/**
 * What is left of it in one layer's attention ("encoder", "decoder" or "cross"); null if nothing.
 *
 * @param {Required<Intervention> | null} all
 * @param {number} layer
 * @param {string} place
 * @returns {Change | null}
 */
export function changeAt(all, layer, place) {
  if (!all || !actsIn(all, layer, place)) return null;
  const here = (at) => at === null || at === layer;
  return {
    temperature: all.temperature,
    scaled: all.scaled,
    mask: place === "cross" ? null : all.mask,
    blocked: all.blocked.filter(([at]) => here(at)).map(([, head, query, key]) => [head, query, key]),
    headScale: all.headScale.filter(([at]) => here(at)).map(([, head, factor]) => [head, factor]),
  };
}

/**
 * The intervention as text, as intervention_text.py writes it: "temperature 2; causal mask".
 *
 * @param {Required<Intervention>} all
 */
export function interventionText({ temperature, scaled, mask, blocked, headScale, positions, layers, where }) {
  const parts = [];
  if (temperature !== 1) parts.push(`temperature ${Number(temperature.toPrecision(6))}`);
  if (!scaled) parts.push("scores not divided by √d");
  if (mask === "causal") parts.push("causal mask");
  else if (mask === "none") parts.push("no mask");
  else if (mask) parts.push(`mask: a window of ${mask[1]}`);
  const cells = blocked.length.toLocaleString("en");
  if (blocked.length) parts.push(`${cells} ${blocked.length === 1 ? "cell" : "cells"} blocked`);
  for (const [layer, head, factor] of headScale) {
    const name = layer === null ? `head ${head}` : `layer ${layer}, head ${head}`;
    parts.push(factor === 0 ? `${name} off` : `${name} × ${Number(factor.toPrecision(6))}`);
  }
  if (positions !== null) parts.push(`positions: ${positions}`);
  if (parts.length && layers !== null)
    parts.push(`only in ${layers.length === 1 ? "layer" : "layers"} ${layers.join(", ")}`);
  if (parts.length && where !== "all") parts.push(`only in the ${where}${where === "cross" ? "-attention" : ""}`);
  return parts.join("; ");
}
