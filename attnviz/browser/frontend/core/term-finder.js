/* term-finder.js: where terms stand in a text. No DOM.

   A term is found in lower case or with a capital at its beginning, with a plural -s or -es; what has capitals or signs
   in it only as it is written. Signs of tokens ([CLS], ·ly, \xD9) are found wherever they stand, words not in “quotes”,
   for these hold the reader's own text. */

/**
 * @typedef {object} Entry
 * @property {string} term
 * @property {string[]} also
 * @property {string} pattern a regular expression, or ""
 *
 * @typedef {{start: number, end: number, entry: number}} Place
 * @typedef {{entry: number, sign: boolean}} Known
 * @typedef {{all: RegExp, known: Map<string, Known>, signs: {entry: number, pattern: RegExp}[]}} Finder
 */

const BEFORE = "(?<![\\p{L}\\p{N}_])"; // no word goes on here
const AFTER = "(?![\\p{L}\\p{N}_])";

const escapeSign = (/** @type {string} */ text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

const isSign = (/** @type {string} */ spelling) => spelling.startsWith("[");

/** How a spelling may be written. */
function writtenAs(/** @type {string} */ spelling) {
  if (!/^[a-z]/.test(spelling) || /[·_]/.test(spelling)) return [spelling];
  const capital = spelling[0].toUpperCase() + spelling.slice(1);
  return ["", "s", "es"].flatMap((ending) => [spelling + ending, capital + ending]);
}

/**
 * What finds the entries' terms. One expression finds them all, and a table tells which one it was: groups, or a look
 * around at each term, would make the browser compile for a tenth of a second.
 * @param {Entry[]} entries
 * @returns {Finder}
 */
export function termFinder(entries) {
  const spellings = entries.flatMap(({ term, also }, entry) => [term, ...also].map((text) => ({ text, entry })));
  spellings.sort((a, b) => b.text.length - a.text.length); // "attention weight" before "attention"
  const known = new Map();
  for (const { text, entry } of spellings)
    for (const one of writtenAs(text)) if (!known.has(one)) known.set(one, { entry, sign: isSign(text) });
  const written = [...known.keys()].sort((a, b) => b.length - a.length);
  const sources = (/** @type {string[]} */ texts) => texts.map((text) => escapeSign(text).replace(/ /g, "\\s"));
  const patterns = entries.map(({ pattern }) => pattern);
  const words = `${BEFORE}(?:${sources(written.filter((text) => !isSign(text))).join("|")})${AFTER}`;
  return {
    all: new RegExp([...sources(written.filter(isSign)), ...patterns.filter(Boolean), words].join("|"), "gu"),
    known,
    signs: patterns.flatMap((pattern, entry) =>
      pattern ? [{ entry, pattern: new RegExp(`^(?:${pattern})$`, "u") }] : [],
    ),
  };
}

/**
 * Every place of a term in a text, from the left.
 * @param {Finder} finder
 * @param {string} text
 * @param {boolean} [signsOnly] in a token of the reader's text
 * @returns {Place[]}
 */
export function findTerms({ all, known, signs }, text, signsOnly = false) {
  /** @type {Place[]} */
  const places = [];
  for (const { 0: written, index: start } of text.matchAll(all)) {
    const end = start + written.length;
    const term = known.get(written.replace(/\s/g, " "));
    const { entry } = term ?? signs.find(({ pattern }) => pattern.test(written));
    const quoted = text[start - 1] === "“" && text[end] === "”";
    if (!term || term.sign || !(signsOnly || quoted)) places.push({ start, end, entry });
  }
  return places;
}
