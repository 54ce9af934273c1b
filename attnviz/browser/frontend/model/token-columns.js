/* token-columns.js: what the attention view shows of a text's tokens, as attnviz/browser/token_columns.py has it. No
   DOM. */

// punctuation that ends a sentence before white space, its full-width forms, and line breaks
const END_OF_SENTENCE = /[.!?…]+["'”’»)\]]*(?=[\p{White_Space}\x1c-\x1f]|$)|[。！？]+[」』”’）]*|[\n\r\u2028\u2029]+/gu; // eslint-disable-line
const CJK =
  /[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\u{20000}-\u{323af}]/gu;
const LETTERS = /\p{L}/gu;
// scripts that run from right to left: Hebrew, Arabic, Syriac …
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/gu;

const count = (text, pattern) => text.match(pattern)?.length ?? 0;

/**
 * The part of a message's header that describes its tokens; under the names of the other side for keys.
 *
 * @param {import("./tokenizer.js").Encoding} encoding
 * @param {boolean} [keys]
 */
export function tokenColumns(encoding, keys = false) {
  const { text, labels, words, special } = encoding;
  const tokens = {
    labels,
    words: words.map((word) => word ?? -1),
    special: [...special.keys()].filter((i) => special[i]),
    continues: [...words.keys()].filter((i) => i > 0 && words[i] !== null && words[i] === words[i - 1]),
  };
  const [texts, sentences, dir, cjk] = [wordTexts(encoding), sentenceSpans(encoding), direction(text), isCjk(text)];
  if (!keys) return { tokens, words: texts, sentences, dir, cjk };
  return { keys: tokens, keyWords: texts, keySentences: sentences, keyDir: dir, keyCjk: cjk };
}

/** The text of each word; it ends where the last of its tokens ends. */
function wordTexts({ text, words, offsets }) {
  const characters = [...text];
  const spans = [];
  words.forEach((word, i) => {
    if (word === null) return;
    const [start, end] = offsets[i];
    const [first, last] = spans[word] ?? [start, end];
    spans[word] = [Math.min(first, start), Math.max(last, end)];
  });
  return spans.map(([start, end]) => characters.slice(start, end).join(""));
}

/** Token ranges [start, end) of the sentences; special tokens stand outside, and end one. */
function sentenceSpans({ text, offsets, special }) {
  const ends = sentenceEnds(text);
  const spans = [];
  let openUntil = -1; // where in the text the open sentence ends; -1: none is open
  offsets.forEach(([start], i) => {
    if (special[i]) return void (openUntil = -1);
    if (start >= openUntil) {
      openUntil = ends.find((end) => end > start) ?? Infinity;
      spans.push([i, i]);
    }
    spans[spans.length - 1][1] = i + 1;
  });
  return spans;
}

/** In characters. */
function sentenceEnds(text) {
  const ends = [];
  let at = 0,
    characters = 0;
  for (const { index, 0: found } of text.matchAll(END_OF_SENTENCE)) {
    characters += [...text.slice(at, index + found.length)].length;
    at = index + found.length;
    ends.push(characters);
  }
  return ends;
}

/** "rtl" if most letters run from right to left. */
function direction(text) {
  const right = count((text.match(LETTERS) ?? []).join(""), RIGHT_TO_LEFT);
  return right > count(text, LETTERS) - right ? "rtl" : "ltr";
}

/** Whether most letters are Chinese, Japanese or Korean. */
const isCjk = (text) => 2 * count(text, CJK) > count(text, LETTERS);
