/* session.js: one model at work for the page: a text or a drawing and what the reader set become the view's message and
   the numbers beside it. No DOM: it runs in a worker, and in the tests. */
import { readFrame } from "../core/framing.js";
import { whole } from "./intervention.js";
import { kernelOf } from "./kernel.js";
import { pack } from "./message.js";
import { answersOf, brightnessOf, packPicture, pixelsOf } from "./picture.js";
import { drawn, likeliest, probabilities, ranking } from "./sampling.js";
import { Tokenizer } from "./tokenizer.js";
import { Transformer } from "./transformer.js";
import { readWeights } from "./weights.js";

const FORMAT = "attnviz live 1";
/** @type {Record<string, "decoder" | "cross" | "encoder">} */
const PLACES = { self: "decoder", cross: "cross", encoder: "encoder" };
const SHOWN = 12; // tokens that could come next

/**
 * What the page asks for.
 *
 * @typedef {object} Asked
 * @property {string} text
 * @property {number[]} answer tokens that were said after it
 * @property {import("../core/contract.js").ViewState} state of the attention view
 * @property {[number, number][]} off layer and head of heads that are switched off
 * @property {"self" | "cross" | "encoder"} stack which attention of an encoder-decoder model
 * @property {number} sampling temperature of the next token
 *
 * @typedef {object} Pictured what it asks of a model of images
 * @property {string} drawing a character from 0 to g per cell
 * @property {[number, number][]} off
 * @property {number} temperature in every attention row
 */

/** A run was overtaken by a newer one. */
export class Overtaken extends Error {}

export class Session {
  /** @param {() => Promise<void>} pause between layers; throws Overtaken where the run is of no use any more */
  constructor(pause = async () => {}) {
    this.pause = pause;
    this.title = this.name = "";
    /** @type {Tokenizer | null} */
    this.tokenizer = null;
    /** @type {{reader: import("./picture.js").Reader, classes: string[]} | null} of a model of images */
    this.picture = null;
    /** @type {Transformer | null} */
    this.model = null;
    this.known = { key: "", run: null };
  }

  /** Opens a model's file. Errors: one sentence. @param {Uint8Array} bytes */
  open(bytes) {
    const { header, payload } = this.readFile(bytes);
    const { title, name, config, tokenizer, picture } = header;
    const read = picture ? null : new Tokenizer(tokenizer); // before anything of the model before it is replaced
    const made = new Transformer(config, readWeights(config, payload));
    Object.assign(this, { title, name, tokenizer: read, picture, model: made });
    this.known = { key: "", run: null };
    this.begin = read?.role("[BOS]", "<s>", "<bos>", "<|endoftext|>", "[CLS]");
    this.end = read?.role("[EOS]", "</s>", "<eos>", "<|endoftext|>", "[SEP]");
    const { kind, n_layers: layers, n_heads: heads, max_len: longest, head } = config;
    const fast = kernelOf(made.layers[kind === "encoder" ? "encoder" : "decoder"][0].attention.inProj) !== undefined;
    return { title, name, kind, layers, heads, longest, fast, speaks: kind === "decoder" && head === "lm" };
  }

  readFile(bytes) {
    let read = null;
    try {
      read = readFrame(bytes);
    } catch {
      // not a frame: said below
    }
    if (read?.header?.format !== FORMAT)
      throw new Error("This is not a model file of a live page: python -m attnviz live writes them.");
    return read;
  }

  /**
   * The message for the view, and what stands beside it.
   *
   * @param {Asked} asked
   */
  async run(asked) {
    const both = this.model.config.kind === "encoder-decoder";
    const encoding = this.encoded(asked.text);
    const stack = both ? asked.stack : "self";
    const prompt = this.prompt(encoding, asked.answer);
    const sizes = both ? null : [prompt.length, prompt.length];
    const change = this.changeOf(asked, both ? PLACES[stack] : "all", sizes);
    return both ? this.runBoth(asked, encoding, change, stack) : this.runOne(asked, encoding, prompt, change);
  }

