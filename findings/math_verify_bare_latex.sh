#!/bin/sh
# math-verify 0.9.0: of solutions without dollar signs, as the answer columns of data sets like MATH-500 have them, parse()
# finds 12 and \frac{3}{4}, of 2\pi the 2, and nothing in \sqrt{2} or x+1: an empty list, no error. verify() with an empty list is
# False even for the same text, so that such a row gives every completion the reward 0. Between dollar signs all are found.
# Seen: nothing found in \sqrt{2} and x+1, 2 in 2\pi; none of the three equal to itself in dollar signs.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q math-verify==0.9.0 latex2sympy2_extended==1.11.0 sympy==1.14.0
cat >look.py <<'PY'
from math_verify import parse, verify

for text in ["12", r"\frac{3}{4}", r"2\pi", r"\sqrt{2}", "x+1"]:
    bare, marked = parse(text), parse(f"${text}$")
    found = bare[0] if bare else "nothing"
    print(f"{text}: finds {found}, equal to ${text}$: {verify(bare, marked)}, ${text}$ to itself: {verify(marked, marked)}")
PY
cat >expected <<'TEXT'
12: finds 12, equal to $12$: True, $12$ to itself: True
\frac{3}{4}: finds 3/4, equal to $\frac{3}{4}$: True, $\frac{3}{4}$ to itself: True
2\pi: finds 2, equal to $2\pi$: False, $2\pi$ to itself: True
\sqrt{2}: finds nothing, equal to $\sqrt{2}$: False, $\sqrt{2}$ to itself: True
x+1: finds nothing, equal to $x+1$: False, $x+1$ to itself: True
TEXT
venv/bin/python look.py | tee seen
diff expected seen
