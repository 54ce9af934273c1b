/* tokenizer.js: text to tokens and back, for the tokenizer.json files of our models, as attnviz/inputs/tokenizers.py
   reads them: ids, labels, words and offsets. No DOM. */
import { LONGEST_KEPT, shortened } from "../core/format.js";
import { BytePairs } from "./byte-pairs.js";
import { BYTE_OF_LETTER, charactersOf, readable } from "./characters.js";
import { numberWords, withoutBlanks } from "./words.js";
import { WordPieces } from "./word-pieces.js";

const MAX_CHARACTERS = 1_000_000;
const BYTE = /^<0x([0-9A-F]{2})>$/;

/**
 * A text as a model reads it, an entry per token. Offsets count characters (code points).
 *
 * @typedef {object} Encoding
 * @property {string} text
 * @property {number[]} ids
 * @property {string[]} tokens the vocabulary's strings
 * @property {string[]} labels what a person should read
 * @property {number[][]} offsets [from, to)
 * @property {(number | null)[]} words
 * @property {boolean[]} special
 * @property {number} cut tokens that did not fit
 */

/** @param {string} text @returns {string[]} its characters. Errors: a sentence for what no model can read. */
export function checkedCharacters(text) {
  const characters = [...text];
  const n = characters.length;
  if (n > MAX_CHARACTERS)
    throw new Error(
      `The text has ${n.toLocaleString("en")} characters; at most ${MAX_CHARACTERS.toLocaleString("en")} are accepted.`,
    );
  const lone = characters.findIndex((ch) => /^\p{Cs}$/u.test(ch));
  if (lone >= 0) {
    const code = characters[lone].codePointAt(0).toString(16).toUpperCase();
    throw new Error(`The text is not Unicode: a lone surrogate U+${code} at character ${lone}.`);
  }
  return characters;
}

export class Tokenizer {
  /** @param {any} json the content of a tokenizer.json. Errors: one sentence for a kind that the page does not read. */
  constructor(json) {
    const Reader = { BPE: BytePairs, WordPiece: WordPieces }[json.model?.type];
    if (!Reader) throw new Error(`The tokenizer is ${json.model?.type}, which this page does not read.`);
    const processor = json.post_processor?.type ?? "none";
    if (!["none", "TemplateProcessing", "ByteLevel"].includes(processor))
      throw new Error(`The tokenizer ends texts by ${processor}, which this page does not read.`);
    this.reader = new Reader(json);
    this.byteLevel = JSON.stringify([json.decoder, json.pre_tokenizer]).includes("ByteLevel");
    this.byteFallback = JSON.stringify(json.decoder ?? null).includes("ByteFallback");
    this.prefix = json.model.continuing_subword_prefix || "";
    this.names = [];
    for (const [name, id] of this.reader.vocabulary) this.names[id] = name;
    /** @type {Map<string, number>} */
    this.special = new Map(json.added_tokens.filter(({ special }) => special).map(({ content, id }) => [content, id]));
    for (const [name, id] of this.special) this.names[id] = name;
    const single = json.post_processor?.single ?? [{ Sequence: {} }];
    const text = single.findIndex((part) => part.Sequence);
    const idOf = (part) => json.post_processor.special_tokens[part.SpecialToken.id].ids[0];
    this.before = single.slice(0, text).map(idOf);
    this.after = single.slice(text + 1).map(idOf);
  }

  /** The id of a role: the first of these names that is a special token; null without one. @param {...string} names */
  role(...names) {
    return names.map((name) => this.special.get(name)).find((id) => id !== undefined) ?? null;
  }