  /**
   * The same of a model of images.
   *
   * @param {Pictured} asked
   */
  async runPicture({ drawing, off, temperature }) {
    const { n_layers, n_heads } = this.model.config;
    const brightness = brightnessOf(drawing);
    const pixels = pixelsOf(brightness, this.picture.reader);
    const heads = off.filter(([layer, head]) => layer < n_layers && head < n_heads);
    /** @type {import("./intervention.js").Intervention} */
    const change = { temperature, headScale: heads.map(([layer, head]) => [layer, head, 0]) };
    const changes = temperature !== 1 || heads.length > 0;
    const plain = await this.plain(drawing, pixels, null);
    const now = changes ? await this.runOn(pixels, null, change) : plain;
    return { message: packPicture(now, brightness), answers: answersOf(this.picture.classes, plain, now) };
  }

  /** @returns {import("./tokenizer.js").Encoding} */
  encoded(text) {
    const encoding = this.tokenizer.encode(text, this.model.config.max_len);
    if (!encoding.ids.length) throw new Error("The text is empty: it gives no token to look at.");
    return encoding;
  }

  /** The tokens that the model reads: the text's, and those that were said after it. */
  prompt({ ids }, answer) {
    if (!answer.length || this.model.config.kind !== "decoder") return ids;
    return [...this.openEnded(ids), ...answer].slice(0, this.model.config.max_len);
  }

  /** Without a token that would end the text that is to go on. */
  openEnded(ids) {
    return ids.length > 1 && ids[ids.length - 1] === this.end ? ids.slice(0, -1) : ids;
  }

  async runOne(asked, encoding, prompt, change) {
    const named = asked.answer.length ? this.tokenizer.encoding(prompt) : encoding;
    const plain = await this.plain(`${asked.text}\n${asked.answer}`, prompt, null);
    const changed = change && { trace: await this.runOn(prompt, null, change), encoding: named };
    const own = { trace: plain, encoding: named };
    return this.answered(asked, changed ?? own, changed && own, encoding, "self");
  }

  /** An encoder-decoder model answers the text, then runs on text and answer. */
  async runBoth(asked, encoding, change, stack) {
    const begin = [this.begin];
    const start = await this.runOn(encoding.ids, begin, this.within(change, stack, encoding.ids.length, 1));
    const first = { ...start, intervention: whole(change, this.model.config) }; // with the cells of later queries
    const answer = [...this.spoken(first, this.model.config.max_len - 1, 0)].map(({ id }) => id);
    const ids = [...begin, ...answer.filter((id) => id !== this.end)];
    const [keys, queries] = [encoding.ids.length, ids.length];
    const here = this.within(change, stack, keys, queries);
    const named = { encoding: this.tokenizer.encoding(ids), source: encoding };
    const plain = await this.plain(`${asked.text}\n${ids}`, encoding.ids, ids);
    const changed = here && { trace: await this.runOn(encoding.ids, ids, here), ...named };
    const own = { trace: plain, ...named };
    const result = this.answered(asked, changed ?? own, changed && own, encoding, stack);
    return { ...result, said: named.encoding.text };
  }

  /** A change with those cells only that this attention has. */
  within(change, stack, keys, queries) {
    if (!change) return null;
    const [T, S] = { encoder: [keys, keys], self: [queries, queries], cross: [queries, keys] }[stack];
    return { ...change, blocked: change.blocked.filter(([, , q, k]) => q < T && k < S) };
  }

  /** The run without a change; the last one is remembered, as every control asks for it again. */
  async plain(key, ids, target) {
    if (this.known.key !== key) this.known = { key, run: await this.runOn(ids, target, null) };
    return this.known.run;
  }

  /** @returns {Promise<import("./transformer.js").Trace>} */
  async runOn(ids, target, intervention) {
    const running = this.model.running(ids, target, { intervention, last: true });
    for (;;) {
      const { done, value } = running.next();
      if (done) return /** @type {import("./transformer.js").Trace} */ (value);
      await this.pause();
    }
  }

