"""What deltal makes of rewards and lengths before the loss, in plain Python: no torch, no trainer.

The lengths and groups of a whole rollout batch go in, a factor for each response's advantage comes
out. The trainer then aggregates with weights b_i of its own, those of verl's `loss_agg_mode`; the
factor is x_i / b_i, so that response i counts x_i as it did in deltal.
"""

from math import sqrt

EPSILON = 1e-6


def members(groups):
    """Indices of the responses of each group, in order of appearance."""
    found = {}
    for index, group in enumerate(groups):
        found.setdefault(group, []).append(index)
    return list(found.values())


def relative_powers(lengths, alpha):
    """n L_i^-alpha / sum_j L_j^-alpha over the non-empty responses, and 0 for empty ones."""
    filled = [length for length in lengths if length > 0]
    if not filled:
        return [0.0] * len(lengths)
    shortest = min(filled)
    powers = [(length / shortest) ** -alpha if length > 0 else 0.0 for length in lengths]
    total = sum(powers)
    return [len(filled) * power / total for power in powers]


def response_weights(lengths, groups, settings):
    """The factor of each response's advantage.

    lengths: scored tokens of each response of the rollout batch.
    groups: the prompt each response answers.
    settings: "aggregation", "alpha", "scope", "scale_factor" (M), "loss_agg_mode" and its constant,
        "agg_scale_factor".
    """
    rule = settings["aggregation"]
    scale = settings["scale_factor"]
    count = sum(1 for length in lengths if length > 0)
    # x_i times the number of responses.
    if rule == "deltaL":
        weights = [0.0] * len(lengths)
        scopes = members(groups) if settings["scope"] == "group" else [range(len(lengths))]
        for scope in scopes:
            powers = relative_powers([lengths[i] for i in scope], settings["alpha"])
            for i, power in zip(scope, powers):
                weights[i] = power / scale
    elif rule == "promptMean":
        weights = [0.0] * len(lengths)
        filled = [scope for scope in members(groups) if any(lengths[i] for i in scope)]
        for scope in filled:
            tokens = sum(lengths[i] for i in scope)
            for i in scope:
                weights[i] = count / (len(filled) * tokens)
    elif rule == "dapo":
        tokens = sum(lengths)
        weights = [count / tokens if tokens else 0.0] * len(lengths)
    elif rule == "drGrpo":
        weights = [1 / scale] * len(lengths)
    elif rule == "seqSum":
        weights = [1.0] * len(lengths)
    elif rule == "grpo":
        weights = [1 / max(length, 1) for length in lengths]
    else:
        raise ValueError(f"aggregation is {rule}: it has no weights in verl")
    weights = [weight if length else 0.0 for weight, length in zip(weights, lengths)]
    # Divided by b_i times the number of responses.
    mode = settings["loss_agg_mode"]
    if mode == "seq-mean-token-sum-norm":
        return [weight * settings["agg_scale_factor"] for weight in weights]
    if mode == "seq-mean-token-sum":
        return weights
    if mode == "seq-mean-token-mean":
        return [weight * length for weight, length in zip(weights, lengths)]
    if mode == "token-mean":
        return [weight * sum(lengths) / max(count, 1) for weight in weights]
    raise ValueError(f"loss_agg_mode is {mode}, whose weights are not known")


def deviation(rewards):
    """Standard deviation with n - 1 in the denominator; 1 for a single reward."""
    if len(rewards) < 2:
        return 1.0
    mean = sum(rewards) / len(rewards)
    return sqrt(sum((reward - mean) ** 2 for reward in rewards) / (len(rewards) - 1))


def response_advantages(rewards, groups, settings):
    """The advantage of each response among those to its prompt.

    settings: "estimator" ("grpo", "rloo" or "maxRl"), and for "grpo" the "divisor" ("group", "batch"
    or "none").
    """
    advantages = [0.0] * len(rewards)
    for scope in members(groups):
        group = [rewards[i] for i in scope]
        count = len(group)
        mean = sum(group) / count
        for i in scope:
            centred = rewards[i] - (mean if count > 1 else 0.0)
            if settings["estimator"] == "rloo":
                advantages[i] = centred * count / (count - 1) if count > 1 else centred
            elif settings["estimator"] == "maxRl":
                advantages[i] = (rewards[i] - mean) / mean if mean else 0.0
            elif settings["divisor"] == "none":
                advantages[i] = centred
            else:
                whole = settings["divisor"] == "batch"
                advantages[i] = centred / (deviation(rewards if whole else group) + EPSILON)
    return advantages
