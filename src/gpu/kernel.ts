/**
 * Compiling WGSL: one file may hold several entry points; bindings and parameters are known by their names.
 *
 * A kernel file declares `struct Params { … }` of four-byte scalars as a uniform, and storage bindings with meaningful
 * names. The launcher passes both by name, and a misspelt, missing or superfluous name is an error.
 *
 * @module
 */

import { namesOf } from "../input/names.ts";

/** What to compile. */
export interface KernelDescriptor {
  /** The kernel file's stem, for example `softmax` or `matmul/subgroup`. */
  readonly name: string;
  /** WGSL source text. */
  readonly code: string;
  /** Which `@compute` function. */
  readonly entryPoint: string;
  /** Values of `override` declarations. */
  readonly constants?: Readonly<Record<string, number | boolean>>;
}

/** Every field of {@linkcode KernelDescriptor}. */
export const DESCRIPTOR: readonly string[] = namesOf<KernelDescriptor>({
  name: true,
  code: true,
  entryPoint: true,
  constants: true,
});

/** A storage binding of a kernel. */
export interface StorageBinding {
  /** Variable name in the WGSL. */
  readonly name: string;
  /** `@binding` number. */
  readonly index: number;
  /** Whether the kernel may write it. */
  readonly writes: boolean;
}

/** A scalar of the `Params` struct. */
export interface ParamField {
  /** Field name. */
  readonly name: string;
  /** Scalar type. */
  readonly type: "u32" | "i32" | "f32";
}

/** A compiled entry point. */
export interface Kernel {
  /** `stem.entryPoint`, as shown in errors and profiles. */
  readonly label: string;
  /** Storage bindings the entry point uses. */
  readonly bindings: readonly StorageBinding[];
  /** `@binding` number of the params uniform, or `undefined` if there is none. */
  readonly paramsIndex: number | undefined;
  /** Fields of the params struct in order. */
  readonly params: readonly ParamField[];
  /** Whether it has loops, whose turns a dispatch then states. */
  readonly loops: boolean;
  /** The pipeline; valid only if {@linkcode Kernel.ready} resolves. */
  readonly pipeline: GPUComputePipeline;
  /** Layout for bind group 0. */
  readonly layout: GPUBindGroupLayout;
  /** Resolves when the device accepted the shader, rejects with the compiler's message otherwise. */
  readonly ready: Promise<void>;
}

/** Names of kernels by the operations they are chosen for, as `deno task tune` finds them. */
export type KernelChoices = Readonly<Record<string, string>>;

/** Removes WGSL comments, keeping line breaks. */
function stripComments(code: string): string {
  return code.replace(/\/\*[\s\S]*?\*\//g, (c) => c.replace(/[^\n]/g, " ")).replace(
    /\/\/.*$/gm,
    "",
  );
}

