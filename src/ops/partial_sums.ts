/**
 * Gradients that several workgroups sum parts of: where the parts go, and their sum.
 *
 * The parts of all parameters' gradients are added up together at the end of the backward pass, in one dispatch. They
 * need memory until then, so the sum is taken earlier when there are many.
 *
 * @module
 */

import code from "../../kernels/partial_sums.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../gpu/plan.ts";
import { type Size, sizeLimit, sizeNow, type Tensor } from "../gpu/tensor.ts";
import { elementwiseConstants, type PackSize, widestPack } from "./readers.ts";
import { link } from "./wgsl.ts";

/** Parts of this many elements wait for each other: 4 MiB, which a processor still finds in its cache. */
const MAX_WAITING = 2 ** 20;

/** How a sum is cut into parts. */
export interface Division {
  /** The terms of the sum, such as tokens. */
  readonly terms: Size;
  /** The fewest terms of a part. */
  readonly step: number;
  /** The most parts. */
  readonly most: number;
}

/** Terms of each part but the last, now. */
export function partTerms({ terms, step, most }: Division): number {
  return Math.max(step, Math.ceil(sizeNow(terms) / most));
}

/** Parts now; none if there are no terms. */
export function partCount(division: Division): number {
  return Math.ceil(sizeNow(division.terms) / partTerms(division));
}

/**
 * Chunks to cut the terms of a sum into where a lane walks over a whole chunk: some, or as many as it takes for the walk not
 * to become too long.
 *
 * @param terms The terms of the sum.
 * @param termTurns Turns that a term takes.
 * @param wanted The fewest chunks.
 */
export function fewestChunks(gpu: Gpu, terms: Size, termTurns: number, wanted: number): number {
  const longest = Math.max(1, Math.floor(gpu.traits.turns / termTurns));
  return Math.max(wanted, Math.ceil(sizeLimit(terms) / longest));
}

/** A sum whose parts have a place. */
export interface PartialSum {
  /** (most, …out): where the parts are to be written, the first {@linkcode partCount} of them. */
  readonly partials: Tensor;
  /** Records the sum; call it when what writes the parts is recorded. */
  readonly addUp: () => void;
}

/** A sum that waits for others. */
interface Stretch {
  readonly out: Tensor;
  readonly partials: Tensor;
  readonly division: Division;
}

/** Sums that can be taken in one dispatch: their outputs share a buffer, and their terms are the same. */
interface Group {
  readonly root: Tensor;
  /** Which of its buffers. */
  readonly piece: number;
  readonly terms: Size;
  readonly pack: PackSize;
  waiting: Stretch[];
}

const groupsOfPlan = new WeakMap<Plan, Group[]>();

/**
 * Makes room for the parts of a sum.
 *
 * @param out What becomes the sum over all parts, or has it added.
 * @param division How the sum is cut.
 * @param options `accumulate` adds to `out`. `parameter` says that `out` is a parameter's gradient, which nothing reads
 * before the backward pass is over, so that the sum may wait for others. `label` of a sum of its own.
 */
export function partialSum(
  plan: Plan,
  out: Tensor,
  division: Division,
  options: { accumulate: boolean; parameter: boolean; label: string },
): PartialSum {
  const { accumulate, parameter, label } = options;
  const partials = plan.empty([division.most, ...out.shape], `${label}.partials`);
  const stretch = { out, partials, division };
  const pack = packOf(plan, out);
  const addUp = () => {
    if (accumulate && parameter) return wait(plan, stretch, pack);
    record(plan, label, [stretch], { root: out, pack, partials, accumulate });
  };
  return { partials, addUp };
}

/** What an output is added up in: its range in its root begins and ends with a whole pack. */
function packOf(plan: Plan, out: Tensor): PackSize {
  const start = out.rootOffset / 4;
  const multiple = [8, 4].find((n) => start % n === 0 && out.capacity % n === 0) ?? 1;
  return widestPack(plan.gpu, multiple);
}

function wait(plan: Plan, stretch: Stretch, pack: PackSize): void {
  const { division: { terms }, out: { root, piece } } = stretch;
  const groups = groupsOfPlan.get(plan) ?? [];
  groupsOfPlan.set(plan, groups);
  let group = groups.find((g) =>
    g.root === root && g.piece === piece && g.terms === terms && g.pack === pack
  );
  if (!group) groups.push(group = { root, piece, terms, pack, waiting: [] });
  if (group.waiting.length === 0) plan.afterBackward(() => addUpWaiting(plan, group));
  const together = [...group.waiting, stretch];
  const elements = together.reduce((n, { partials }) => n + partials.capacity, 0);
  const limit = plan.gpu.device.limits.maxStorageBufferBindingSize;
  if (elements > MAX_WAITING || 4 * elements > limit || span(together).byteLength > limit) {
    addUpWaiting(plan, group);
  }
  group.waiting.push(stretch);
}

/** The part of their root that some outputs lie in. */
function span(stretches: readonly Stretch[]): Tensor {
  const root = stretches[0]!.out.root;
  const first = Math.min(...stretches.map(({ out }) => out.rootOffset)) / 4;
  const end = Math.max(...stretches.map(({ out }) => out.rootOffset / 4 + out.capacity));
  return root.view([end - first], { elementOffset: first });
}

function addUpWaiting(plan: Plan, group: Group): void {
  const { pack, waiting } = group;
  if (waiting.length === 0) return;
  group.waiting = [];
  const partials = plan.together(waiting.map((s) => s.partials), "partial_sums");
  record(plan, "partial_sums", waiting, { root: span(waiting), pack, partials, accumulate: true });
}

function record(
  plan: Plan,
  label: string,
  stretches: readonly Stretch[],
  how: { root: Tensor; pack: PackSize; partials: Tensor; accumulate: boolean },
): void {
  const { root, pack, partials, accumulate } = how;
  const { terms } = stretches[0]!.division;
  const constants = elementwiseConstants(plan.gpu);
  let workgroups = 0;
  const table = stretches.flatMap(({ out, partials, division: { step, most } }) => {
    const size = out.capacity / pack;
    const first = workgroups;
    workgroups += Math.ceil(size / constants.CHUNK);
    const offset = (out.rootOffset - root.rootOffset) / 4;
    return [first, size, offset / pack, partials.rootOffset / 4 / pack, step, most];
  });
  const parts = Math.max(...stretches.map(({ division }) => division.most));
  const turns = Math.ceil(constants.CHUNK / constants.LANES) * (1 + parts) + stretches.length;
  plan.dispatch({
    kernel: plan.gpu.kernel(link({
      name: "partial_sums",
      code,
      entryPoint: "add_up",
      constants: { ...constants, ACCUMULATE: accumulate },
    }, { pack })),
    label: `${label}.add_up`,
    bindings: { stretches: plan.constant(table, `${label}.stretches`), partials, out: root },
    params: { count: stretches.length, terms },
    turns,
    workgroups,
    cost: {
      bytes: () =>
        stretches.reduce(
          (n, { out, division }) => n + out.capacity * (partCount(division) + 2),
          0,
        ) *
        4,
    },
  });
}
