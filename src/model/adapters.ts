/**
 * Low-rank adapters of a policy's linear layers, as PEFT's `LoraConfig` describes them: the policy's own weights stay as
 * they are, and training changes the adapters alone.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { Plan } from "../gpu/plan.ts";
import { readTensor, submit } from "../gpu/submit.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { type LoraWeights, widenLora } from "../ops/lora.ts";
import { Random } from "../random/random.ts";
import type { PolicyConfig } from "./config.ts";
import {
  type LoraOptions,
  type LoraTarget,
  type ResolvedLoraOptions,
  resolveLora,
} from "./lora_options.ts";
import { type ParameterRange, readRange } from "./parameter_range.ts";

/** Adapters of one layer. */
export interface LayerAdapters {
  /** Of q, k and v. */
  readonly qkv: LoraWeights | undefined;
  /** Of the attention's output. */
  readonly output: LoraWeights | undefined;
  /** Of gate and up. */
  readonly gateUp: LoraWeights | undefined;
  /** Of the feed-forward's output. */
  readonly down: LoraWeights | undefined;
}

/** Linear layers that are multiplied as one. */
const GROUPS = [
  { key: "qkv", modules: ["q_proj", "k_proj", "v_proj"], path: "self_attn" },
  { key: "output", modules: ["o_proj"], path: "self_attn" },
  { key: "gateUp", modules: ["gate_proj", "up_proj"], path: "mlp" },
  { key: "down", modules: ["down_proj"], path: "mlp" },
] as const;

/** Stream number of the adapters' initialisation among the uses of a seed. */
const ADAPTERS = 9;
/** Blocks begin at multiples of this many elements, because bindings begin at multiples of 256 bytes. */
const ALIGNMENT = 64;

/** The adapters of a policy on a device: the parameters that are trained in place of its own. */
export class Adapters {
  /** Rank, alpha and targets, with every default filled in. */
  readonly options: ResolvedLoraOptions;
  /** All values, flat (n) f32. */
  readonly values: Tensor;
  /** They are stored in f32 alone. */
  readonly halves: undefined = undefined;
  /** Per layer. */
  readonly layers: readonly LayerAdapters[];

  readonly #gpu: Gpu;
  readonly #wide: Tensor;
  readonly #ranges = new Map<string, ParameterRange>();
  readonly #blocks: Tensor[] = [];
  #gradients: Tensor | undefined;

