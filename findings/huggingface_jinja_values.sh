#!/bin/sh
# @huggingface/jinja 0.5.11 prints values in JavaScript's way, Python's Jinja2 3.1.6 (what transformers renders chat templates
# with) in Python's: a template that prints a true, a null, a float that is whole, or a list of a tool's schema gives another prompt, and so
# other ids, for the same model folder. `-7 % 3` differs too. `tojson` agrees but for whole floats. Needs npm.
# Seen: True/true, None/nothing, 1.0/1, ['a']/["a"], 2/-1.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q jinja2==3.1.6
npm install --silent --no-save --prefix . @huggingface/jinja@0.5.11
cat >values.json <<'JSON'
{ "strict": true, "default": null, "minimum": 1.0, "enum": ["a", 1], "seed": -7 }
JSON
cat >templates.txt <<'TEXT'
{{ strict }}
{{ default }}
{{ minimum }}
{{ enum }}
{{ seed % 3 }}
{{ {"strict": strict, "default": default, "enum": enum} | tojson }}
TEXT
cat >look.py <<'PY'
import json
from jinja2.sandbox import ImmutableSandboxedEnvironment

environment = ImmutableSandboxedEnvironment()
environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
values = json.load(open("values.json"))
for template in open("templates.txt").read().splitlines():
    print("Jinja2:", template, "is", environment.from_string(template).render(**values) or "nothing")
PY
cat >look.mjs <<'JS'
import { readFileSync } from "node:fs";
import { Template } from "@huggingface/jinja";
const values = JSON.parse(readFileSync("values.json", "utf8"));
for (const template of readFileSync("templates.txt", "utf8").trim().split("\n")) {
  console.log("JavaScript:", template, "is", new Template(template).render(values) || "nothing");
}
JS
cat >expected <<'TEXT'
Jinja2: {{ strict }} is True
Jinja2: {{ default }} is None
Jinja2: {{ minimum }} is 1.0
Jinja2: {{ enum }} is ['a', 1]
Jinja2: {{ seed % 3 }} is 2
Jinja2: {{ {"strict": strict, "default": default, "enum": enum} | tojson }} is {"strict": true, "default": null, "enum": ["a", 1]}
JavaScript: {{ strict }} is true
JavaScript: {{ default }} is nothing
JavaScript: {{ minimum }} is 1
JavaScript: {{ enum }} is ["a", 1]
JavaScript: {{ seed % 3 }} is -1
JavaScript: {{ {"strict": strict, "default": default, "enum": enum} | tojson }} is {"strict": true, "default": null, "enum": ["a", 1]}
TEXT
{ venv/bin/python look.py && node look.mjs; } | tee seen
diff expected seen
