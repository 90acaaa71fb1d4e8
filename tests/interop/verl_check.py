"""An export to verl in the hands of verl's own code, as far as it runs without a GPU.

    verl_check.py FOLDER_OF_A_TASK

Of every method: hydra composes the launch script's settings against verl's schema, the settings become verl's
configuration classes, a misspelt one is refused, the reward function is loaded by verl's loader, RLHFDataset reads the
prompts, and the advantage estimator of the configuration with verl's ppo_loss gives on stored responses deltal's loss and
gradient, in micro-batches on one process and on two. Ends with 1 if something differs.
"""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

TASK = Path(sys.argv[1]).resolve()
ROLLOUT = json.loads((TASK / "rollout.json").read_text())
warnings.filterwarnings("ignore")


def launched(folder):
    """The overrides that run.sh calls verl with, as given to a python3 of ours."""
    with tempfile.TemporaryDirectory() as bin:
        spy = Path(bin) / "python3"
        spy.write_text(f'#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n')
        spy.chmod(0o755)
        env = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}", "GPUS": "2"}
        output = subprocess.run([str(folder / "run.sh")], env=env, check=True, capture_output=True)
    module, *overrides = json.loads(output.stdout)[1:]
    assert module == "verl.trainer.main_ppo", module
    return overrides


def compose(overrides):
    import verl.trainer
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    config = os.path.join(os.path.dirname(verl.trainer.__file__), "config")
    with initialize_config_dir(config, version_base=None):
        return hydra_compose("ppo_trainer", overrides=overrides)


def configured(folder, misspell):
    """verl's configuration of an export, having checked what main_ppo checks before it starts Ray."""
    from hydra.errors import ConfigCompositionException
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    overrides = launched(folder)
    config = compose(overrides)
    validate_config(config, need_reference_policy(config), need_critic(config))
    for part in (config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout, config.algorithm):
        omega_conf_to_dataclass(part)
    for i, override in enumerate(overrides if misspell else []):
        key, value = override.split("=", 1)
        if key.startswith("+"):
            continue  # hydra lets these be new
        try:
            compose([*overrides[:i], f"{key}x={value}"])
        except ConfigCompositionException:
            continue
        raise AssertionError(f"{key}x, a misspelt setting, was taken")
    return config


def check_data(config):
    from transformers import AutoTokenizer
    from verl.trainer.ppo.reward import get_custom_reward_fn
    from verl.utils.dataset.rl_dataset import RLHFDataset

    tokenizer = AutoTokenizer.from_pretrained(config.actor_rollout_ref.model.path)
    dataset = RLHFDataset(config.data.train_files, tokenizer, config.data)
    reward = get_custom_reward_fn(config)
    each = len(ROLLOUT["completions"]) // len(ROLLOUT["prompts"])
    assert len(dataset) == len(ROLLOUT["prompts"])
    for i, ids in enumerate(ROLLOUT["prompts"]):
        row = dataset[i]
        chat = tokenizer.apply_chat_template(row["raw_prompt"], add_generation_prompt=True, tokenize=True)
        found = chat["input_ids"] if hasattr(chat, "keys") else chat
        assert list(found) == ids, (found, ids)
        for j in range(i * each, (i + 1) * each):
            text = tokenizer.decode(ROLLOUT["completions"][j], skip_special_tokens=True)
            score = reward(
                data_source=row["data_source"],
                solution_str=text,
                ground_truth=row["reward_model"]["ground_truth"],
                extra_info=row["extra_info"],
            )
            assert score == ROLLOUT["rewards"][j], (text, score, ROLLOUT["rewards"][j])


def advantages(config):
    """(responses, longest) as the v1 trainer makes them on its driver."""
    import numpy as np
    import torch
    from verl import DataProto
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

    completions = ROLLOUT["completions"]
    each = len(completions) // len(ROLLOUT["prompts"])
    longest = max(map(len, completions))
    mask = torch.tensor([[t < len(c) for t in range(longest)] for c in completions]).long()
    rewards = torch.zeros(mask.shape)
    for i, ids in enumerate(completions):
        rewards[i, len(ids) - 1] = ROLLOUT["rewards"][i]
    uids = np.array([f"prompt{i // each}" for i in range(len(completions))], dtype=object)
    data = DataProto.from_dict(
        {"token_level_rewards": rewards, "response_mask": mask}, non_tensors={"uid": uids}
    )
    keys = [f"{uid}_{i}_0" for i, uid in enumerate(uids)]
    data = compute_advantage_for_multi_trajectories(
        data,
        batch_keys=keys,
        adv_estimator=config.algorithm.adv_estimator,
        norm_adv_by_std_in_grpo=config.algorithm.norm_adv_by_std_in_grpo,
        config=config.algorithm,
    )
    return data.batch["advantages"]


