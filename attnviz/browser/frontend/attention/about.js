/* about.js: what a picture is of, in words: model and text, and everything that its numbers depend on. No DOM. */
import { hasRun, headName, headShown, isChanged, plainModel, sourceOf } from "./selectors.js";

const MASK_WORDS = { causal: "causal", none: "none" };

/** What the mask that a model was trained with is called here. */
export function maskName({ causal, window, dense, length }, S) {
  if (causal) return "causal";
  if (window != null) return "window";
  if (dense) return "own";
  return length != null && length < S ? "padding" : "none";
}

const MASK_TRAINED = { own: "a pattern of its own", padding: "all but the padding", window: "a window" };

function maskText({ state, model }, own) {
  const trained = `as trained (${MASK_TRAINED[own] ?? own})`;
  if (state.mask === "window") return `${state.window} tokens to either side`;
  if (state.mask !== "painted" || !state.painted.length) return MASK_WORDS[state.mask] ?? trained;
  const { length } = state.painted.filter(([i, j]) => i < model.T && j < model.S);
  return `${trained}, ${length} ${length === 1 ? "cell" : "cells"} blocked by hand`;
}

/**
 * Two lines: the model with its text; the head with the settings.
 *
 * @param {import("./store.js").Store} store
 * @returns {string[]}
 */
export function aboutLines(store) {
  const { state, model } = store;
  const plain = plainModel(store);
  const source = sourceOf(store);
  const name = headName(model, headShown(store));
  const run = source.intervention && !hasRun(store) ? `run with ${source.intervention}` : "";
  const off = hasRun(store) ? (source.intervention ?? "").split("; ").filter((part) => part.endsWith(" off")) : [];
  const parts = [
    name[0].toLowerCase() + name.slice(1),
    run,
    ...off, // heads: the settings below do not name them
    `temperature ${Number(state.temperature.toPrecision(6))}`,
    `mask: ${maskText(store, maskName(plain.mask, model.S))}`,
    !state.scaled && "scores not divided by √d",
    isChanged(store) && (hasRun(store) ? "the model rerun with it" : "this softmax only"),
    state.diff && isChanged(store) && "shown: the change against the trained model",
    state.join && "pieces of words joined",
    state.hide && `special tokens hidden${state.renormalise ? ", rows add up to 100\u202f% again" : ""}`,
  ];
  const text = model.text && `“${model.text}”`;
  return [[model.title, text], parts].map((line) => line.filter(Boolean).join(" · ")).filter(Boolean);
}
