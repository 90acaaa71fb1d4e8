/**
 * The aggregation rules of `src/objective/aggregation.ts` split into what depends on a response and what depends on its batch,
 * so that one pass over a pool of gradients serves all batches.
 *
 * @module
 */

/** A rule x_i = f(L_i) · c(batch). */
export interface AggregationRule {
  /** Short name. */
  readonly id: string;
  /** Name in tables. */
  readonly title: string;
  /** f(L) = L^-alpha. */
  readonly alpha: number;
  /** Whether advantages keep the group's standard deviation as divisor. */
  readonly std: boolean;
  /** c, from the batch's number of responses, tokens and Σ L^-alpha. */
  readonly scale: (batch: BatchSums, M: number) => number;
}

/** What the factor c of a rule depends on. */
export interface BatchSums {
  /** Responses of the batch. */
  readonly responses: number;
  /** Their tokens. */
  readonly tokens: number;
  /** Σ L^-alpha over them. */
  readonly powers: number;
}

const perResponse = ({ responses }: BatchSums, M: number) => 1 / (responses * M);

/** The rules of the paper's table; ΔL for every α of a list. */
export function aggregationRules(alphas: readonly number[]): AggregationRule[] {
  return [
    { id: "grpo", title: "GRPO", alpha: 1, std: true, scale: ({ responses }) => 1 / responses },
    {
      id: "dapo",
      title: "DAPO (token mean)",
      alpha: 0,
      std: true,
      scale: ({ tokens }) => 1 / tokens,
    },
    { id: "dr-grpo-std", title: "Dr. GRPO, std kept", alpha: 0, std: true, scale: perResponse },
    { id: "dr-grpo", title: "Dr. GRPO", alpha: 0, std: false, scale: perResponse },
    ...alphas.map((alpha): AggregationRule => ({
      id: deltaLId(alpha),
      title: `ΔL α = ${alpha}`,
      alpha,
      std: true,
      scale: ({ powers }, M) => 1 / (M * powers),
    })),
  ];
}

/** Id of ΔL with an exponent. */
export function deltaLId(alpha: number): string {
  return `delta-l-${alpha}`;
}