def steps(rank, world, micro, port, out):
    """The step of every method on one rank of several."""
    # verl imports the module that registers the estimator, where run.sh says so.
    import deltal_verl
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    found = {}
    for name in ROLLOUT["expected"]:
        folder = TASK / "verl" / name
        if (folder / "deltal_verl.json").exists():
            deltal_verl.SETTINGS = json.loads((folder / "deltal_verl.json").read_text())
        found[name] = step(rank, world, micro, compose(launched(folder)))
    if rank == 0:
        Path(out).write_text(json.dumps(found))
    dist.destroy_process_group()


def step(rank, world, micro, config):
    """Loss and norm of the gradient, with rows dealt to ranks and cut into micro-batches."""
    import torch
    import torch.distributed as dist
    from tensordict import TensorDict
    from transformers import AutoModelForCausalLM
    from verl.utils import tensordict_utils as tu
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.utils.losses import ppo_loss

    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    model = AutoModelForCausalLM.from_pretrained(config.actor_rollout_ref.model.path)
    values = advantages(config)
    completions = ROLLOUT["completions"]
    each = len(completions) // len(ROLLOUT["prompts"])
    nested = lambda rows: torch.nested.as_nested_tensor(rows, layout=torch.jagged)
    total = torch.zeros(1)
    for first in range(rank * micro, len(completions), world * micro):
        rows = range(first, min(first + micro, len(completions)))
        sequences = [ROLLOUT["prompts"][i // each] + completions[i] for i in rows]
        width = max(map(len, sequences))
        ids = torch.tensor([s + [0] * (width - len(s)) for s in sequences])
        real = torch.tensor([[t < len(s) for t in range(width)] for s in sequences])
        logits = model(input_ids=ids, attention_mask=real.long()).logits.float()
        # The value at a token is the log-probability of the one behind it.
        chosen = logits.log_softmax(-1).gather(-1, ids.roll(-1, 1).unsqueeze(-1)).squeeze(-1)
        flat = chosen[real]
        offsets = torch.tensor([0] + [len(s) for s in sequences]).cumsum(0)
        log_probs = torch.nested.nested_tensor_from_jagged(flat, offsets)
        old = [
            row[len(s) - len(completions[i]) - 1 : len(s) - 1].detach()
            for i, s, row in zip(rows, sequences, chosen)
        ]
        data = TensorDict(
            {
                "prompts": nested([torch.tensor(ROLLOUT["prompts"][i // each]) for i in rows]),
                "responses": nested([torch.tensor(completions[i]) for i in rows]),
                "response_mask": nested([torch.ones(len(completions[i]), dtype=torch.long) for i in rows]),
                "old_log_probs": nested(old),
                "advantages": nested([values[i, : len(completions[i])] for i in rows]),
            },
            batch_size=len(rows),
        )
        tokens = sum(map(len, completions))
        tu.assign_non_tensor(data, dp_size=world, batch_num_tokens=tokens, global_batch_size=len(completions))
        loss, _ = ppo_loss(actor, {"log_probs": log_probs}, data)
        loss.backward()
        total += loss.detach()
    square = 0.0
    for parameter in model.parameters():
        dist.all_reduce(parameter.grad)  # FSDP takes the mean over ranks
        square += float((parameter.grad / world).double().square().sum())
    dist.all_reduce(total)
    return float(total) / world, square**0.5


def main():
    failures = 0
    for name in ROLLOUT["expected"]:
        config = configured(TASK / "verl" / name, misspell=name == "deltaL-1")
        check_data(config)
        print(f"verl {TASK.name} {name}: settings, reward and prompts by verl's own code", flush=True)
    for world, micro in ((1, 64), (2, 5)):
        with tempfile.TemporaryDirectory() as temp:
            out = os.path.join(temp, "out.json")
            env = {
                **os.environ,
                "PYTHONPATH": str(TASK / "verl" / "deltaL-1"),
                "VERL_USE_EXTERNAL_MODULES": "deltal_verl",
            }
            port = 20000 + os.getpid() % 20000
            numbers = (world, micro, port)
            ranks = [
                subprocess.Popen([sys.executable, __file__, str(TASK), str(rank), *map(str, numbers), out], env=env)
                for rank in range(world)
            ]
            assert [rank.wait() for rank in ranks] == [0] * world
            found = json.loads(Path(out).read_text())
        for name, truth in ROLLOUT["expected"].items():
            loss, norm = found[name]
            off = abs(norm - truth["gradNorm"]) / truth["gradNorm"]
            apart = abs(loss - truth["loss"]) / max(abs(truth["loss"]), 0.01)
            failures += not (off < 1e-4 and apart < 1e-4)
            print(
                f"verl {TASK.name} {name}, {world} × {micro}: loss {loss:.6f} for {truth['loss']:.6f}, "
                f"gradient norm {norm:.6f} for {truth['gradNorm']:.6f}",
                flush=True,
            )
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) > 2:
        rank, world, micro, port, out = sys.argv[2:]
        steps(int(rank), int(world), int(micro), int(port), out)
    else:
        sys.exit(main())
