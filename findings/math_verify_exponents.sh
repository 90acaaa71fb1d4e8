#!/bin/sh
# math-verify 0.9.0 (the verifier behind many rewards for mathematics) reads "1e3" as 1 and "2.5e-3" as 2.5: the exponent is
# dropped, without an error. A completion that answers 1000 in the way programming languages print it is judged wrong. 10^3
# between dollar signs is read.
# Seen: 1e3 read as 1 and wrong for 1000, 2.5e-3 read as 2.5 and wrong for 0.0025, $10^3$ right for 1000.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q math-verify==0.9.0 latex2sympy2_extended==1.11.0 sympy==1.14.0
cat >look.py <<'PY'
from math_verify import parse, verify

for truth, answer in [("1000", "1e3"), ("0.0025", "2.5e-3"), ("1000", "$10^3$")]:
    print(f"truth {truth}, answer {answer}: read as {float(parse(answer)[0]):g}, right: {verify(parse(truth), parse(answer))}")
PY
cat >expected <<'TEXT'
truth 1000, answer 1e3: read as 1, right: False
truth 0.0025, answer 2.5e-3: read as 2.5, right: False
truth 1000, answer $10^3$: read as 1000, right: True
TEXT
venv/bin/python look.py | tee seen
diff expected seen
