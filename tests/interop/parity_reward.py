"""The verifier of parity in Python: 1 if the answer after the last mark is right."""

import json


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **more):
    return float(solution_str[-2:] == f">{json.loads(ground_truth)['answer']}")
