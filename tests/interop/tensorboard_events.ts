/** Makes the event files of a run that was stopped in the middle of an event and resumed, for read_tensorboard.py. */

import { TensorBoardLog } from "../../src/run/tensorboard_log.ts";

const dir = Deno.args[0]!;
const line = (step: number, name: string, value: number) => ({
  "training/global_step": step,
  [name]: value,
});

const first = TensorBoardLog.open(dir, { now: () => 1_700_000_000 });
first.appendText(0, "config", '```json\n{ "seed": 42 }\n```');
first.append(line(0, "eval/parity/mean@8", 0.5));
for (let step = 1; step <= 5; step++) first.append(line(step, "reward/mean", step / 10));
first.close();
const { size } = Deno.statSync(first.path);
Deno.truncateSync(first.path, size - 3);

using resumed = TensorBoardLog.open(dir, { resumeStep: 3, now: () => 1_700_000_100 });
for (let step = 4; step <= 5; step++) resumed.append(line(step, "reward/mean", -step));
resumed.append(line(6, "reward/mean", NaN));
