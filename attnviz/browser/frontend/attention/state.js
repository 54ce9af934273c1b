/* state.js: the view's state: complete, and as far as it fits a text and a model. No DOM. */
import { DEFAULTS } from "../core/contract.js";

/** @typedef {import("../core/contract.js").ViewState} State what a visitor has chosen */

/** A state of its own with the given fields, the others at their defaults. @returns {State} */
export const stateOf = (given) => ({ ...structuredClone(DEFAULTS), ...(given || {}) });

export const MOST_HEADS = 3; // drawn beside the chosen one

/**
 * The given state, with whatever does not fit this text or this model left at its default.
 *
 * @param {Partial<State> | null} given
 * @param {import("./unpack.js").Model} model
 */
export function legalState(given, model) {
  const state = stateOf(given);
  const { T, S, layers, layersN, sentences, keySentences } = model;
  state.layer = Math.min(state.layer, layersN - 1);
  state.head = Math.min(state.head, layers[state.layer].heads - 1);
  state.queries = state.queries.filter((i) => i < T);
  if (!(state.key < S)) state.key = null;
  state.painted = state.painted.filter(([i, j]) => i < T && j < S);
  state.heads = state.heads.filter(([l, h]) => l < layersN && h < layers[l].heads).slice(0, MOST_HEADS);
  const pair = state.sentences;
  if (pair && (pair[0] >= sentences.length || pair[1] >= keySentences.length)) state.sentences = null;
  const part = state.zoom;
  if (part && (part[1] > T || part[3] > S || part[0] >= part[1] || part[2] >= part[3])) state.zoom = null;
  return state;
}
