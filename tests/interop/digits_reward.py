"""A reward that a model with random weights gets now and then: 1 for an odd number of digits."""

import re


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **more):
    return float(len(re.findall("[0-9]", solution_str)) % 2)
