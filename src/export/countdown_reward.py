"""The CountDown reward of arXiv 2509.07558 for verl: 1 if the answer reaches the target, else 0.

The answer is what stands in the last <answer> tags of the response's last line. It has to use every
number exactly once and to equal the target within 1e-5. Values are exact fractions; an answer whose
numbers grow beyond 4096 bits, and one with a root of a negative number, counts as wrong.
"""

import ast
import json
import re
from fractions import Fraction

MAX_BITS = 4096


class NoValue(Exception):
    pass


def checked(value):
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise NoValue
    return value


def power(base, exponent):
    if exponent.denominator != 1:
        if base < 0:
            raise NoValue
        return Fraction(float(base) ** float(exponent))
    if exponent == 0 or base == 1:
        return Fraction(1)
    if base == 0:
        if exponent < 0:
            raise NoValue
        return base
    if base == -1:
        return Fraction(-1 if exponent % 2 else 1)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length()) - 1
    if max(bits, 1) * abs(exponent) > MAX_BITS:
        raise NoValue
    return base ** int(exponent)


def value_of(node, text):
    """The exact value of an expression's syntax tree."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        # The literal as it is written, not the double nearest to it.
        return Fraction(ast.get_source_segment(text, node))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        value = value_of(node.operand, text)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        left, right = value_of(node.left, text), value_of(node.right, text)
        if isinstance(node.op, ast.Add):
            return checked(left + right)
        if isinstance(node.op, ast.Sub):
            return checked(left - right)
        if isinstance(node.op, ast.Mult):
            return checked(left * right)
        if isinstance(node.op, ast.Div):
            return checked(left / right)
        if isinstance(node.op, ast.FloorDiv):
            return Fraction(left // right)
        if isinstance(node.op, ast.Pow):
            return checked(power(left, right))
    raise NoValue


def evaluate(text):
    """The value of an arithmetic expression, or None."""
    if not re.fullmatch(r"[0-9+\-*/(). \t\f]+", text):
        return None
    try:
        return value_of(ast.parse(text.strip(), mode="eval").body, text.strip())
    except (NoValue, SyntaxError, ValueError, ZeroDivisionError, OverflowError):
        return None
    except (RecursionError, MemoryError):
        return None


def extract_answer(response):
    for marker in ("Assistant:", "<|im_start|>assistant"):
        if marker in response:
            response = response.split(marker, 1)[1]
            break
    answers = re.findall(r"<answer>(.*?)</answer>", response.strip().split("\n")[-1])
    return answers[-1].strip() if answers else None


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **more):
    """verl's reward function. ground_truth: JSON of {"target": ..., "nums": [...]}."""
    problem = json.loads(ground_truth)
    answer = extract_answer(solution_str)
    correct = False
    if answer is not None:
        used = [digits.lstrip("0") or "0" for digits in re.findall(r"[0-9]+", answer)]
        if sorted(used) == sorted(str(number) for number in problem["nums"]):
            value = evaluate(answer)
            correct = value is not None and abs(value - Fraction(str(problem["target"]))) < Fraction(
                1, 100_000
            )
    return {"score": float(correct), "acc": float(correct)}
