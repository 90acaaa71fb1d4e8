/**
 * The page: settings, curves, samples, weights.
 *
 * @module
 */

import { openGpu } from "../../mod.ts";
import { Chart } from "./chart.js";
import { Session } from "./session.js";

const element = (id) => document.getElementById(id);
const number = (id) => element(id).valueAsNumber;

const charts = {
  loss: new Chart(element("charts"), "Demonstrations: loss", " nats"),
  reward: new Chart(element("charts"), "Mean reward"),
  length: new Chart(element("charts"), "Completion length", " tokens"),
  entropy: new Chart(element("charts"), "Entropy", " nats"),
  norm: new Chart(element("charts"), "Gradient norm"),
};

let gpu;
let session;
let stopping;

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

/** What the tasks ask. */
const ABOUT = {
  parity:
    "parity: is the number of ones odd (1) or even (0)? The answer follows “>”; counting before it helps.",
  "chain-sum":
    "chain-sum: what is the last digit of the sum? The answer follows “>”; running sums before it help.",
};

/** Buttons and fields, by whether something runs. */
function show(running) {
  for (const field of element("settings").querySelectorAll("select, input")) {
    field.disabled = running;
  }
  element("alpha").disabled ||= element("method").value !== "deltaL";
  element("about").textContent = ABOUT[element("task").value];
  element("start").disabled = running || !gpu;
  element("stop").disabled = !running;
  element("fresh").disabled = running || !session;
  element("save").disabled = running || !session;
  element("load").disabled = running || !gpu;
}

/** The policy of the chosen task: the one there is, or a new one. */
function currentSession() {
  const name = element("task").value;
  if (session?.name !== name) {
    session?.destroy();
    session = undefined;
    session = new Session(gpu, name);
  }
  return session;
}

function showSamples(completions) {
  const { task } = session;
  element("samples").replaceChildren(
    ...completions.slice(0, 12).map((each) => {
      const row = document.createElement("tr");
      const cells = [task.describe(each.promptIds), task.describe(each.completionIds), each.reward];
      row.append(...cells.map((text) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        return cell;
      }));
      row.lastChild.className = each.reward > 0 ? "right" : "wrong";
      return row;
    }),
  );
}

async function run() {
  const signal = (stopping = new AbortController()).signal;
  for (const chart of Object.values(charts)) chart.clear();
  const current = currentSession();
  const warm = current.fitted ? 0 : number("warm");
  const begin = performance.now();
  for await (const { step, loss } of current.fit(warm)) {
    charts.loss.add(loss);
    say(`Demonstrations: step ${step} of ${warm}`);
    if (signal.aborted) return say(`Stopped after ${step} steps of demonstrations.`);
  }
  const steps = number("steps");
  const deltaL = element("method").value === "deltaL";
  let done = 0;
  const reports = current.train({
    maxSteps: steps,
    learningRate: number("rate"),
    lossAggregation: element("method").value,
    ...(deltaL ? { lossAlpha: number("alpha") } : {}),
  });
  for await (const { step, metrics, completions } of reports) {
    done = step;
    charts.reward.add(metrics["reward/mean"]);
    charts.length.add(metrics["response_length/mean"]);
    charts.entropy.add(metrics["actor/entropy"]);
    charts.norm.add(metrics["actor/grad_norm"]);
    showSamples(completions);
    const seconds = (performance.now() - begin) / 1000;
    say(`Training: step ${step} of ${steps}, ${seconds.toFixed(0)} s`);
    if (signal.aborted) break;
  }
  say(done < steps ? `Stopped after ${done} steps.` : `Done: ${done} steps. Train again to go on.`);
}

/** Does something while nothing else can be asked for; what fails is said. */
async function exclusively(what) {
  show(true);
  try {
    await what();
    gpu.check();
  } catch (error) {
    say(error.message, true);
  } finally {
    show(false);
  }
}

element("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  exclusively(run);
});
element("stop").addEventListener("click", () => stopping?.abort());
element("method").addEventListener("change", () => show(false));
element("task").addEventListener("change", () => show(false));
element("fresh").addEventListener("click", () => {
  session.destroy();
  session = undefined;
  say("The next training begins with a new policy.");
  show(false);
});
element("save").addEventListener("click", () =>
  exclusively(async () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([await session.save()]));
    link.download = `${session.name}.safetensors`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say(`${link.download} is saved.`);
  }));
element("load").addEventListener("click", () => element("file").click());
element("file").addEventListener("change", () =>
  exclusively(async () => {
    const [file] = element("file").files;
    if (!file) return;
    currentSession().load(new Uint8Array(await file.arrayBuffer()), file.name);
    element("file").value = "";
    say(`${file.name} is loaded: training goes on from its weights.`);
  }));

try {
  gpu = await openGpu();
  const { vendor, architecture } = gpu.device.adapterInfo;
  element("device").textContent = `Runs on ${vendor} ${architecture}` +
    (gpu.adapter.isFallback ? ", which is software: a step takes seconds." : ".");
} catch (error) {
  element("device").textContent =
    `This browser gives pages no GPU for computing (WebGPU): ${error.message}`;
}
show(false);
