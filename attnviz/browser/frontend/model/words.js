/* words.js: which tokens make up a word, as attnviz/inputs/words.py has it. Texts are arrays of characters (code
   points), and offsets count them. No DOM. */
import { BLANK } from "./characters.js";

// An apostrophe or hyphen between two letters belongs to the word: didn't, well-known, snake_case.
const INNER = new Set("'’＇-‐‑_");
const IDEOGRAPH = /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{323af}]/u;
const ALPHANUMERIC = /^[\p{L}\p{N}]$/u;
const HANGING = /^[\p{Mn}\p{Mc}\p{Me}\p{Cf}\u{1f3fb}-\u{1f3ff}]$/u;
const APART = /^[\p{Lo}\p{So}]$/u;
const DIGIT =
  /^[\p{Nd}\u{b2}\u{b3}\u{b9}\u{1369}-\u{1371}\u{19da}\u{2070}\u{2074}-\u{2079}\u{2080}-\u{2089}\u{2460}-\u{2468}\u{2474}-\u{247c}\u{2488}-\u{2490}\u{24ea}\u{24f5}-\u{24fd}\u{24ff}\u{2776}-\u{277e}\u{2780}-\u{2788}\u{278a}-\u{2792}]$/u; // eslint-disable-line max-len

const isLetter = (ch) => ALPHANUMERIC.test(ch) && !IDEOGRAPH.test(ch);

/** Whether `ch` is an apostrophe or hyphen inside a word, or the point or comma inside a number. */
function isInside(before, ch, after) {
  if (INNER.has(ch)) return isLetter(before) && isLetter(after);
  return ".,:".includes(ch) && DIGIT.test(before) && DIGIT.test(after);
}

/**
 * Word number of each character before `stop` (or a little more, to the end of its run without blanks).
 *
 * A word is a run of letters and digits with the apostrophes and hyphens inside it. Each ideograph, sign and emoji is
 * a word of its own, and so are "...", "1,000.5" and the blanks between two words.
 *
 * @param {string[]} characters
 * @param {number} stop
 */
export function wordOfCharacters(characters, stop) {
  const words = [];
  for (let from = 0; from < characters.length && from < stop;) {
    const blank = BLANK.test(characters[from]);
    let to = from + 1;
    while (to < characters.length && BLANK.test(characters[to]) === blank) to++;
    const first = words.length ? words[words.length - 1] + 1 : 0;
    if (blank) for (let i = from; i < to; i++) words.push(first);
    else wordsOfRun(characters.slice(from, to), first, words);
    from = to;
  }
  return words;
}

/** Appends the word numbers of a run without blanks, counted from `word`. */
function wordsOfRun(run, word, words) {
  let base = "", // the last character that is no mark, and whether it stands inside a word
    inside = false;
  run.forEach((ch, i) => {
    if (!base || !HANGING.test(ch)) {
      const within = isInside(base, ch, run[i + 1] ?? "");
      const joined = i > 0 && run[i - 1] === "\u200d" && !ALPHANUMERIC.test(ch); // emoji joined without a gap
      const same = ch === base && !APART.test(ch); // "...", "=="
      const follows = isLetter(ch) && (isLetter(base) || inside);
      if (i && !(within || joined || same || follows)) word++;
      base = ch;
      inside = within;
    }
    words.push(word);
  });
}

/**
 * Offsets of all tokens from those of the text's own: no blanks around a word, blanks by themselves kept. A special
 * token stands where the token before it ended.
 *
 * @param {string[]} characters
 * @param {number[][]} content
 * @param {boolean[]} special
 * @returns {number[][]}
 */
export function withoutBlanks(characters, content, special) {
  const blanks = (from, to) => characters.slice(from, to).every((ch) => BLANK.test(ch));
  let next = 0,
    last = 0;
  return special.map((isSpecial) => {
    let [start, end] = isSpecial ? [last, last] : content[next++];
    const spaceBefore = start === end && last < start && blanks(last, start);
    if (start < end && !blanks(start, end)) {
      while (BLANK.test(characters[start])) start++;
      while (BLANK.test(characters[end - 1])) end--;
    } else if (!isSpecial && spaceBefore) start = last;
    last = end;
    return [start, end];
  });
}

/**
 * The word of each token: that of its first character; numbered in order of appearance, null for special tokens.
 *
 * @param {string[]} characters
 * @param {number[][]} offsets
 * @param {boolean[]} special
 * @returns {(number | null)[]}
 */
export function numberWords(characters, offsets, special) {
  const stop = Math.max(-1, ...offsets.filter((_, i) => !special[i]).map(([start]) => start)) + 1;
  const wordAt = wordOfCharacters(characters, stop);
  const numbers = new Map();
  return offsets.map(([start], i) => {
    if (special[i]) return null;
    const word = wordAt.length ? wordAt[Math.min(start, wordAt.length - 1)] : 0;
    if (!numbers.has(word)) numbers.set(word, numbers.size);
    return numbers.get(word);
  });
}
