/* word-pieces.js: BERT's tokens: a text in lower case without accents, cut at blanks and signs, and each word into the
   longest pieces that the vocabulary has. Devlin et al. 2019; Wu et al. 2016, section 4.1. No DOM. */

const BLANKS = /^\p{White_Space}$/u;
const CONTROL = /^[\0\ufffd\p{Cc}\p{Cf}\p{Co}]$/u;
const NONSPACING = /^\p{Mn}$/u;
const SIGN = /^(?:[!-/:-@[-`{-~]|\p{P})$/u;
const IDEOGRAPHS =
  /^[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]$/u; // eslint-disable-line max-len

/** @typedef {{ch: string, at: number}} Letter a character as the model reads it, and which one of the text it was */

export class WordPieces {
  /** @param {any} json the content of a tokenizer.json */
  constructor({ model, normalizer, pre_tokenizer }) {
    if (normalizer?.type !== "BertNormalizer" || pre_tokenizer?.type !== "BertPreTokenizer")
      throw new Error("The tokenizer reads texts in a way that this page does not know.");
    this.normalizer = normalizer;
    /** @type {Map<string, number>} */
    this.vocabulary = new Map(Object.entries(model.vocab));
    this.prefix = model.continuing_subword_prefix;
    this.longest = model.max_input_chars_per_word;
    this.unknown = this.vocabulary.get(model.unk_token);
  }

  /** @param {string[]} characters @returns {import("./byte-pairs.js").Piece[]} */
  pieces(characters) {
    return this.words(characters).flatMap((word) => this.wordPieces(word));
  }

  /** The words, as letters. @param {string[]} characters */
  words(characters) {
    /** @type {Letter[][]} */
    const words = [];
    let open = null;
    characters.forEach((character, at) => {
      const plain = " \t\n\r".includes(character) || BLANKS.test(character);
      if (this.normalizer.clean_text && !plain && CONTROL.test(character)) return;
      const alone = this.normalizer.handle_chinese_chars && IDEOGRAPHS.test(character);
      if (plain || alone) open = null;
      if (plain) return;
      for (const ch of this.letters(character)) {
        if (SIGN.test(ch)) {
          words.push([{ ch, at }]);
          open = null;
        } else if (BLANKS.test(ch)) open = null;
        else if (open) open.push({ ch, at });
        else words.push((open = [{ ch, at }]));
      }
      if (alone) open = null;
    });
    return words;
  }

  /** A character without its accent, in lower case. */
  letters(character) {
    const { strip_accents, lowercase } = this.normalizer;
    let letters = [character];
    if (strip_accents ?? lowercase) letters = [...character.normalize("NFD")].filter((ch) => !NONSPACING.test(ch));
    return lowercase ? letters.flatMap((ch) => [...ch.toLowerCase()]) : letters;
  }

  /** @param {Letter[]} word */
  wordPieces(word) {
    const end = word[word.length - 1].at + 1;
    const whole = [{ id: this.unknown, from: word[0].at, to: end }];
    if (word.length > this.longest) return whole;
    const pieces = [];
    for (let from = 0; from < word.length;) {
      let to = word.length,
        id;
      while (to > from && (id = this.idOf(word, from, to)) === undefined) to--;
      if (id === undefined) return whole;
      pieces.push({ id, from: word[from].at, to: word[to - 1].at + 1 });
      from = to;
    }
    return pieces;
  }

  idOf(word, from, to) {
    let name = from ? this.prefix : "";
    for (let i = from; i < to; i++) name += word[i].ch;
    return this.vocabulary.get(name);
  }
}