  /**
   * The change that the page asks of the whole model; null if there is none.
   *
   * @param {Asked} asked
   * @param {"all" | "decoder" | "cross" | "encoder"} where
   * @param {number[] | null} sizes of the matrix, where they are known
   * @returns {import("./intervention.js").Intervention | null}
   */
  changeOf({ state, off }, where, sizes) {
    const { n_layers, n_heads } = this.model.config;
    const heads = off.filter(([layer, head]) => layer < n_layers && head < n_heads);
    /** @type {[number, number, number][]} */
    const headScale = heads.map(([layer, head]) => [layer, head, 0]);
    if (!state.whole) return heads.length ? { headScale, blocked: [], where } : null;
    const { temperature, scaled, mask, window } = state;
    const cells = mask === "painted" ? state.painted.filter(([q, k]) => !sizes || (q < sizes[0] && k < sizes[1])) : [];
    const change = {
      temperature,
      scaled,
      mask: mask === "window" ? ["window", window] : mask === "causal" || mask === "none" ? mask : null,
      blocked: cells.map(([q, k]) => [null, null, q, k]),
      headScale,
      where,
    };
    const idle = temperature === 1 && scaled && change.mask === null && !cells.length && !heads.length;
    return idle ? null : /** @type {import("./intervention.js").Intervention} */ (change);
  }

  answered(asked, run, before, encoding, stack) {
    const { title, name } = this;
    const compared = asked.state.whole ? before : null;
    const message = pack(run, { title, name, before: compared, stack });
    const tokens = run.encoding.ids.length;
    return {
      message,
      tokens,
      cut: encoding.cut,
      longest: this.model.config.max_len,
      next: this.next(asked, run),
      said: this.tokenizer.decode(asked.answer),
    };
  }

  /** The tokens that could come next, the likeliest first; null where the model says none, or has no room. */
  next({ sampling }, { trace }) {
    const { kind, head, vocab_size: V, max_len } = this.model.config;
    if (kind !== "decoder" || head !== "lm" || trace.soFar >= max_len) return null;
    const p = probabilities(trace.logits.subarray(trace.logits.length - V), sampling);
    return ranking(p, SHOWN).map((id) => ({
      id,
      label: this.tokenizer.label(this.tokenizer.names[id] ?? `${id}`),
      p: p[id],
    }));
  }

  /**
   * Tokens after a run, one by one, from remembered keys and values, until the model ends or has no room. Temperature 0
   * takes the likeliest.
   *
   * @param {import("./transformer.js").Trace} trace
   * @param {number} n at most so many
   * @param {number} temperature
   * @param {() => number} [random]
   */
  *spoken(trace, n, temperature, random = Math.random) {
    const { vocab_size: V, max_len } = this.model.config;
    for (let said = 0; said < n && trace.soFar < max_len; said++) {
      const last = trace.logits.subarray(trace.logits.length - V);
      const p = probabilities(last, temperature || 1);
      const id = temperature ? drawn(p, random) : likeliest(last);
      yield { id, p: p[id] };
      if (id === this.end) return;
      if (trace.soFar + 1 <= max_len && said + 1 < n) trace = this.model.step([id], trace);
    }
  }

  /**
   * What a decoder says after a text and the tokens said already: ids and their text as it grows.
   *
   * @param {Asked} asked
   * @param {number} n
   * @param {boolean} draws with the sampling temperature; else the likeliest
   */
  async *say(asked, n, draws) {
    const ids = [...this.openEnded(this.encoded(asked.text).ids), ...asked.answer];
    const change = this.changeOf(asked, "all", [ids.length, ids.length]);
    const trace = await this.runOn(ids, null, change);
    const said = [...asked.answer];
    for (const { id, p } of this.spoken(trace, n, draws ? asked.sampling : 0)) {
      if (id === this.end) return;
      said.push(id);
      yield { id, p, said: [...said], text: this.tokenizer.decode(said) };
      await this.pause();
    }
  }
}
