#!/bin/sh
# verl 0.9.1: its scorers of GSM8K (`openai/gsm8k`) and of DAPO's mathematics (`math_dapo`, `aime…`) compare texts, and a full
# stop behind the number or Markdown around the label is part of the text: "#### 72." and "Answer: 72." are wrong where 72 is right, and
# so is "**Answer:** 72". With method="flexible", the last number of a sentence never matches before its full stop, and "1,072" is not 1072,
# which the strict method takes. No error, nothing logged: a completion in a chat model's usual style earns the reward of a wrong one.
# The two scorers are plain Python and are loaded from their files, so verl's dependencies (torch, Ray) are not installed.
# Seen: "#### 72." 0.0, "She sold 72." 0.0, "1,072" 0.0 with flexible, "Answer: 72." and "**Answer:** 72" -1.0.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --no-deps verl==0.9.1
cat >look.py <<'PY'
import importlib.util
import sysconfig
from pathlib import Path

folder = Path(sysconfig.get_path("purelib")) / "verl/utils/reward_score"


def scorer(name):
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.compute_score


gsm8k, dapo = scorer("gsm8k"), scorer("math_dapo")
for text in ["#### 72", "**#### 72**", "#### 72."]:
    print(f"GSM8K, 72: {text!r} {gsm8k(text, '72')}")
for text in ["She sold 72 clips", "She sold 72.", "#### 72."]:
    print(f"GSM8K, 72, flexible: {text!r} {gsm8k(text, '72', method='flexible')}")
print("GSM8K, 1072: '#### 1,072'", gsm8k("#### 1,072", "1072"))
print("GSM8K, 1072, flexible: '#### 1,072'", gsm8k("#### 1,072", "1072", method="flexible"))
for text in ["Answer: 72", "Answer: $72$.", "Answer: 72.", "**Answer: 72**", "**Answer:** 72"]:
    print(f"DAPO, 72: {text!r} {dapo(text, '72')['score']}")
PY
cat >expected <<'TEXT'
GSM8K, 72: '#### 72' 1.0
GSM8K, 72: '**#### 72**' 1.0
GSM8K, 72: '#### 72.' 0.0
GSM8K, 72, flexible: 'She sold 72 clips' 1.0
GSM8K, 72, flexible: 'She sold 72.' 0.0
GSM8K, 72, flexible: '#### 72.' 0.0
GSM8K, 1072: '#### 1,072' 1.0
GSM8K, 1072, flexible: '#### 1,072' 0.0
DAPO, 72: 'Answer: 72' 1.0
DAPO, 72: 'Answer: $72$.' 1.0
DAPO, 72: 'Answer: 72.' -1.0
DAPO, 72: '**Answer: 72**' -1.0
DAPO, 72: '**Answer:** 72' -1.0
TEXT
venv/bin/python look.py | tee seen
diff expected seen
