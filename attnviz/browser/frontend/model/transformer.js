/* transformer.js: the transformer: embeddings, layers, head; encoder, decoder, encoder-decoder and vision, as
   attnviz/nn/transformer.py has it, for one text. A run returns a trace and keeps nothing. No DOM. */
import { embedPixels, embedTokens } from "./embeddings.js";
import { layerNorm } from "./functions.js";
import { logitsOf } from "./head.js";
import { actsIn, changeAt, whole } from "./intervention.js";
import { runLayer } from "./layers.js";
import { alibiSlopes, checkScheme } from "./positions.js";

/**
 * The fields of attnviz/nn/config.py that a run needs, by the names of config.json.
 *
 * @typedef {object} Config
 * @property {"encoder" | "decoder" | "encoder-decoder"} kind
 * @property {number} vocab_size
 * @property {number} max_len
 * @property {number} d_model
 * @property {number} n_heads
 * @property {number} n_layers
 * @property {number} d_ff
 * @property {string} activation
 * @property {boolean} norm_first
 * @property {number} norm_eps
 * @property {boolean} final_norm
 * @property {boolean} norms
 * @property {boolean} bias
 * @property {string} positions
 * @property {number} n_types
 * @property {boolean} embed_norm
 * @property {string | null} head
 * @property {number} n_classes
 * @property {boolean} tied
 * @property {boolean} head_transform
 * @property {number} image_size
 * @property {number} patch_size
 * @property {number} channels
 * @property {boolean} distilled
 */

/**
 * @typedef {object} Trace
 * @property {Config} config
 * @property {import("./layers.js").LayerRun[]} layers
 * @property {Float32Array} final T × C, after the last norm
 * @property {Float32Array | null} logits T × V of a language model, or of its last token alone
 * @property {number} soFar tokens, with those that ran before
 * @property {number | null} length real tokens where some are padding
 * @property {Required<import("./intervention.js").Intervention> | null} intervention
 * @property {Trace | null} source the encoder's run
 */

/**
 * @typedef {object} RunOptions
 * @property {import("./intervention.js").Intervention | null} [intervention]
 * @property {number | null} [length] real tokens; the rest is padding
 * @property {number | null} [targetLength]
 * @property {boolean} [last] logits of the last token alone
 */

export class Transformer {
  /** @param {Config} config @param {import("./weights.js").Weights} weights */
  constructor(config, weights) {
    checkScheme(config.positions, config);
    this.config = config;
    this.weights = weights;
    this.layers = { encoder: this.stack("encoder"), decoder: this.stack("decoder") };
  }

  stack(name) {
    const { kind, n_layers } = this.config;
    if (kind !== name && kind !== "encoder-decoder") return null;
    const crossing = kind === "encoder-decoder" && name === "decoder";
    return Array.from({ length: n_layers }, (_, i) => this.weights.layer(`${name}.layers.${i}`, crossing));
  }

  /**
   * Runs the model on token ids, or a vision model on pixels (channels × side × side).
   *
   * @param {ArrayLike<number>} inputs
   * @param {ArrayLike<number> | null} [target] for the decoder of an encoder-decoder model
   * @param {RunOptions} [options]
   * @returns {Trace}
   */
  run(inputs, target = null, options = {}) {
    return drained(this.running(inputs, target, options));
  }

  /**
   * The same as a generator that yields after each layer, so that a run can be given up.
   *
   * @param {ArrayLike<number>} inputs
   * @param {ArrayLike<number> | null} target
   * @param {RunOptions} options
   * @returns {Generator<undefined, Trace>}
   */
  *running(inputs, target, { intervention = null, length = null, targetLength = null, last = false }) {
    const { kind } = this.config;
    if ((target !== null) !== (kind === "encoder-decoder"))
      throw new Error(`a model of kind ${kind} ${target === null ? "needs" : "has no use for"} a target`);
    const change = whole(intervention, this.config);
    if (kind !== "encoder-decoder") return yield* this.runStack(kind, inputs, change, { length, last });
    const source = yield* this.runStack("encoder", inputs, change, { length });
    return yield* this.runStack("decoder", target, change, { length: targetLength, source, last });
  }

  /**
   * Runs the decoder on the tokens after those of `past`, whose keys and values serve again.
   *
   * @param {ArrayLike<number>} ids
   * @param {Trace} past
   * @returns {Trace}
   */
  step(ids, past) {
    return drained(this.runStack("decoder", ids, past.intervention, { source: past.source, past }));
  }

  /** One stack on one text. @returns {Generator<undefined, Trace>} */
  *runStack(place, inputs, change, { length = null, source = null, past = null, last = false }) {
    const { config, weights } = this;
    const { d_model: c, norm_eps } = config;
    const start = past ? past.soFar : 0;
    const moved = change?.positions && (change.where === "all" || change.where === place);
    const scheme = moved ? change.positions : config.positions;
    checkScheme(scheme, config);
    let x = config.channels
      ? embedPixels(weights, config, Float32Array.from(inputs), scheme)
      : embedTokens(weights, config, inputs, scheme, start);
    const n = x.length / c;
    const padded = length !== null && length < n ? length : null;
    const mask = { causal: place === "decoder", length: padded, start };
    const toSource = { mask: { length: source && source.length, start } };
    const layers = [];
    for (const [i, layer] of this.layers[place].entries()) {
      // rope and ALiBi act in the layers: changed only where the intervention acts
      const here = change?.positions && !actsIn(change, i, place) ? config.positions : scheme;
      const own = {
        mask,
        rotary: here === "rope",
        alibi: here === "alibi" ? alibiSlopes(config.n_heads) : null,
        change: changeAt(change, i, place),
        past: past && past.layers[i].attention,
      };
      const cross = { ...toSource, change: changeAt(change, i, "cross"), past: past && past.layers[i].cross };
      layers.push(runLayer(layer, x, source && source.final, config, own, cross));
      x = layers[i].residPost;
      yield;
    }
    const final = config.final_norm ? layerNorm(x, weights.norm(`${place}.norm`), norm_eps, c) : x;
    const speaks = place === "decoder" || config.kind === "encoder";
    const logits = speaks ? logitsOf(weights, config, final, length ?? n, last) : null;
    return { config, layers, final, logits, soFar: start + n, length: padded, intervention: change, source };
  }
}

/** What a generator returns. @param {Generator<undefined, Trace>} running */
function drained(running) {
  for (;;) {
    const { done, value } = running.next();
    if (done) return /** @type {Trace} */ (value);
  }
}
