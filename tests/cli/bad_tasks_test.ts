/** Tasks of a user that cannot be used, throw, or return no reward. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { tinyWith } from "../helpers/bad_input.ts";
import { runInProcess } from "../helpers/in_process.ts";
import { test } from "../helpers/test.ts";

/** A task of a user's own, in a module, with one thing wrong. */
const TASK = `
const VOCABULARY = ["<pad>", "<eos>", "a", "b"];
let asked = 0;
const good = {
  name: "own",
  vocabulary: VOCABULARY,
  padTokenId: 0,
  eosTokenId: 1,
  maxPromptLength: 2,
  maxCompletionLength: 4,
  defaults: {
    policy: {
      hiddenSize: 16,
      numHiddenLayers: 1,
      numAttentionHeads: 2,
      numKeyValueHeads: 2,
      intermediateSize: 32,
    },
    warmStart: { steps: 2, batchSize: 4, learningRate: 1e-3 },
    rl: { maxSteps: 3, promptsPerStep: 2, numGenerations: 4, learningRate: 1e-3 },
  },
  problem: (split, seed, index) => ({ promptIds: [2 + index % 2], metadata: index }),
  verify: (_, completionIds) => completionIds.length % 2,
  describe: (ids) => ids.map((id) => VOCABULARY[id] ?? "?").join(""),
};
`;

/** What is wrong with a task: properties in place of the good one's, or a whole module; and what is said to that. */
const TASKS: Readonly<Record<string, string>> = {
  "export const task = good;":
    "own.ts cannot be used: it must export a task as its default, or a function",
  "export default { name: 1 };": "own.ts cannot be used: name is 1: give a text without slashes",
  "throw new Error('at once');": "own.ts cannot be used: at once",
  "export default () => { throw new Error('in it'); };": "own.ts cannot be used: in it",
  "verify: undefined": "verify is undefined: give a function",
  "verify() { throw new Error('no'); }": "The verifier threw on",
  "verify: () => NaN": "The verifier returned NaN on eval problem 0",
  "verify: () => 1 / 0": "The verifier returned Infinity on",
  "verify() {}": "The verifier returned undefined on",
  "verify: () => '1'": 'The verifier returned "1", a text on eval prob',
  "verify: () => null": "The verifier judged none of the 4 completions: it returned null for each",
  "verify: () => Promise.reject('x')": "The verifier threw on",
  "verify: () => ({ reward: 1, rewards: { a: NaN } })":
    "The verifier returned NaN for a on eval problem 0 of task own",
  "problem() { throw new Error('none left'); }":
    "There is no train problem 0 of task own: none left",
  "problem: () => ({})":
    "The prompt of train problem 0 of task own is undefined: a list of token ids is needed",
  "problem: () => ({ promptIds: [] })":
    "The prompt of train problem 0 of task own has 0 token ids: maxPromptLength allows 1 to 2",
  "problem: () => ({ promptIds: [2, 2, 2] })":
    "The prompt of train problem 0 of task own has 3 token ids: maxPromptLength allows 1 to 2",
  "problem: () => ({ promptIds: [2, 9] })":
    "The prompt of train problem 0 of task own has 9 at place 1: token ids are whole numbers from 0",
  "demonstration: () => ({ promptIds: [2], completionIds: [3, -1] })":
    "The completion of demonstration 0 of task own has -1 at place 1: token ids are whole",
  "name: ''": 'name is "": give a text without',
  "name: '../../evil'":
    'name is "../../evil": give a text without slashes and control characters, for folders',
  "name: 'a\\n'": "name is",
  "vocabulary: []": "vocabulary is []: give a list of texts, one for each id",
  "vocabulary: [1, 2, 3, 4]": "vocabulary is [ 1, 2, 3, 4 ]: give a list of texts, one for each id",
  "eosTokenId: 99": "eosTokenId is 99: give a whole number from 0 to 3",
  "eosTokenId: '1'": 'eosTokenId is "1": give a whole number from 0 to 3',
  "padTokenId: -1": "padTokenId is -1: give a whole number from 0 to 3",
  "maxPromptLength: NaN": "maxPromptLength is NaN: give a whole number from 1 to 1000000",
  "maxCompletionLength: 0": "maxCompletionLength is 0: give a whole number from 1 to 1000000",
  "maxCompletionLength: 1.5": "maxCompletionLength is 1.5: give a whole number from 1 to 1000000",
  "defaults: undefined": "defaults is undefined: give an object, see Task",
  "defaults: {}": "defaults.policy is undefined: give an object, see Task",
  "defaults: { ...good.defaults, policy: { hiddenSize: '16' } }":
    'defaults.policy.hiddenSize is "16": give a whole number from 1 to 262144',
  "defaults: { ...good.defaults, warmStart: null }":
    "defaults.warmStart is null: give an object, see Task",
  "defaults: { ...good.defaults, rl: { maxSteps: 1, learningRate: NaN } }":
    "defaults.rl.learningRate is NaN: give a number from 0 to 1",
  "describe: () => 3": "describe([eosTokenId]) is 3: give a text",
  "describe() { throw new Error('mute'); }": "used: mute",
  "get verify() { throw new Error('gotcha'); }": "own.ts cannot be used: gotcha",
  "export default { ...good": "own.ts cannot be used: ",
  "import './gone.ts'; export default good;": "own.ts cannot be used: ",
  "problem: () => ({ promptIds: [2], metadata: Math.random() })":
    "its problems or demonstrations are others when they are asked for again",
  "const m = {}; m.m = m; export default { ...good, problem: () => ({ promptIds: [2], metadata: m }) };":
    "The problems of task own are no plain data, which their metadata has to be: ",
  "problem: () => ({ promptIds: [2], metadata: 1n })":
    "The problems of task own are no plain data, which their metadata has to be: ",
  "verify: () => 1n": "The verifier returned 1n on",
  "verify: () => true": "The verifier returned true on eval",
  "verify: () => [1]": "The verifier returned undefined on",
  "demonstration: () => null":
    "The prompt of demonstration 0 of task own is undefined: a list of token ids is needed",
  "demonstration: () => ({ promptIds: [2], completionIds: [3, 3, 3, 3, 1] })":
    "The completion of demonstration 0 of task own has 5 token ids: maxCompletionLength allows 1 to 4",
};

