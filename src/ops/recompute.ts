/**
 * What the forward pass leaves for the backward pass, computed again instead of kept.
 *
 * @module
 */

import type { Command } from "../gpu/command.ts";
import type { Plan } from "../gpu/plan.ts";
import { bytesPerElement, type Tensor } from "../gpu/tensor.ts";

/** A stretch of the forward pass whose inputs alone are kept. */
interface Segment {
  /** Its dispatches. */
  readonly commands: Command[];
  /** What it makes and only the backward pass reads later. */
  readonly lost: Set<Tensor>;
  /** Everything it writes. */
  readonly written: Set<Tensor>;
}

/**
 * Rewrites a recorded plan: each segment of the forward pass runs again before the first dispatch of the backward pass
 * that needs something from within it (Chen et al. 2016, arXiv 1604.06174). Only what one segment hands to another is
 * kept in between. Nothing that comes out changes, not a bit.
 *
 * @param plan The plan, recorded with its backward pass and not compiled.
 * @param forward Number of dispatches of its forward pass.
 * @param segmentOf Which segment a dispatch of the forward pass belongs to, by its label; `undefined` for none.
 * @returns The tensors that are computed again.
 */
export function recompute(
  plan: Plan,
  forward: number,
  segmentOf: (label: string) => string | undefined,
): Tensor[] {
  const again: Tensor[] = [];
  plan.rewrite((commands, keep) => {
    const segments = segmentsOf(plan, commands, forward, segmentOf);
    const owner = new Map(segments.flatMap((s) => [...s.lost].map((tensor) => [tensor, s])));
    const copies = new Map<Tensor, Tensor>();
    const replayed = new Set<Segment>();
    for (const [index, command] of commands.entries()) {
      if (index < forward) {
        keep(command);
        continue;
      }
      for (const { root } of Object.values(command.bindings)) {
        const segment = owner.get(root);
        if (!segment || replayed.has(segment)) continue;
        replayed.add(segment);
        for (const call of neededCommands(segment)) keep(repeat(plan, call, segment, copies));
      }
      keep(rebound(command, (root) => owner.has(root) ? copies.get(root) : undefined));
    }
    again.push(...owner.keys());
  });
  return again;
}

function segmentsOf(
  plan: Plan,
  commands: readonly Command[],
  forward: number,
  segmentOf: (label: string) => string | undefined,
): Segment[] {
  const segments = new Map<string, Segment>();
  const before = commands.slice(0, forward);
  const segmentAt = before.map((command) => {
    const key = segmentOf(command.label);
    if (key === undefined) return undefined;
    const segment = segments.get(key) ?? { commands: [], lost: new Set(), written: new Set() };
    segments.set(key, segment);
    segment.commands.push(command);
    for (const root of writtenBy(command)) segment.written.add(root);
    return segment;
  });
  const inBackward = new Set(
    commands.slice(forward).flatMap((c) => Object.values(c.bindings).map(({ root }) => root)),
  );
  const users = new Map<Tensor, Set<Segment | undefined>>();
  for (const [index, { bindings }] of before.entries()) {
    for (const { root } of Object.values(bindings)) {
      users.set(root, (users.get(root) ?? new Set()).add(segmentAt[index]));
    }
  }
  for (const segment of segments.values()) {
    for (const root of segment.written) {
      const own = users.get(root)!.size === 1 && plan.isIntermediate(root);
      if (own && inBackward.has(root)) segment.lost.add(root);
    }
  }
  return [...segments.values()];
}

function writtenBy({ kernel, bindings }: Command): Tensor[] {
  return kernel.bindings.filter((b) => b.writes).map((b) => bindings[b.name]!.root);
}

/** The dispatches of a segment that what is lost depends on. */
function neededCommands({ commands, lost, written }: Segment): Command[] {
  const needed = new Set(lost);
  const calls: Command[] = [];
  for (const command of commands.toReversed()) {
    if (!writtenBy(command).some((root) => needed.has(root))) continue;
    calls.push(command);
    for (const { root } of Object.values(command.bindings)) {
      if (written.has(root)) needed.add(root);
    }
  }
  return calls.reverse();
}

/** The same call with tensors of its own for everything that the segment writes. */
function repeat(
  plan: Plan,
  command: Command,
  { written }: Segment,
  copies: Map<Tensor, Tensor>,
): Command {
  const call = rebound(command, (root) => {
    if (!written.has(root)) return undefined;
    const copy = copies.get(root) ?? plan.empty(root.shape, `${root.name}.again`, root.dtype);
    copies.set(root, copy);
    return copy;
  });
  return { ...call, label: `${command.label}.again` };
}

/** The same call, of other tensors. */
function rebound(command: Command, instead: (root: Tensor) => Tensor | undefined): Command {
  const bindings = Object.entries(command.bindings).map(([name, tensor]) => {
    const other = instead(tensor.root);
    if (!other) return [name, tensor] as const;
    const elementOffset = tensor.rootOffset / bytesPerElement(tensor.dtype);
    return [name, other.view(tensor.shape, { elementOffset, name: other.name })] as const;
  });
  return { ...command, bindings: Object.fromEntries(bindings) };
}