/** The body text of each top-level function. */
function functionBodies(code: string): Map<string, string> {
  const bodies = new Map<string, string>();
  for (const match of code.matchAll(/\bfn\s+(\w+)\s*\(/g)) {
    const open = code.indexOf("{", match.index);
    let depth = 1;
    let end = open + 1;
    while (depth > 0 && end < code.length) {
      const c = code[end++];
      if (c === "{") depth++;
      else if (c === "}") depth--;
    }
    bodies.set(match[1]!, code.slice(open, end));
  }
  return bodies;
}

/** Every identifier that is reachable from an entry point through function calls. */
function reachableIdentifiers(code: string, entryPoint: string): Set<string> {
  const bodies = functionBodies(code);
  const seen = new Set<string>();
  const pending = [entryPoint];
  while (pending.length > 0) {
    const body = bodies.get(pending.pop()!);
    if (!body) continue;
    for (const [identifier] of body.matchAll(/(?<![.\w])[A-Za-z_]\w*/g)) {
      if (seen.has(identifier)) continue;
      seen.add(identifier);
      if (bodies.has(identifier)) pending.push(identifier);
    }
  }
  return seen;
}

type Reflection = Pick<Kernel, "bindings" | "paramsIndex" | "params" | "loops">;

/** What sources said, by entry point and source: every device of a process compiles the same ones. */
const reflections = new Map<string, Reflection>();

/** What a kernel's source says about its bindings, for one entry point. */
export function reflect(code: string, entryPoint: string): Reflection {
  const key = `${entryPoint}\n${code}`;
  const known = reflections.get(key);
  if (known) return known;
  const reflection = read(code, entryPoint);
  reflections.set(key, reflection);
  return reflection;
}

function read(code: string, entryPoint: string): Reflection {
  const plain = stripComments(code);
  const used = reachableIdentifiers(plain, entryPoint);
  const bindings: StorageBinding[] = [];
  let paramsIndex: number | undefined;
  let paramsType: string | undefined;
  const declaration =
    /@group\(0\)\s*@binding\((\d+)\)\s*var<\s*(uniform|storage)\s*(?:,\s*(read|read_write)\s*)?>\s*(\w+)\s*:\s*([\w<>, ]+);/g;
  for (const [, index, space, access, name, type] of plain.matchAll(declaration)) {
    if (!used.has(name!)) continue;
    if (space === "uniform") {
      paramsIndex = Number(index);
      paramsType = type!.trim();
    } else {
      bindings.push({ name: name!, index: Number(index), writes: access === "read_write" });
    }
  }
  const params: ParamField[] = [];
  if (paramsType) {
    const struct = new RegExp(`struct\\s+${paramsType}\\s*\\{([^}]*)\\}`).exec(plain)?.[1] ?? "";
    for (const [, name, type] of struct.matchAll(/(\w+)\s*:\s*(\w+)/g)) {
      params.push({ name: name!, type: type as ParamField["type"] });
    }
  }
  const loops = ["for", "while", "loop"].some((word) => used.has(word));
  return { bindings, paramsIndex, params, loops };
}

/**
 * Compiles one entry point. Returns at once; {@linkcode Kernel.ready} says whether the shader is valid.
 *
 * @param device The device to compile for.
 * @param descriptor Source, entry point and constants.
 */
export function compileKernel(device: GPUDevice, descriptor: KernelDescriptor): Kernel {
  const { name, code, entryPoint, constants = {} } = descriptor;
  const label = `${name}.${entryPoint}`;
  const { bindings, paramsIndex, params, loops } = reflect(code, entryPoint);
  const entries: GPUBindGroupLayoutEntry[] = bindings.map((b) => ({
    binding: b.index,
    visibility: GPUShaderStage.COMPUTE,
    buffer: { type: b.writes ? "storage" : "read-only-storage" },
  }));
  if (paramsIndex !== undefined) {
    entries.push({
      binding: paramsIndex,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: "uniform" },
    });
  }
  device.pushErrorScope("validation");
  device.pushErrorScope("internal");
  const layout = device.createBindGroupLayout({ label, entries });
  const module = device.createShaderModule({ label, code });
  const numeric = Object.fromEntries(
    Object.entries(constants).map(([key, value]) => [key, Number(value)]),
  );
  let pipeline: GPUComputePipeline | undefined;
  let thrown: unknown;
  try {
    pipeline = device.createComputePipeline({
      label,
      layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint, constants: numeric },
    });
  } catch (error) {
    thrown = error;
  }
  const scopes = Promise.all([device.popErrorScope(), device.popErrorScope()]);
  const ready = scopes.then(([internal, validation]) => {
    const message = (validation ?? internal)?.message ?? (thrown as Error | undefined)?.message;
    if (message !== undefined) {
      const values = Object.entries(constants).map(([k, v]) => `${k}=${v}`).join(", ");
      throw new Error(
        `Kernel ${label}${values ? ` (${values})` : ""} does not compile: ${message}`,
      );
    }
  });
  ready.catch(() => {}); // reported by whoever awaits `ready`
  return {
    label,
    bindings,
    paramsIndex,
    params,
    loops,
    pipeline: pipeline as GPUComputePipeline,
    layout,
    ready,
  };
}
