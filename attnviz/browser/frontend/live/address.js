/* address.js: what the page shows, in its address after the #: it never reaches a server. The names are the app's: of
   Explore for a text, of Vision for a picture. */
import { LIMITS } from "../core/contract.js";
import { viewFromQuery, viewQuery } from "./view-link.js";

const LONGEST_TEXT = 2_000; // characters: browsers and mail cut longer addresses
const LONGEST_OFF = 200; // heads

/**
 * @typedef {object} Shown
 * @property {string} model
 * @property {string} text
 * @property {"self" | "cross" | "encoder"} stack
 * @property {[number, number][]} off heads switched off
 * @property {import("../core/contract.js").ViewState} state
 * @property {Picture} picture
 *
 * @typedef {object} Picture what is shown of a model of images
 * @property {string} drawing a character from 0 to g per cell
 * @property {number} layer
 * @property {number} head −1: the rollout
 * @property {number} query the token that looks
 * @property {number} temperature
 *
 * @typedef {import("./model-files.js").Offered[]} Models
 */

/** The text to show of a model; one that nobody wrote gives way to that model's own. @param {Models} models */
export function textFor(model, text, models) {
  const own = models.find(({ name }) => name === model)?.text;
  return own && models.some((one) => one.text === text) ? own : text;
}

const ofImages = (models, model) => models.find(({ name }) => name === model)?.reads === "image";

/**
 * @param {string} hash
 * @param {Shown} first what shows without one
 * @param {Models} models
 * @returns {Shown}
 */
export function readAddress(hash, first, models) {
  const query = Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
  if (!Object.keys(query).length) return first;
  const pairs = (query.off ?? "").split(/[_,]/).slice(0, LONGEST_OFF);
  const off = pairs.map((pair) => /^(\d{1,3})\.(\d{1,3})$/.exec(pair)).filter(Boolean);
  const known = models.some(({ name }) => name === query.model);
  const shown = {
    ...first,
    model: known ? query.model : first.model,
    off: off.map((found) => /** @type {[number, number]} */ ([Number(found[1]), Number(found[2])])),
  };
  if (ofImages(models, shown.model)) return { ...shown, picture: readPicture(query, first.picture) };
  return {
    ...shown,
    text: (query.text ?? textFor(shown.model, first.text, models)).slice(0, LONGEST_TEXT),
    stack: /** @type {any} */ (["self", "cross", "encoder"].find((name) => name === query.stack) ?? first.stack),
    state: viewFromQuery(query),
  };
}

/** @param {Record<string, string>} query @param {Picture} first @returns {Picture} */
function readPicture(query, first) {
  const { drawing, temperature } = query;
  const whole = (name, lowest) => {
    const value = /^-?\d{1,4}$/.test(query[name] ?? "") ? Number(query[name]) : NaN;
    return value >= lowest ? value : first[name];
  };
  const warm = /^\d{1,3}(\.\d{1,6})?$/.test(temperature ?? "") ? Number(temperature) : NaN;
  return {
    drawing: /^[0-9a-g]{64}$/.test(drawing ?? "") ? drawing : first.drawing,
    layer: whole("layer", 0),
    head: whole("head", -1),
    query: whole("query", 0),
    temperature: warm >= LIMITS.temperature[0] && warm <= LIMITS.temperature[1] ? warm : 1,
  };
}

/** @param {Shown} shown @param {Models} models @returns {string} */
export function writeAddress({ model, text, stack, off, state, picture }, models) {
  if (ofImages(models, model)) {
    const { temperature, ...where } = picture;
    const query = new URLSearchParams({ model, .../** @type {any} */ (where) });
    if (temperature !== 1) query.set("temperature", String(temperature));
    if (off.length) query.set("off", off.map((pair) => pair.join(".")).join());
    return `#${query}`;
  }
  const query = new URLSearchParams({ model, ...viewQuery(state) });
  if (text.length <= LONGEST_TEXT) query.set("text", text);
  if (stack !== "self") query.set("stack", stack);
  if (off.length) query.set("off", off.map((pair) => pair.join(".")).join("_"));
  return `#${query}`;
}