  /**
   * Takes memory for the adapters and initialises them: A as PyTorch does a linear layer's weight, B with zeros.
   *
   * @param options Rank, alpha, targets and seed.
   * @throws {RangeError} If one is out of range.
   */
  constructor(gpu: Gpu, config: PolicyConfig, options: LoraOptions) {
    this.options = resolveLora(options, config);
    this.#gpu = gpu;
    const { rank, alpha, targetModules } = this.options;
    const sizes = moduleSizes(config);
    const blocks: { shape: number[]; offset: number }[] = [];
    let [length, wideLength] = [0, 0];
    const place = (shape: number[]) => {
      const block = { shape, offset: length };
      blocks.push(block);
      length += Math.ceil(shape[0]! * shape[1]! / ALIGNMENT) * ALIGNMENT;
      return block;
    };
    const plans = Array.from(
      { length: config.numHiddenLayers },
      (_, layer) =>
        GROUPS.map(({ key, modules, path }) => {
          const adapted = modules.map((module) => targetModules.includes(module));
          const count = adapted.filter(Boolean).length;
          if (count === 0) return undefined;
          const rows = modules.map((module) => sizes[module].out);
          const inner = sizes[modules[0]].in;
          const outer = rows.reduce((n, size) => n + size, 0);
          const a = place([count * rank, inner]);
          const b = place([outer, rank]);
          const wide = { shape: [outer, count * rank], offset: wideLength };
          wideLength += Math.ceil(outer * count * rank / ALIGNMENT) * ALIGNMENT;
          let [row, module] = [0, 0];
          for (const [i, name] of modules.entries()) {
            if (adapted[i]) {
              const full = `model.layers.${layer}.${path}.${name}`;
              const put = (which: string, shape: number[], offset: number) =>
                this.#ranges.set(`${full}.lora_${which}.weight`, {
                  shape,
                  offset,
                  length: shape[0]! * shape[1]!,
                });
              put("A", [rank, inner], a.offset + module++ * rank * inner);
              put("B", [rows[i]!, rank], b.offset + row * rank);
            }
            row += rows[i]!;
          }
          return { key, a, b, wide, rows, adapted };
        }),
    );
    this.values = gpu.tensor([length], { name: "adapters" });
    this.#wide = gpu.tensor([wideLength], { name: "adapters.wide" });
    const view = (
      of: Tensor,
      { shape, offset }: { shape: number[]; offset: number },
      name: string,
    ) => of.view(shape, { elementOffset: offset, name });
    this.layers = plans.map((groups, layer) => {
      const made: { -readonly [K in keyof LayerAdapters]: LayerAdapters[K] } = {
        qkv: undefined,
        output: undefined,
        gateUp: undefined,
        down: undefined,
      };
      for (const group of groups) {
        if (!group) continue;
        const name = `layers.${layer}.${group.key}.lora`;
        const a = view(this.values, group.a, `${name}_A`);
        const b = view(this.values, group.b, `${name}_B`);
        this.#blocks.push(a, b);
        const { rows, adapted } = group;
        const wide = view(this.#wide, group.wide, `${name}_B.wide`);
        made[group.key] = { a, b, wide, rows, adapted, scale: alpha / rank };
      }
      return made;
    });
    this.#initialise();
  }

  /** Names of the adapters' matrices, such as `model.layers.0.self_attn.q_proj.lora_A.weight`. */
  get names(): string[] {
    return [...this.#ranges.keys()];
  }

  /** All gradients, flat (n); the first use takes memory. */
  get gradients(): Tensor {
    return this.requireGradients();
  }

  /** Takes memory for the gradients, unless it has been, and tells every matrix where its own goes. */
  requireGradients(): Tensor {
    if (!this.#gradients) {
      this.#gradients = this.#gpu.tensor([this.values.capacity], { name: "adapters.gradients" });
      for (const block of this.#blocks) {
        block.grad = this.#gradients.view(block.shape, {
          elementOffset: block.rootOffset / 4,
          name: `${block.name}.grad`,
        });
      }
    }
    return this.#gradients;
  }

  /** Records what has to follow every change of the values. */
  refresh(plan: Plan): void {
    for (const [layer, groups] of this.layers.entries()) {
      for (const { key } of GROUPS) {
        const weights = groups[key];
        if (weights) widenLora(plan, weights, `layers.${layer}.${key}`);
      }
    }
  }

  /** Brings what products read up to date with the values; needed after {@linkcode write}, not after a step of AdamW. */
  async synchronise(): Promise<void> {
    const plan = new Plan(this.#gpu, "adapters");
    this.refresh(plan);
    await plan.compile();
    submit(this.#gpu, [plan]);
    await this.#gpu.finish();
    plan.destroy();
  }

  #initialise(): void {
    for (const [index, name] of this.names.entries()) {
      const { shape, length } = this.range(name);
      if (name.endsWith("lora_B.weight")) continue;
      const random = new Random(this.options.seed, ADAPTERS, index);
      const bound = 1 / Math.sqrt(shape[1]!);
      this.write(name, Float32Array.from({ length }, () => bound * (2 * random.uniform() - 1)));
    }
  }

  /**
   * Writes one matrix; call {@linkcode synchronise} after the last.
   *
   * @throws {RangeError} If there is none of that name or size.
   */
  write(name: string, values: Float32Array): void {
    const { shape, offset, length } = this.range(name);
    if (values.length !== length) {
      throw new RangeError(`${name} has ${length} values [${shape}]: got ${values.length}`);
    }
    this.#gpu.write(this.values, values, offset);
  }

  /** Writes values by name into something laid out like the adapters. */
  writeInto(flat: Tensor, name: string, values: Float32Array): void {
    this.#gpu.write(flat, values, this.range(name).offset);
  }

  /**
   * Reads the matrices, or anything laid out like them, by name.
   *
   * @param flat What to read: {@linkcode values} by default, or gradients or an optimizer's moments.
   */
  async read(flat: Tensor = this.values): Promise<Map<string, Float32Array<ArrayBuffer>>> {
    const all = await readTensor(this.#gpu, flat) as Float32Array<ArrayBuffer>;
    return new Map(this.names.map((name) => {
      const { offset, length } = this.range(name);
      return [name, all.slice(offset, offset + length)];
    }));
  }

  /** Reads one matrix, or what is laid out like it. */
  async readOne(name: string, flat: Tensor = this.values): Promise<Float32Array<ArrayBuffer>> {
    return await readRange(this.#gpu, flat, this.range(name));
  }

  /**
   * Where a matrix lies in {@linkcode values} and whatever is laid out like them.
   *
   * @throws {RangeError} If there is none of that name.
   */
  range(name: string): ParameterRange {
    const range = this.#ranges.get(name);
    if (!range) throw new RangeError(`There is no adapter ${name} in this policy`);
    return range;
  }

  /** Releases the memory. */
  destroy(): void {
    for (const tensor of [this.values, this.#wide, this.#gradients]) {
      if (tensor) this.#gpu.destroyTensor(tensor);
    }
  }
}

function moduleSizes(config: PolicyConfig): Record<LoraTarget, { out: number; in: number }> {
  const { hiddenSize: C, intermediateSize: F, headDim: D } = config;
  const [H, J] = [config.numAttentionHeads * D, config.numKeyValueHeads * D];
  return {
    q_proj: { out: H, in: C },
    k_proj: { out: J, in: C },
    v_proj: { out: J, in: C },
    o_proj: { out: C, in: H },
    gate_proj: { out: F, in: C },
    up_proj: { out: F, in: C },
    down_proj: { out: C, in: F },
  };
}
