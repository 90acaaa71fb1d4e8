"""Registers deltal's advantages with verl, by its public hook for advantage estimators.

verl imports this module where VERL_USE_EXTERNAL_MODULES names it, and uses it where
algorithm.adv_estimator is "deltal". The settings are those of deltal_verl.json beside it.

Every surrogate of verl is homogeneous in the advantage, so a factor on the advantage is a weight of
the response in the loss.
"""

import json
import os

import torch
from response_weights import response_advantages, response_weights
from verl.trainer.ppo.core_algos import get_adv_estimator_fn, register_adv_est

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "deltal_verl.json")) as file:
    SETTINGS = json.load(file)


@register_adv_est("deltal")
def compute_deltal_advantage(token_level_rewards, response_mask, index, config=None, **more):
    """Advantages times the weights of the responses.

    token_level_rewards, response_mask: (responses, tokens), of the whole rollout batch.
    index: the prompt of each response.
    """
    with torch.no_grad():
        lengths = [int(length) for length in response_mask.sum(dim=-1).tolist()]
        groups = list(index)
        settings = SETTINGS["advantage"]
        if settings["estimator"] == "verl":
            estimate = get_adv_estimator_fn(settings["name"])
            if "norm_adv_by_std_in_grpo" in settings:
                more["norm_adv_by_std_in_grpo"] = settings["norm_adv_by_std_in_grpo"]
            advantages, _ = estimate(
                token_level_rewards=token_level_rewards,
                response_mask=response_mask,
                index=index,
                config=config,
                **more,
            )
        else:
            rewards = token_level_rewards.sum(dim=-1).double().tolist()
            values = response_advantages(rewards, groups, settings)
            advantages = torch.tensor(values, device=response_mask.device).unsqueeze(-1)
        weights = response_weights(lengths, groups, SETTINGS)
        if SETTINGS["overlong_filtering"]:
            limit = SETTINGS["max_response_length"]
            weights = [0.0 if n >= limit else weight for n, weight in zip(lengths, weights)]
        factors = torch.tensor(weights, device=response_mask.device).unsqueeze(-1)
        weighted = (advantages * factors * response_mask).to(token_level_rewards.dtype)
    return weighted, weighted
