"""The first step of the exported trainers on stored responses, against deltal's loss and gradient.

    accelerate launch --cpu --num_processes 1|2 trl_step.py FOLDER_OF_A_TASK

Prints a line per method; ends with 1 if one differs. With two processes it also tells what weights computed by
each process from its own responses would give, which has to be something else for ΔL.
"""

import importlib.util
import json
import sys
import warnings
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
FLAGS = "--use_cpu true --bf16 false --gradient_checkpointing false --save_strategy no --max_steps 1".split()


def load(path):
    """train.py of an export as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"train_{path.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def replay(rollout):
    """A rollout function that gives the stored responses, having checked prompts and rewards on the way."""
    each = len(rollout["completions"]) // len(rollout["prompts"])
    groups = {}
    for i, text in enumerate(rollout["texts"]):
        first = i * each
        groups[text] = (rollout["prompts"][i], rollout["completions"][first : first + each])

    def rollout_func(prompts, trainer):
        seen = {}
        prompt_ids, completion_ids = [], []
        for text in prompts:
            ids, completions = groups[text]
            assert trainer.processing_class(text=text)["input_ids"] == ids, (text, ids)
            seen[text] = seen.get(text, -1) + 1
            prompt_ids.append(ids)
            completion_ids.append(completions[seen[text]])
        return {"prompt_ids": prompt_ids, "completion_ids": completion_ids, "logprobs": None}

    return rollout_func


def first_step(folder, rollout, batch, per_process=False):
    module = load(folder / "train.py")
    if per_process:
        weigh = module.response_weights
        share = len(rollout["completions"]) // PartialState().num_processes

        def by_process(lengths, groups, settings):
            parts = [slice(first, first + share) for first in range(0, len(lengths), share)]
            return [w for part in parts for w in weigh(lengths[part], groups[part], settings)]

        module.response_weights = by_process
    flags = [*FLAGS, "--per_device_train_batch_size", str(batch)]
    trainer = module.build(flags, rollout_func=replay(rollout))
    trainer.train()
    logged = trainer.state.log_history[0]
    rewards = trainer.rewards[:, 0].tolist()
    assert sum(rewards) == sum(rollout["rewards"]), "rewards"
    return logged["loss"], logged["grad_norm"]


def main(task):
    state = PartialState(cpu=True)
    rollout = json.loads((task / "rollout.json").read_text())
    failures = 0
    for name, truth in rollout["expected"].items():
        # In one go, and in small batches that are accumulated.
        for batch in (64 // state.num_processes, 8):
            loss, norm = first_step(task / "trl" / name, rollout, batch)
            off = abs(norm - truth["gradNorm"]) / truth["gradNorm"]
            apart = abs(loss - truth["loss"]) / max(abs(truth["loss"]), 0.01)
            failures += not (off < 1e-4 and apart < 1e-4)
            line = (
                f"trl {task.name} {name}, {state.num_processes} × {batch}: loss {loss:.6f} for "
                f"{truth['loss']:.6f}, gradient norm {norm:.6f} for {truth['gradNorm']:.6f}"
            )
            state.print(line)
        if state.num_processes > 1 and name.startswith("deltaL"):
            _, norm = first_step(task / "trl" / name, rollout, 8, per_process=True)
            off = abs(norm - truth["gradNorm"]) / truth["gradNorm"]
            failures += not off > 1e-3
            state.print(f"    weights of each process: gradient norm {norm:.6f}, {100 * off:.1f} % off")
    return 1 if sum(gather_object([failures])) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
