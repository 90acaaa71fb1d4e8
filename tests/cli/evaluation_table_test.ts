import { assertEquals } from "@std/assert";
import { evaluationTable } from "../../src/cli/evaluation_table.ts";
import { taskByName } from "../../src/tasks/mod.ts";

const task = taskByName("parity");
const column = (title: string, mean: number, greedy: number, right = mean) => ({
  title,
  figures: {
    "eval/parity/mean@8": mean,
    "eval/parity/pass@1": right,
    "eval/parity/pass@8": 1,
    "eval/parity/greedy": greedy,
  },
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

Deno.test("a mean reward that is not the share of right samples is shown as a reward, and the share beside it", () => {
  // The third is of rewards up to 1.2, which was shown as an accuracy of 99.5 %.
  for (const [mean, greedy] of [[0.873, 1.1], [-0.2, 0.5], [0.995, 0.99]] as const) {
    const after = column("", mean, greedy, 0.8);
    const lines = evaluationTable(task, [column("before", 0.5, 0.7), after], 8);
    assertEquals(lines.slice(1, 5).map((line) => line.split(/ {2,}/)), [
      ["mean reward (mean@8)", "0.500", mean.toFixed(3)],
      ["solved (pass@1)", "50.0 %", "80.0 %"],
      ["solved by any of 8 (pass@8)", "100.0 %", "100.0 %"],
      ["greedy reward", "0.700", greedy.toFixed(3)],
    ]);
  }
});

Deno.test("what is known of prompts and errors gives intervals, of a reward that is no share the mean's alone", () => {
  const known = (column: { title: string; figures: Record<string, number> }) => {
    const figures = {
      ...column.figures,
      "eval/parity/mean@8_error": 0.02,
      "eval/parity/prompts": 128,
    };
    return { ...column, figures };
  };
  const cells = (...columns: Parameters<typeof evaluationTable>[1]) =>
    evaluationTable(task, columns, 8).map((line) => line.trim().split(/ {2,}/));
  const before = column("before", 0.5, 1);
  assertEquals(cells(before, known(column("after", 0.9, 0.75))).slice(1, 6), [
    ["accuracy (mean@8)", "50.0 %", "90.0 %"],
    ["95 % interval", "–", "85.4–93.3"],
    ["solved by any of 8 (pass@8)", "100.0 %", "100.0 %"],
    ["greedy accuracy", "100.0 %", "75.0 %"],
    ["95 % interval", "–", "66.8–81.7"],
  ]);
  const rewards = cells(known(column("", 1.1, 1.2, 0.8))).filter(([label]) => label!.includes("%"));
  assertEquals(rewards, [["95 % interval", "1.061–1.139"]]);
});

Deno.test("evaluations of unequal numbers of prompts say how many each asked", () => {
  const asking = (title: string, prompts: number) => {
    const { figures } = column(title, 0.5, 1);
    return { title, figures: { ...figures, "eval/parity/prompts": prompts } };
  };
  // A run that was resumed with other --eval-prompts.
  const lines = evaluationTable(task, [asking("before", 128), asking("after", 16)], 8);
  assertEquals(lines.at(-1)!.split(/ {2,}/), ["prompts asked", "128", "16"]);
  const alike = evaluationTable(task, [asking("before", 16), asking("after", 16)], 8);
  assertEquals(alike.filter((line) => line.includes("prompts")), []);
});
