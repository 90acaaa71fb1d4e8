import { assertEquals } from "@std/assert";
import { evaluationTable } from "../../src/cli/evaluation_table.ts";
import { taskByName } from "../../src/tasks/mod.ts";

const task = taskByName("parity");
const column = (title: string, mean: number, greedy: number) => ({
  title,
  figures: { "eval/parity/mean@8": mean, "eval/parity/pass@8": 1, "eval/parity/greedy": greedy },
});

Deno.test("accuracies are shares, dashes stand for what was not measured", () => {
  const lines = evaluationTable(task, [column("before", 0.5, 1), column("after", 0.973, 1)], 8);
  assertEquals(lines.map((line) => line.trimEnd().split(/ {2,}/)), [
    ["", "before", "after"],
    ["accuracy (mean@8)", "50.0 %", "97.3 %"],
    ["solved by any of 8 (pass@8)", "100.0 %", "100.0 %"],
    ["greedy accuracy", "100.0 %", "100.0 %"],
    ["mean length, tokens", "–", "–"],
    ["cut off by the limit", "–", "–"],
  ]);
});

Deno.test("rewards beyond 0 and 1 are not shown as shares", () => {
  for (const [mean, greedy] of [[0.873, 1.1], [-0.2, 0.5]] as const) {
    const lines = evaluationTable(task, [column("before", 0.5, 0.7), column("", mean, greedy)], 8);
    assertEquals(lines[1]!.split(/ {2,}/), ["reward (mean@8)", "0.500", mean.toFixed(3)]);
    assertEquals(lines[3]!.split(/ {2,}/), ["greedy reward", "0.700", greedy.toFixed(3)]);
  }
});