  /**
   * The tokens of a text with the special tokens around them, at most `most` in all; what does not fit is cut from the
   * end of the text.
   *
   * @param {string} text
   * @param {number} [most]
   * @returns {Encoding}
   */
  encode(text, most = Infinity) {
    const characters = checkedCharacters(text);
    let pieces = this.reader.pieces(characters);
    const room = most - this.before.length - this.after.length;
    const cut = Math.max(0, pieces.length - room);
    if (cut) pieces = pieces.slice(0, room);
    const ids = [...this.before, ...pieces.map(({ id }) => id), ...this.after];
    const special = ids.map((_, i) => i < this.before.length || i >= ids.length - this.after.length);
    const content = pieces.map(({ from, to }) => [from, to]);
    return this.made(text, characters, { ids, content, special, cut });
  }

  /** @returns {Encoding} */
  made(text, characters, { ids, content, special, cut }) {
    const offsets = withoutBlanks(characters, content, special);
    const words = numberWords(characters, offsets, special);
    const tokens = ids.map((id) => this.names[id] ?? String(id));
    return { text, ids, tokens, labels: tokens.map((token) => this.label(token)), offsets, words, special, cut };
  }

  /** What a person reads for a token. */
  label(token) {
    return shortened(this.special.has(token) ? token : this.read(token), LONGEST_KEPT);
  }

  read(token) {
    const inner = this.prefix && token !== this.prefix && token.startsWith(this.prefix);
    const piece = inner ? token.slice(this.prefix.length) : token;
    return readable(this.charactersOf(piece)) || token;
  }

  charactersOf(piece) {
    const byte = this.byteFallback && BYTE.exec(piece);
    if (byte) return charactersOf([parseInt(byte[1], 16)]);
    return this.byteLevel ? charactersOf(bytesOfLetters(piece)) : [...piece];
  }

  /** The text of ids, without special tokens. @param {number[]} ids @returns {string} */
  decode(ids) {
    const names = ids.filter((id) => !this.isSpecial(id)).map((id) => this.names[id]);
    const lossy = new TextDecoder("utf-8", { ignoreBOM: true });
    if (this.byteLevel) return lossy.decode(Uint8Array.from(names.flatMap(bytesOfLetters)));
    if (!this.byteFallback) return names.map((name, i) => this.joined(name, i)).join("");
    return withBytes(names);
  }

  /** A word piece as it stands in a text. */
  joined(name, i) {
    if (this.prefix && name.startsWith(this.prefix)) return name.slice(this.prefix.length);
    return i ? ` ${name}` : name;
  }

  isSpecial(id) {
    return this.names[id] === undefined || this.special.has(this.names[id]);
  }

  /**
   * Ids as they are, with their text: what a model said, which `encode` might cut into other pieces. A token's place is
   * where the text grew when it was added.
   *
   * @param {number[]} ids
   * @returns {Encoding}
   */
  encoding(ids) {
    const special = ids.map((id) => this.isSpecial(id));
    const text = this.decode(ids);
    const characters = [...text];
    const content = [];
    let end = 0;
    ids.forEach((_, i) => {
      if (special[i]) return;
      // an unfinished character is one that the next token may still replace
      const grown = [...this.decode(ids.slice(0, i + 1)).replace(/\ufffd+$/, "")].length;
      const start = end;
      end = Math.max(start, Math.min(characters.length, grown));
      content.push([start, end]);
    });
    return this.made(text, characters, { ids, content, special, cut: 0 });
  }
}

const utf8Bytes = new TextEncoder();
const bytesOfLetters = (piece) =>
  [...piece].flatMap((ch) => (BYTE_OF_LETTER.has(ch) ? [BYTE_OF_LETTER.get(ch)] : [...utf8Bytes.encode(ch)]));

/** Characters, and runs of bytes that are characters together; what is none becomes U+FFFD, byte by byte. */
function withBytes(names) {
  let out = "",
    bytes = [];
  const flush = () => {
    const characters = charactersOf(bytes);
    const broken = characters.some((one) => typeof one === "number");
    out += broken ? "\ufffd".repeat(bytes.length) : characters.join("");
    bytes = [];
  };
  for (const name of names) {
    const byte = BYTE.exec(name);
    if (byte) bytes.push(parseInt(byte[1], 16));
    else {
      flush();
      out += name;
    }
  }
  flush();
  return out;
}
