/* weights.js: the tensors that a config asks for, by the names of our files. No DOM. */
import { readHeader, readTensors } from "./safetensors.js";

/**
 * The shape of every tensor that a model of this config holds, by name; the tied output matrix is stored once.
 *
 * @param {import("./transformer.js").Config} config
 * @returns {Map<string, number[]>}
 */
export function shapesOf(config) {
  const { d_model: c, d_ff: f, kind } = config;
  /** @type {Map<string, number[]>} */
  const shapes = new Map();
  const linear = (name, rows, columns, bias = true) => {
    shapes.set(`${name}.weight`, [rows, columns]);
    if (bias) shapes.set(`${name}.bias`, [rows]);
  };
  const norm = (name, bias = true) => {
    shapes.set(`${name}.weight`, [c]);
    if (bias) shapes.set(`${name}.bias`, [c]);
  };
  embeddingShapes(config, shapes, norm);
  const attention = (name) => {
    shapes.set(`${name}.in_proj_weight`, [3 * c, c]);
    if (config.bias) shapes.set(`${name}.in_proj_bias`, [3 * c]);
    linear(`${name}.out_proj`, c, c, config.bias);
  };
  for (const stack of kind === "encoder-decoder" ? ["encoder", "decoder"] : [kind]) {
    const crossing = stack === "decoder" && kind === "encoder-decoder";
    for (let i = 0; i < config.n_layers; i++) {
      const layer = `${stack}.layers.${i}`;
      attention(`${layer}.self_attn`);
      if (crossing) attention(`${layer}.multihead_attn`);
      if (f) {
        linear(`${layer}.linear1`, f, c, config.bias);
        linear(`${layer}.linear2`, c, f, config.bias);
      }
      const sublayers = 1 + Number(crossing) + Number(f > 0);
      if (config.norms) for (let n = 1; n <= sublayers; n++) norm(`${layer}.norm${n}`, config.bias);
    }
    if (config.final_norm) norm(`${stack}.norm`, config.bias);
  }
  headShapes(config, shapes, linear, norm);
  return shapes;
}

function embeddingShapes(config, shapes, norm) {
  const { d_model: c, channels, patch_size } = config;
  if (channels) {
    shapes.set("embed.patches.weight", [c, channels, patch_size, patch_size]);
    shapes.set("embed.patches.bias", [c]);
    shapes.set("embed.special.weight", [1 + Number(config.distilled), c]);
  } else shapes.set("embed.tokens.weight", [config.vocab_size, c]);
  if (config.positions === "learned") shapes.set("embed.positions.weight", [config.max_len, c]);
  if (config.n_types) shapes.set("embed.types.weight", [config.n_types, c]);
  if (config.embed_norm) norm("embed.norm");
}

function headShapes(config, shapes, linear, norm) {
  const { d_model: c, head, n_classes } = config;
  if (head === "classification" || head === "distillation") linear("head.out", n_classes, c);
  if (head === "distillation") linear("head.distilled", n_classes, c);
  if (head !== "lm") return;
  if (!config.tied) shapes.set("head.out.weight", [config.vocab_size, c]);
  shapes.set("head.out.bias", [config.vocab_size]);
  if (config.head_transform) {
    linear("head.dense", c, c);
    norm("head.norm");
  }
}

const named = (names) => names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");

/**
 * Refuses tensors that are not those of a model of this config, by their shapes alone, before memory is taken.
 *
 * @param {import("./transformer.js").Config} config
 * @param {Map<string, {shape: number[]}>} tensors
 */
export function checkShapes(config, tensors) {
  const expected = shapesOf(config);
  const missing = [...expected.keys()].filter((name) => !tensors.has(name));
  const tied = config.head === "lm" && config.tied;
  const over = [...tensors.keys()].filter((name) => !expected.has(name) && !(tied && name === "head.out.weight"));
  if (missing.length) throw new Error(`${missing.length} tensors are missing from the file: ${named(missing)}.`);
  if (over.length) throw new Error(`${over.length} tensors are unknown to the model: ${named(over)}.`);
  for (const [name, shape] of expected) {
    const found = tensors.get(name).shape;
    if (found.join() !== shape.join())
      throw new Error(`${name} is (${found.join(", ")}), but the model needs (${shape.join(", ")}).`);
  }
}

/** The weights of a model from a safetensors file. Errors: one sentence. @param {Uint8Array} bytes */
export function readWeights(config, bytes) {
  const entries = readHeader(bytes);
  checkShapes(config, entries);
  return new Weights(config, readTensors(bytes, entries));
}

/** Tensors by name. */
export class Weights {
  /**
   * @param {import("./transformer.js").Config} config
   * @param {Map<string, Float32Array>} tensors
   */
  constructor(config, tensors) {
    this.tied = config.head === "lm" && config.tied;
    this.tensors = tensors;
  }

  /** The numbers of a tensor. @param {string} name @returns {Float32Array} */
  get(name) {
    return this.tensors.get(this.tied && name === "head.out.weight" ? "embed.tokens.weight" : name);
  }

  /** The same, or null where the model has none. @param {string} name @returns {Float32Array | null} */
  maybe(name) {
    return this.tensors.get(name) ?? null;
  }

  /** A layer norm's weight and bias; null where there is none. @param {string} name */
  norm(name) {
    const weight = this.maybe(`${name}.weight`);
    return weight && { weight, bias: this.maybe(`${name}.bias`) };
  }

  /** @param {string} name @returns {import("./attention.js").AttentionWeights} */
  attention(name) {
    return {
      inProj: this.get(`${name}.in_proj_weight`),
      inBias: this.maybe(`${name}.in_proj_bias`),
      outProj: this.get(`${name}.out_proj.weight`),
      outBias: this.maybe(`${name}.out_proj.bias`),
    };
  }

  /** @param {string} name @param {boolean} crossing @returns {import("./layers.js").LayerWeights} */
  layer(name, crossing) {
    const w1 = this.maybe(`${name}.linear1.weight`);
    return {
      attention: this.attention(`${name}.self_attn`),
      cross: crossing ? this.attention(`${name}.multihead_attn`) : null,
      norms: [1, 2, 3].map((number) => this.norm(`${name}.norm${number}`)),
      feedForward: w1 && {
        w1,
        b1: this.maybe(`${name}.linear1.bias`),
        w2: this.get(`${name}.linear2.weight`),
        b2: this.maybe(`${name}.linear2.bias`),
      },
    };
  }
}
