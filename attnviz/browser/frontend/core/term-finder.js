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
 * @typedef {{pattern: RegExp, entries: number[], signs: boolean[]}} Finder
 */

const escapeSign = (/** @type {string} */ text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

const isSign = (/** @type {string} */ spelling) => spelling.startsWith("[");

function spellingSource(/** @type {string} */ spelling) {
  const whole = escapeSign(spelling).replace(/ /g, "\\s");
  if (isSign(spelling)) return whole;
  const first = spelling[0];
  const plain = /^[a-z]/.test(spelling) && !/[·_]/.test(spelling);
  const either = plain ? `[${first}${first.toUpperCase()}]${whole.slice(1)}(?:e?s)?` : whole;
  return `(?<![\\p{L}\\p{N}_])${either}(?![\\p{L}\\p{N}_])`;
}

/** What finds the entries' terms. @param {Entry[]} entries @returns {Finder} */
export function termFinder(entries) {
  const spellings = entries.flatMap(({ term, also, pattern }, entry) => [
    ...[term, ...also].map((text) => ({ entry, source: spellingSource(text), sign: isSign(text), long: text.length })),
    ...(pattern ? [{ entry, source: pattern, sign: true, long: 0 }] : []),
  ]);
  spellings.sort((a, b) => b.long - a.long); // "attention weight" before "attention"
  return {
    pattern: new RegExp(spellings.map(({ source }) => `(${source})`).join("|"), "gu"),
    entries: spellings.map(({ entry }) => entry),
    signs: spellings.map(({ sign }) => sign),
  };
}

/**
 * Every place of a term in a text, from the left.
 * @param {Finder} finder
 * @param {string} text
 * @param {boolean} [signsOnly] in a token of the reader's text
 * @returns {Place[]}
 */
export function findTerms({ pattern, entries, signs }, text, signsOnly = false) {
  /** @type {Place[]} */
  const places = [];
  for (const match of text.matchAll(pattern)) {
    const which = match.findIndex((group, i) => i > 0 && group !== undefined) - 1,
      end = match.index + match[0].length;
    const quoted = text[match.index - 1] === "“" && text[end] === "”";
    if (!signs[which] && (signsOnly || quoted)) continue;
    places.push({ start: match.index, end, entry: entries[which] });
  }
  return places;
}
