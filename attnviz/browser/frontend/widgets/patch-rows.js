/* patch-rows.js: a vision model's attention rows as the page sends them, and what is said of them.
   The message is a frame: {layers, heads, tokens, special, names: [[label, words]], side, queries, picture: [height,
   width, channels]}, then float32 weights (L, H + 1, Q, T), of each layer the heads and then its rollout, and the uint8
   picture. */
import { percent } from "../core/format.js";
import { readAligned } from "../core/framing.js";

export const PATCH_ROLLOUT = -1; // in the place of a head

export function readPatches(message) {
  const { header, buffer, start } = readAligned(message),
    count = header.layers * (header.heads + 1) * header.queries.length * header.tokens;
  return {
    ...header,
    weights: new Float32Array(buffer, start, count),
    pixels: new Uint8Array(buffer, start + 4 * count),
  };
}

/** The row of a token that looks, or of the first one that is here. */
export function patchRow(model, layer, head, query) {
  const at = Math.max(0, model.queries.indexOf(query)),
    column = head === PATCH_ROLLOUT ? model.heads : head;
  const start = ((layer * (model.heads + 1) + column) * model.queries.length + at) * model.tokens;
  return model.weights.subarray(start, start + model.tokens);
}

export function patchName(model, token) {
  if (token < model.special) return model.names[token][1];
  const at = token - model.special;
  return `the patch in row ${Math.floor(at / model.side)}, column ${at % model.side}`;
}

/** What the view says of one weight. */
export function patchSentence(model, { layer, head, query }, key, value) {
  const who = patchName(model, query),
    share = percent(value),
    itself = key === query ? "itself" : patchName(model, key);
  if (head === PATCH_ROLLOUT)
    return [`Rolled out from the input to layer ${layer}, `, share, ` of ${who} goes back to ${itself}.`];
  return [`In layer ${layer}, head ${head}, ${who} gives `, share, ` of its attention to ${itself}.`];
}

/** The token that gets most. */
export const patchStrongest = (row) => row.reduce((best, v, i) => (v > row[best] ? i : best), 0);

/** The picture's text alternative: who looks where, and the three places that get most, as vision/text.py has it. */
export function patchesInWords(model, { layer, head, query }, row) {
  const best = [...row.keys()].sort((a, b) => row[b] - row[a] || a - b).slice(0, 3);
  const shares = best.map((i) => `${patchName(model, i)} ${percent(row[i])}`),
    most = `${shares.slice(0, -1).join(", ")} and ${shares[shares.length - 1]}`,
    who = patchName(model, query);
  if (head === PATCH_ROLLOUT) return `Rollout from the input to layer ${layer}: of ${who}, most goes back to ${most}.`;
  return `In layer ${layer}, head ${head}, ${who} gives most of its attention to ${most}.`;
}
