#!/bin/sh
# Vite 8.4.0 drops `with { type: "text" }` of an import and goes by the file's name: of a .json file the program gets the parsed
# object, of a .js file its default export (it is run), of a .txt file the address of an asset, without a word; a shader, .wgsl, is
# parsed as JavaScript and fails. Deno 2.9.6 and esbuild 0.28.2 give the text of all of them, so a library whose kernels are
# imported like this builds there and not in Vite, and one whose prompts are .txt builds and sends addresses to its model.
# `?raw` behind the name is Vite's own way; a plugin that returns the text as a module serves both. Needs npm.
# Seen: text, text, text from Deno and esbuild; object, number and a data: address from Vite; a parse error for .wgsl.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --prefix . vite@8.4.0 esbuild@0.28.2 deno@2.9.6
printf '{"a":1}' >data.json
printf 'export default 7;' >code.js
printf 'Answer in one word.' >prompt.txt
printf '@compute @workgroup_size(1) fn main() {}' >kernel.wgsl
cat >main.js <<'JS'
import data from "./data.json" with { type: "text" };
import code from "./code.js" with { type: "text" };
import prompt from "./prompt.txt" with { type: "text" };
const shown = [data, code, prompt].map((it) => `${typeof it} ${typeof it === "object" ? JSON.stringify(it) : it}`);
console.log(shown.join(" | "));
JS
printf 'import kernel from "./kernel.wgsl" with { type: "text" };\nconsole.log(typeof kernel, kernel);\n' >shader.js
cat >expected <<'TEXT'
Deno: string {"a":1} | string export default 7; | string Answer in one word.
esbuild: string {"a":1} | string export default 7; | string Answer in one word.
Vite: object {"a":1} | number 7 | string data:text/plain;base64,QW5zd2VyIGluIG9uZSB3b3JkLg==
Deno: string @compute @workgroup_size(1) fn main() {}
esbuild: string @compute @workgroup_size(1) fn main() {}
Vite: PARSE_ERROR
TEXT
vite() {
  node_modules/.bin/vite build --ssr "$1.js" --logLevel error >log 2>&1 && node "dist/$1".*js || grep -o 'PARSE_ERROR' log
}
esbuild() {
  node_modules/.bin/esbuild --bundle --format=esm --log-level=error --outfile="built/$1.mjs" "$1.js" && node "built/$1.mjs"
}
for file in main shader; do
  echo "Deno: $(node_modules/.bin/deno run --no-check --allow-read "$file.js")"
  echo "esbuild: $(esbuild $file)"
  echo "Vite: $(vite $file)"
done | tee seen
diff expected seen
