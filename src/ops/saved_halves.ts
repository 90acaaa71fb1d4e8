/**
 * What the forward pass leaves for the backward pass, kept as float16 in between.
 *
 * @module
 */

import type { Command } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import { sizeLimit, type Tensor } from "../gpu/tensor.ts";
import { columnsToHalf, fromHalf } from "./to_half.ts";

/** Smaller tensors are not worth two dispatches. */
const SMALLEST = 4096;

/** A tensor that lies idle for fewer dispatches than this is in use: storing it would cost more than it brings. */
const SHORTEST_REST = 12;

/** Where a tensor is used. */
interface Uses {
  /** The last dispatch of the forward pass. */
  last: number;
  /** The first dispatch of the backward pass. */
  first: number;
  /** Whether the backward pass changes it. */
  changed: boolean;
}

/**
 * Rewrites a recorded plan: what the forward pass makes and the backward pass reads again is rounded to float16 after
 * its last use and restored before its next one, so that it takes half the memory in between. Results of the
 * forward pass stay as they are, to the bit; gradients are those of rounded activations.
 *
 * @param plan The plan, recorded with its backward pass and not compiled.
 * @param forward Number of dispatches of its forward pass.
 * @returns The tensors that are stored so.
 */
export function saveInHalf(plan: Plan, forward: number): Tensor[] {
  let saved: Tensor[] = [];
  plan.rewrite((commands, keep) => saved = rewriteInHalf(plan, commands, forward, keep));
  return saved;
}

function rewriteInHalf(
  plan: Plan,
  commands: readonly Command[],
  forward: number,
  keep: (command: Command) => void,
): Tensor[] {
  const uses = usesOf(commands, forward);
  const saved = [...uses].filter(([tensor, { last, first, changed }]) =>
    plan.isIntermediate(tensor) && tensor.dtype === "f32" && tensor.shape.length >= 2 &&
    rowOf(tensor) % 4 === 0 && tensor.capacity >= SMALLEST && !changed &&
    last >= 0 && first - last >= SHORTEST_REST
  );
  const after = Map.groupBy(saved, ([, { last }]) => last);
  const before = Map.groupBy(saved, ([, { first }]) => first);
  const halves = new Map<Tensor, Tensor>();
  const restored = new Map<Tensor, Tensor>();
  for (const [index, command] of commands.entries()) {
    for (const [tensor] of before.get(index) ?? []) {
      const name = `${tensor.name}.restored`;
      restored.set(tensor, fromHalf(plan, halves.get(tensor)!, { name }));
    }
    keep(index < forward ? command : rebound(command, restored));
    for (const [tensor] of after.get(index) ?? []) {
      const width = rowOf(tensor);
      const matrix = tensor.view([tensor.shape[0]!, width]);
      const name = `${tensor.name}.saved`;
      halves.set(tensor, columnsToHalf(plan, matrix, { first: 0, width }, { name }));
    }
  }
  return saved.map(([tensor]) => tensor);
}

/** Numbers in a row. */
function rowOf({ shape }: Tensor): number {
  return shape.slice(1).reduce<number>((n, size) => n * sizeLimit(size), 1);
}

function usesOf(commands: readonly Command[], forward: number): Map<Tensor, Uses> {
  const uses = new Map<Tensor, Uses>();
  for (const [index, { bindings, kernel }] of commands.entries()) {
    for (const { name, writes } of kernel.bindings) {
      const { root } = bindings[name]!;
      const known = uses.get(root) ?? { last: -1, first: Infinity, changed: false };
      if (index < forward) known.last = index;
      else {
        known.first = Math.min(known.first, index);
        known.changed ||= writes;
      }
      uses.set(root, known);
    }
  }
  return new Map([...uses].filter(([, { first }]) => first < Infinity));
}

/** The same call, of what was restored. */
function rebound(command: Command, restored: ReadonlyMap<Tensor, Tensor>): Command {
  const bindings = Object.entries(command.bindings).map(([name, tensor]) => {
    const instead = restored.get(tensor.root);
    const elementOffset = tensor.rootOffset / 4;
    return [name, instead ? instead.view(tensor.shape, { elementOffset }) : tensor] as const;
  });
  return { ...command, bindings: Object.fromEntries(bindings) };
}
