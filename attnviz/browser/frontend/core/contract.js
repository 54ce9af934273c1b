/* contract.js: the state of the attention view, as attnviz/browser/view_state.py has it.
   Written by python -m attnviz.browser.contract; not to be edited. */

/**
 * Selection and settings; layers, heads and tokens count from 0.
 * @typedef {object} ViewState
 * @property {number} layer
 * @property {number} head
 * @property {number[]} queries
 * @property {number | null} key
 * @property {"q" | "k"} side
 * @property {number} temperature
 * @property {boolean} scaled
 * @property {"model" | "causal" | "none" | "window" | "painted"} mask
 * @property {number} window
 * @property {[number, number][]} painted
 * @property {number} threshold
 * @property {boolean} join
 * @property {boolean} hide
 * @property {boolean} renormalise
 * @property {"sqrt" | "linear" | "log"} colour
 * @property {boolean} diff
 * @property {boolean} whole
 * @property {string} sort
 * @property {string} tint
 * @property {[number, number][]} heads
 * @property {boolean | null} horizontal
 * @property {[number, number] | null} sentences
 * @property {[number, number, number, number] | null} zoom
 */

/** @type {ViewState} */
export const DEFAULTS = {
  layer: 0,
  head: 0,
  queries: [],
  key: null,
  side: "q",
  temperature: 1,
  scaled: true,
  mask: "model",
  window: 4,
  painted: [],
  threshold: 0,
  join: false,
  hide: false,
  renormalise: false,
  colour: "sqrt",
  diff: false,
  whole: false,
  sort: "layer",
  tint: "weights",
  heads: [],
  horizontal: null,
  sentences: null,
  zoom: null,
};

/** All legal values of the fields that are words of a list. */
export const OPTIONS = {
  side: ["q", "k"],
  mask: ["model", "causal", "none", "window", "painted"],
  colour: ["sqrt", "linear", "log"],
};

/** The least and the largest legal value of the fields that are numbers. */
export const LIMITS = {
  temperature: [0.01, 100],
  threshold: [0, 1],
};

/** What each field is called in a link. */
export const LINKS = {
  layer: "layer",
  head: "head",
  queries: "q",
  key: "k",
  side: "side",
  temperature: "temp",
  scaled: "scaled",
  mask: "mask",
  window: "window",
  painted: "cells",
  threshold: "min",
  join: "join",
  hide: "hide",
  renormalise: "renorm",
  colour: "colour",
  diff: "diff",
  whole: "whole",
  sort: "sort",
  tint: "tint",
  heads: "heads",
  horizontal: "flat",
  sentences: "from",
  zoom: "zoom",
};

/** What a slider of temperatures steps through. */
export const TEMPERATURES = [
  0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9,
  1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20,
];

/** Cells that may be blocked by hand. */
export const MOST_PAINTED = 4096;

/** Characters of a link that painted cells may take. */
export const LONGEST_PAINTING = 4000;

/** Tokens that may be selected together. */
export const LONGEST_LIST = 64;
