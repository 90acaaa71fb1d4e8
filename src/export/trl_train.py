"""Continues the run with TRL's GRPOTrainer, on as many processes as accelerate starts:

    accelerate launch train.py [flags of GRPOConfig, which override grpo.yaml]

Rewards are those of reward.py. Advantages and weights of the responses are those of deltal_trl.json.
"""

import argparse
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import reward
import torch
from datasets import Dataset
from response_weights import response_advantages, response_weights
from transformers import PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer, TrlParser
from trl.rewards import get_soft_overlong_punishment

SETTINGS = json.loads((HERE / "deltal_trl.json").read_text())


class WeightedGRPOTrainer(GRPOTrainer):
    """GRPOTrainer with weights of the responses that it lacks, ΔL's among them.

    TRL's surrogates are homogeneous in the advantage, so a factor on a response's advantage is its weight in the loss.
    It takes the lengths of the whole batch, from all processes: weights within each process's share are others.
    """

    def _calculate_rewards(self, *args, **kwargs):
        self.rewards = super()._calculate_rewards(*args, **kwargs)  # of all processes
        return self.rewards

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        if self.model.training:
            own = output["advantages"]
            lengths = self.accelerator.gather(output["completion_mask"].sum(dim=1)).tolist()
            values = torch.tensor(self.weighted_advantages(lengths)).to(own)
            first = self.accelerator.process_index * len(own)
            output["advantages"] = values[first : first + len(own)]
        return output

    def weighted_advantages(self, lengths):
        """lengths: scored tokens of each response of the whole batch."""
        judged = self.rewards * self.reward_weights.to(self.rewards)
        rewards = judged.double().nansum(dim=1).tolist()
        # Where no function applied there is nothing to learn, and nothing to compare with.
        found = [i for i, missing in enumerate(judged.isnan().all(dim=1).tolist()) if not missing]
        groups = [i // self.num_generations for i in range(len(lengths))]
        advantages = response_advantages(
            [rewards[i] for i in found], [groups[i] for i in found], SETTINGS["advantage"]
        )
        factors = response_weights(lengths, groups, SETTINGS)
        if SETTINGS["overlong_filtering"]:
            limit = SETTINGS["max_response_length"]
            factors = [0.0 if n >= limit else f for n, f in zip(lengths, factors)]
        # TRL averages over all responses, response_weights over those that have tokens.
        scale = len(lengths) / max(1, sum(length > 0 for length in lengths))
        weighted = [0.0] * len(lengths)
        for i, advantage in zip(found, advantages):
            weighted[i] = scale * factors[i] * advantage
        return weighted


def text_of(completion):
    return completion if isinstance(completion, str) else completion[-1]["content"]


def score(completions, ground_truth, **columns):
    """The reward of reward.py in TRL's terms."""
    found = [
        reward.compute_score(SETTINGS["task"], text_of(completion), truth)
        for completion, truth in zip(completions, ground_truth)
    ]
    return [value["score"] if isinstance(value, dict) else value for value in found]


def batches(argv):
    """Flags that make the batch what it was, on however many processes there are."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--per_device_train_batch_size", type=int)
    given = parser.parse_known_args(argv)[0].per_device_train_batch_size
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    share, rest = divmod(SETTINGS["mini_batch"], processes)
    size = given or next(n for n in range(min(16, max(share, 1)), 0, -1) if share % n == 0)
    if rest or share % size:
        raise SystemExit(
            f"{SETTINGS['mini_batch']} responses per optimizer step do not divide into {processes} "
            f"processes with batches of {size}: give other --num_processes or "
            "--per_device_train_batch_size"
        )
    steps = {
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": share // size,
        "steps_per_generation": SETTINGS["batch"] // (size * processes),
    }
    return [text for name, value in steps.items() for text in (f"--{name}", str(value))]


def prompts(split):
    return Dataset.from_parquet(str(HERE / f"{split}.parquet"))


def never_write(model):
    """Gives the tokens that the policy never writes, as padding, probability 0 in log-probabilities as in samples."""
    head, ids = model.get_output_embeddings(), model.generation_config.suppress_tokens
    if ids:
        bias = torch.zeros_like(head.weight[:, 0], requires_grad=False)
        bias[ids] = -1e9
        del head.bias
        head.register_buffer("bias", bias, persistent=False)  # not saved


def build(argv, **more):
    """The trainer.

    argv: flags of GRPOConfig.
    more: arguments of GRPOTrainer.
    """
    flags = ["--config", str(HERE / "grpo.yaml"), "--output_dir", str(HERE / "checkpoints")]
    (config,) = TrlParser(GRPOConfig).parse_args_and_config([*flags, *argv, *batches(argv)])
    functions = list(getattr(reward, "reward_funcs", [score]))
    weights = config.reward_weights or getattr(reward, "reward_weights", [1.0] * len(functions))
    if buffer := SETTINGS["soft_overlong_buffer"]:
        functions.append(get_soft_overlong_punishment(config.max_completion_length, buffer))
        weights = [*weights, SETTINGS["soft_overlong_penalty"]]
    config.reward_weights = weights
    if SETTINGS["lora"] and "peft_config" not in more:
        from peft import LoraConfig

        more["peft_config"] = LoraConfig(task_type="CAUSAL_LM", **SETTINGS["lora"])
    trainer = WeightedGRPOTrainer(
        model=str(HERE / "model"),
        args=config,
        reward_funcs=functions,
        # As tokenizer.json says: AutoTokenizer puts the parts of the model's family in its place.
        processing_class=PreTrainedTokenizerFast.from_pretrained(HERE / "model", padding_side="left"),
        train_dataset=prompts("train"),
        eval_dataset=prompts("eval"),
        **more,
    )
    never_write(trainer.accelerator.unwrap_model(trainer.model))
    if trainer.ref_model is not None:
        never_write(trainer.accelerator.unwrap_model(trainer.ref_model))
    return trainer


if __name__ == "__main__":
    trainer = build(sys.argv[1:])
    trainer.train(resume_from_checkpoint=trainer.args.resume_from_checkpoint)
    trainer.save_model()
    trainer.save_state()
