/**
 * Links a kernel with the WGSL that it shares with others.
 *
 * A file says in its first lines what it needs of others and what it provides:
 *
 *     // provides: stored when stored=f16|bf16 pack=8
 *     // needs: half_bits
 *
 * Several files may provide the same; the launcher's choices decide which of them serves, and are part of the kernel's
 * name. What is needed is appended, so that line numbers in error messages are those of the kernel file.
 *
 * @module
 */

import block from "../../kernels/lib/block.wgsl" with { type: "text" };
import each from "../../kernels/lib/each.wgsl" with { type: "text" };
import halfBitsBf16 from "../../kernels/lib/half_bits_bf16.wgsl" with { type: "text" };
import halfBitsF16 from "../../kernels/lib/half_bits_f16.wgsl" with { type: "text" };
import halfWordsBf16 from "../../kernels/lib/half_words_bf16.wgsl" with { type: "text" };
import halfWordsF16 from "../../kernels/lib/half_words_f16.wgsl" with { type: "text" };
import kl from "../../kernels/lib/kl.wgsl" with { type: "text" };
import numbers from "../../kernels/lib/numbers.wgsl" with { type: "text" };
import pack1In16 from "../../kernels/lib/pack1_16.wgsl" with { type: "text" };
import pack1F32 from "../../kernels/lib/pack1_f32.wgsl" with { type: "text" };
import pack4In16 from "../../kernels/lib/pack4_16.wgsl" with { type: "text" };
import pack4F32 from "../../kernels/lib/pack4_f32.wgsl" with { type: "text" };
import pack4x2In16 from "../../kernels/lib/pack4x2_16.wgsl" with { type: "text" };
import pack4x2F32 from "../../kernels/lib/pack4x2_f32.wgsl" with { type: "text" };
import pack8In16 from "../../kernels/lib/pack8_16.wgsl" with { type: "text" };
import pack8F32 from "../../kernels/lib/pack8_f32.wgsl" with { type: "text" };
import rotation from "../../kernels/lib/rotation.wgsl" with { type: "text" };
import rowsLane from "../../kernels/lib/rows_lane.wgsl" with { type: "text" };
import rowsOf from "../../kernels/lib/rows_of.wgsl" with { type: "text" };
import rowsTeam from "../../kernels/lib/rows_team.wgsl" with { type: "text" };
import spans from "../../kernels/lib/spans.wgsl" with { type: "text" };
import storedF32 from "../../kernels/lib/stored_f32.wgsl" with { type: "text" };
import teamShared from "../../kernels/lib/team_shared.wgsl" with { type: "text" };
import teamSubgroup from "../../kernels/lib/team_subgroup.wgsl" with { type: "text" };
import threefry from "../../kernels/lib/threefry.wgsl" with { type: "text" };
import turn from "../../kernels/lib/turn.wgsl" with { type: "text" };
import workgroup from "../../kernels/lib/workgroup.wgsl" with { type: "text" };
import type { KernelDescriptor } from "../gpu/kernel.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** Files that have been read, by their text. */
const fragments = new Map<string, Fragment>();

/** What several kernels share: `kernels/lib/`. */
const LIBRARY = [
  block,
  each,
  halfBitsBf16,
  halfBitsF16,
  halfWordsBf16,
  halfWordsF16,
  kl,
  numbers,
  pack1In16,
  pack1F32,
  pack4In16,
  pack4F32,
  pack4x2In16,
  pack4x2F32,
  pack8In16,
  pack8F32,
  rotation,
  rowsLane,
  rowsOf,
  rowsTeam,
  spans,
  storedF32,
  teamShared,
  teamSubgroup,
  threefry,
  turn,
  workgroup,
].map(read);

/** What numbers may be stored as that kernels compute with in float32. */
export type StoredAs = "f32" | "f16" | "bf16";

/** What a tensor of floats is stored as. */
export function storedAs({ dtype }: Tensor): StoredAs {
  return dtype === "f16" || dtype === "bf16" ? dtype : "f32";
}

