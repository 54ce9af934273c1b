/* digits.js: numbers as a calculator takes them: few digits where they suffice, all of them on demand. */

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const BRIEF = 4; // digits of a number in the panel, if it does not end before
const PLAIN = [1e-4, 1e6]; // sizes that are written without a power of ten

/** JavaScript's text of a number with our minus, and ·10ⁿ for its e. */
function written(text) {
  const [digits, power] = text.split("e"),
    plain = digits.replace("-", "−");
  return power ? `${plain}·10${[...power.replace("+", "")].map((c) => RAISED[c]).join("")}` : plain;
}

/** A number with so many digits that count, without zeros at its end. */
function rounded(value, digits) {
  const short = Number(value.toPrecision(digits)),
    size = Math.abs(short);
  if (size && !(size >= PLAIN[0] && size < PLAIN[1])) return written(short.toExponential());
  return written(String(short));
}

/** All digits of a stored number: the fewest that name it and no other; `single` where 32 bits hold it. */
export function exact(value, single) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "?" : value < 0 ? "−∞" : "∞";
  if (value === 0) return "0";
  const most = single ? 9 : 17,
    stored = single ? Math.fround : (v) => v;
  for (let digits = 1; digits < most; digits++)
    if (stored(Number(value.toPrecision(digits))) === value) return rounded(value, digits);
  return rounded(value, most);
}

/** Of a number that was worked out here from stored ones: the digits that it would have if it were stored like them. */
export function worked(value, single) {
  if (single) return exact(Math.fround(value), true);
  return Number.isFinite(value) && value !== 0 ? rounded(value, 15) : exact(value, false);
}

/** Four digits, or all where they are not more. */
export const brief = (value) =>
  Number.isFinite(value) && value !== 0 ? rounded(value, Number.isInteger(value) ? 6 : BRIEF) : exact(value, true);
