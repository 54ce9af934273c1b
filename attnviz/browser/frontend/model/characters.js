/* characters.js: what a person reads for a token, as attnviz/inputs/words.py has it. No DOM. */

/** What Python's str.isspace calls a blank. */
export const BLANK = /^[\p{White_Space}\x1c-\x1f]$/u; // eslint-disable-line no-control-regex
const HIDDEN = /^[\p{C}\p{Z}]$/u;
// Printable to Unicode, yet nothing to see: joiners, fillers, variation selectors, the blank Braille pattern.
const INVISIBLE = [
  /^[\u115f\u1160\u2800\u3164\uffa0]$/u,
  /^(?:\u034f|[\u17b4-\u17b5]|[\u180b-\u180f]|[\ufe00-\ufe0f]|[\u{e0100}-\u{e01ef}])$/u,
];
const NAMES = { " ": "␣", "\n": "↵", "\t": "⇥" };

/** A number as Python writes hexadecimal ones. */
const hex = (code, width) => code.toString(16).toUpperCase().padStart(width, "0");

/** @param {string | number} one a character, or a byte that is part of one */
function shown(one) {
  if (typeof one === "number") return `\\x${hex(one, 2)}`;
  if (one in NAMES) return NAMES[one];
  return HIDDEN.test(one) || INVISIBLE.some((kind) => kind.test(one)) ? `U+${hex(one.codePointAt(0), 4)}` : one;
}

/**
 * A piece so that a person sees all of it: no space before a word; ␣ ↵ ⇥; U+200B for what shows nothing.
 *
 * @param {(string | number)[]} piece characters, and bytes that are part of one
 */
export function readable(piece) {
  const rest = piece.slice(1);
  const word = piece[0] === " " && rest.some((one) => typeof one === "number" || !BLANK.test(one));
  const text = (word ? rest : piece).map(shown).join("");
  return /^\p{M}/u.test(text) ? `◌${text}` : text;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Characters of UTF-8; what is none stays bytes. @param {number[]} bytes @returns {(string | number)[]} */
export function charactersOf(bytes) {
  const out = [];
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i];
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    const character = decoded(bytes.slice(i, i + length));
    out.push(character ?? first);
    i += character === null ? 1 : length;
  }
  return out;
}

function decoded(bytes) {
  try {
    return utf8.decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}

/** GPT-2's visible character for each byte: printable Latin-1 for itself, the rest from U+0100 on. */
export const BYTE_LETTERS = byteLetters();
export const BYTE_OF_LETTER = new Map(BYTE_LETTERS.map((letter, byte) => [letter, byte]));

function byteLetters() {
  const plain = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(plain(byte) ? byte : 256 + others++));
}
