/* byte-pairs.js: byte-pair encoding on bytes or characters: a text's pieces, each with its token. Sennrich et al. 2016;
   on bytes as in GPT-2, Radford et al. 2019. No DOM. */
import { BYTE_LETTERS } from "./characters.js";

/** @typedef {{id: number, from: number, to: number}} Piece a token and the characters that it stands for */

// the pattern of ByteLevel, where it splits by itself
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const encoder = new TextEncoder();
const KNOWN = 20_000; // words whose tokens are remembered

/** A pattern of tokenizer.json: its blanks are Unicode's. */
const regexOf = (text) =>
  new RegExp(text.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}"), "gu");

/** The parts of a pre-tokenizer. */
function splitterOf(given) {
  const parts = given?.type === "Sequence" ? given.pretokenizers : given ? [given] : [];
  let pattern = null,
    bytes = false;
  for (const part of parts) {
    const isolated = part.type === "Split" && part.pattern?.Regex && part.behavior === "Isolated" && !part.invert;
    if (isolated) pattern = regexOf(part.pattern.Regex);
    else if (part.type === "ByteLevel" && !part.add_prefix_space) {
      bytes = true;
      if (part.use_regex) pattern = regexOf(GPT2);
    } else throw new Error(`The tokenizer splits texts by ${part.type}, which this page does not read.`);
  }
  return { pattern, bytes };
}

export class BytePairs {
  /** @param {any} json the content of a tokenizer.json */
  constructor({ model, normalizer, pre_tokenizer }) {
    const marks = model.continuing_subword_prefix || model.end_of_word_suffix || model.dropout;
    if (normalizer || marks) throw new Error("The tokenizer reads texts in a way that this page does not know.");
    const { pattern, bytes } = splitterOf(pre_tokenizer);
    this.pattern = pattern;
    this.bytes = bytes;
    /** @type {Map<string, number>} */
    this.vocabulary = new Map(Object.entries(model.vocab));
    this.ranks = new Map(model.merges.map((pair, i) => [Array.isArray(pair) ? pair.join(" ") : pair, i]));
    this.wholeFirst = model.ignore_merges;
    this.fallback = model.byte_fallback;
    this.known = new Map();
  }

  /** @param {string[]} characters @returns {Piece[]} */
  pieces(characters) {
    const out = [];
    for (const [from, to] of this.words(characters)) {
      const word = characters.slice(from, to).join("");
      for (const piece of this.wordPieces(word))
        out.push({ id: piece.id, from: from + piece.from, to: from + piece.to });
    }
    return out;
  }

  /** Where the words begin and end; what no pattern finds stands between them. */
  words(characters) {
    if (!characters.length) return [];
    if (!this.pattern) return [[0, characters.length]];
    const text = characters.join("");
    const spans = [];
    let at = 0, // in UTF-16
      from = 0; // in characters
    const until = (end) => {
      if (end <= at) return;
      const to = from + [...text.slice(at, end)].length;
      spans.push([from, to]);
      from = to;
      at = end;
    };
    for (const match of text.matchAll(this.pattern)) {
      until(match.index);
      until(match.index + match[0].length);
    }
    until(text.length);
    return spans;
  }

  /** The pieces of a word; offsets in it. */
  wordPieces(word) {
    let found = this.known.get(word);
    if (found) return found;
    found = this.merged(this.symbols([...word]), word);
    if (this.known.size > KNOWN) this.known.clear();
    this.known.set(word, found);
    return found;
  }

  /** The smallest parts of a word: bytes as letters, or characters; with the character that each belongs to. */
  symbols(characters) {
    return characters.flatMap((character, i) => {
      const part = (name) => ({ name, from: i, to: i + 1 });
      if (this.bytes) return [...encoder.encode(character)].map((byte) => part(BYTE_LETTERS[byte]));
      if (!this.vocabulary.has(character) && this.fallback)
        return [...encoder.encode(character)].map((byte) => part(byteName(byte)));
      return [part(character)];
    });
  }

  merged(symbols, word) {
    if (this.wholeFirst && symbols.length) {
      const id = this.vocabulary.get(symbols.map(({ name }) => name).join(""));
      if (id !== undefined) return [{ id, from: 0, to: symbols[symbols.length - 1].to }];
    }
    for (;;) {
      let best = Infinity;
      for (let i = 0; i + 1 < symbols.length; i++) best = Math.min(best, this.rank(symbols[i], symbols[i + 1]));
      if (best === Infinity) break;
      symbols = this.joined(symbols, best);
    }
    return symbols.map(({ name, from, to }) => {
      const id = this.vocabulary.get(name);
      if (id === undefined) throw new Error(`This tokenizer cannot read ${JSON.stringify(word.slice(0, 40))}.`);
      return { id, from, to };
    });
  }

  rank(a, b) {
    return this.ranks.get(`${a.name} ${b.name}`) ?? Infinity;
  }

  /** The symbols with every pair of this rank made one, from the left. */
  joined(symbols, rank) {
    const out = [];
    for (let i = 0; i < symbols.length; i++) {
      const [a, b] = [symbols[i], symbols[i + 1]];
      if (b && this.rank(a, b) === rank) {
        out.push({ name: a.name + b.name, from: a.from, to: b.to });
        i++;
      } else out.push(a);
    }
    return out;
  }
}

/** The token of a byte that is part of a character which the vocabulary lacks. */
export const byteName = (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