/** What a device and a call decide. */
export interface Choices {
  /** Numbers that a load brings; `"4x2"` are eight in two loads. */
  readonly pack?: 1 | 4 | 8 | "4x2";
  /** What the tensor is stored in that is read or written as `Stored`. */
  readonly stored?: StoredAs;
  /** Whether each lane has a row of its own, or all lanes work on one. */
  readonly rows?: "lane" | "team";
  /** How lanes work together. */
  readonly team?: "subgroup" | "shared";
  /** Packs of a head: how many `each` visits. */
  readonly packs?: number;
  /** How lanes come by rows that all of them need. */
  readonly passing?: "shuffle" | "direct";
  /** What becomes of a product. */
  readonly epilogue?: "none" | "swiglu_gradient";
}

/** A file of WGSL, by what its first lines say. */
interface Fragment {
  readonly code: string;
  /** What it is there for; `undefined` of a kernel. */
  readonly provides: string | undefined;
  /** The choices it is the right one for. */
  readonly when: readonly (readonly [choice: keyof Choices, values: readonly string[]])[];
  readonly needs: readonly string[];
}

function read(code: string): Fragment {
  const known = fragments.get(code);
  if (known) return known;
  const [, provides, when = ""] = /^\/\/ provides: (\w+)(?: when (.+))?$/m.exec(code) ?? [];
  const needs = /^\/\/ needs: (.+)$/m.exec(code)?.[1]?.split(", ") ?? [];
  const conditions = when.split(" ").filter(Boolean).map((condition) => {
    const [choice, values] = condition.split("=") as [keyof Choices, string];
    return [choice, values.split("|")] as const;
  });
  const fragment = { code, provides, when: conditions, needs };
  fragments.set(code, fragment);
  return fragment;
}

/**
 * What `kernels/lib/each.wgsl` leaves to the linker: the number of packs of a head, and of the functions `each_NAME()`, which
 * call `NAME(c)` for every pack c, those that code calls.
 */
function eachOf(code: string, packs: number): string {
  const called = code.replaceAll(/\/\/.*/g, "").matchAll(/\beach_(\w+)\(\)/g);
  const names = new Set([...called].map(([, name]) => name!));
  const functions = [...names].map((name) => {
    const calls = Array.from({ length: packs }, (_, c) => `${name}(${c}u);`);
    return `fn each_${name}() { ${calls.join(" ")} }`;
  });
  return [`const HEAD_PACKS = ${packs}u;`, ...functions].join("\n");
}

/**
 * Appends what a kernel needs, and what that needs in turn.
 *
 * @param kernel The kernel, as its file has it.
 * @param choices Decide where several files provide the same; those that nothing depends on are passed over.
 * @param own Files beside the kernel's, of which those are taken that are needed.
 * @returns The kernel under a name that says which choices it was linked with.
 * @throws {TypeError} If nothing provides what is needed.
 */
export function link(
  kernel: KernelDescriptor,
  choices: Choices = {},
  own: readonly string[] = [],
): KernelDescriptor {
  const available = own.length > 0 ? [...own.map(read), ...LIBRARY] : LIBRARY;
  const used = new Map<string, unknown>();
  const linked = new Map<string | undefined, string>();
  const append = (fragment: Fragment) => {
    linked.set(fragment.provides, fragment.code);
    for (const need of fragment.needs) {
      if (linked.has(need)) continue;
      const found = available.find(({ provides, when }) =>
        provides === need && when.every(([choice, values]) => values.includes(`${choices[choice]}`))
      );
      if (!found) {
        throw new TypeError(
          `Kernel ${kernel.name} needs ${need}, which nothing provides for ` +
            `${JSON.stringify(choices)}`,
        );
      }
      for (const [choice] of found.when) used.set(choice, choices[choice]);
      append(found);
    }
  };
  append({ ...read(kernel.code), provides: undefined });
  if (linked.has("each")) {
    const { packs } = choices;
    if (!packs) throw new TypeError(`Kernel ${kernel.name} needs each: give the packs of a head`);
    used.set("packs", packs);
    linked.set("each_NAME", eachOf([...linked.values()].join("\n"), packs));
  }
  const variant = [...used].sort().map(([, value]) => value).join("_");
  const name = variant ? `${kernel.name}/${variant}` : kernel.name;
  return { ...kernel, name, code: [...linked.values()].join("\n") };
}
