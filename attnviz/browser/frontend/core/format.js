/* format.js: numbers and shares as text, as attnviz/formatting.py writes them. */

const NARROW = "\u202f"; // the narrow no-break space
const MINUS = "\u2212";
const RAISED_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const LONGEST_DRAWN = 120; // characters of a token or a word; 100,000 accents keep a browser busy for a minute
export const LONGEST_KEPT = 1000; // of those that are kept, to be read where it is pointed at
const POWERS = 1e5; // from here on `compact` writes powers of ten

const isZero = (/** @type {string} */ text) => Number(text) === 0;

/**
 * So many decimals, and no minus before a zero: 0.50, −1.25; ∞ and NaN by name.
 * @param {number} value
 * @param {number} [digits]
 */
export function number(value, digits = 2) {
  if (Number.isNaN(value)) return "NaN";
  const text = Number.isFinite(value) ? Math.abs(value).toFixed(digits) : "∞";
  return value < 0 && !isZero(text) ? MINUS + text : text;
}

/**
 * A share of 1: 41 %, 2.3 % under 10, 99.6 % above 99, < 0.1 %.
 * @param {number} share
 */
export function percent(share) {
  const p = 100 * share,
    size = Math.abs(p);
  if (!Number.isFinite(p)) return "NaN";
  if (p > 0 && p < 0.1) return `<${NARROW}0.1${NARROW}%`;
  return `${number(p, p !== 0 && (size < 9.95 || (size > 99 && size < 99.95)) ? 1 : 0)}${NARROW}%`;
}

/**
 * A change of a share in signed percentage points: +12, −0.4, 0.
 * @param {number} change
 */
export function points(change) {
  if (!Number.isFinite(change)) return "NaN";
  const p = 100 * change,
    text = number(p, Math.abs(p) < 9.95 ? 1 : 0);
  return isZero(text) ? "0" : p < 0 ? text : `+${text}`;
}

/**
 * A number for a narrow cell: "?" for NaN, and powers of ten from 100,000: 1.2·10⁵.
 * @param {number} value
 * @param {number} [digits]
 */
export function compact(value, digits = 2) {
  if (Number.isNaN(value)) return "?";
  const size = Math.abs(value);
  if (!(size >= POWERS && size < Infinity)) return number(value, digits);
  const power = Math.floor(Math.log10(size)),
    raised = [...String(power)].map((digit) => RAISED_DIGITS[Number(digit)]).join("");
  return `${value < 0 ? MINUS : ""}${(size / 10 ** power).toFixed(1)}·10${raised}`;
}

/**
 * At most so many characters of a text; what is cut ends with "…".
 * @param {string} text
 * @param {number} [most]
 */
export function shortened(text, most = LONGEST_DRAWN) {
  if (text.length <= most) return text;
  const characters = [...text.slice(0, 2 * most + 2)]; // as UTF-16, a character is at most two long
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("")}…`;
}