test.inDir("tasks that cannot be used, throw, or return no reward", async (dir, t) => {
  const path = join(dir, "own.ts");
  for (const [i, [wrong, message]] of Object.entries(TASKS).entries()) {
    await t.step(wrong, async () => {
      // A module is read once per path.
      const module = `./own${i}.ts`;
      const whole = /^(export|import|throw|const) /.test(wrong);
      const exported = whole ? wrong : `export default { ...good, ${wrong} };`;
      await Deno.writeTextFile(join(dir, module), TASK + exported);
      const warm = wrong.includes("demonstration") ? ["--warm-start-steps=2"] : [];
      const args = ["train", ...tinyWith(...warm), "--task", module, `--out=runs/${i}`];
      const { code, stderr } = await runInProcess(dir, ...args);
      assertStringIncludes(stderr.replace(/own\d+\.ts/, "own.ts"), message);
      // Of code that cannot be read, the place is shown below.
      assertMatch(stderr, /^error: .+\n(?:[ \d].*\n)*$/);
      assertEquals(code, 1);
    });
  }

  await t.step("a verifier that fails late: no step before is lost", async () => {
    const verify = "verify() { if (asked++ > 30) throw new Error('late'); return asked % 2; }";
    await Deno.writeTextFile(path, `${TASK}export default { ...good, ${verify} };`);
    const task = ["--task", "./own.ts"];
    const steps = ["--max-steps=4", "--save-steps=1"];
    const train = ["train", ...tinyWith(...steps), ...task, "--out=runs/late"];
    const failed = await runInProcess(dir, ...train);
    assertEquals(failed.code, 1);
    const [, saved] = /late\. It failed .*runs.late.checkpoint holds step (\d), intact\n$/
      .exec(failed.stderr)!;
    assert(Number(saved) > 0);
    // The repaired task is another module to this process, as it is to another process.
    await Deno.writeTextFile(join(dir, "repaired.ts"), `${TASK}export default good;`);
    const resume = ["train", "--resume=runs/late", "--task=./repaired.ts"];
    const resumed = await runInProcess(dir, ...resume);
    assertEquals(resumed.code, 0, resumed.stderr);
    assertStringIncludes(resumed.stdout, "Done: 4 steps of own");
  });
});
