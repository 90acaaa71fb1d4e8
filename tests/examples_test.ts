/**
 * The examples in the documentation: code blocks marked `ts`, without `ignore`, of Markdown and of comments. Each is a
 * module, as for `deno test --doc`, but on the one device of all other tests. Their types are checked by
 * `deno check --doc`.
 */

import { fileURLToPath, pathToFileURL } from "node:url";
import { relative, resolve } from "node:path";
import "./helpers/one_device.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const DOCUMENTED = ["mod.ts", "src", "README.md", "docs"];

interface Example {
  /** Of the fence, from 1. */
  readonly line: number;
  readonly code: string;
}

function filesBelow(path: string): string[] {
  if (Deno.statSync(path).isFile) return /\.(ts|md)$/.test(path) ? [path] : [];
  return [...Deno.readDirSync(path)].flatMap(({ name }) => filesBelow(resolve(path, name))).sort();
}

/** Comments of a module without what begins their lines; all else is left empty, so that lines keep their numbers. */
function commentsOf(source: string): string {
  let inside = false;
  return source.split("\n").map((line) => {
    if (/^\s*\/\*\*/.test(line)) inside = true;
    const text = inside ? line.replace(/^\s*\/?\*+\/? ?/, "") : "";
    if (line.includes("*/")) inside = false;
    return text;
  }).join("\n");
}

function examplesIn(path: string): Example[] {
  const source = Deno.readTextFileSync(path);
  const text = path.endsWith(".md") ? source : commentsOf(source);
  return [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map(({ index, 1: code }) => ({
    line: text.slice(0, index).split("\n").length,
    code: code!,
  }));
}

/** An example in a module may use what the module exports without importing it. */
async function withExports(path: string, code: string): Promise<string> {
  if (!path.endsWith(".ts")) return code;
  const url = pathToFileURL(path).href;
  const imported = /^import .*?;$/gms;
  const taken = (code.match(imported) ?? []).join("\n");
  const names = Object.keys(await import(url)).filter((name) => {
    const word = new RegExp(`\\b${name}\\b`);
    return word.test(code.replaceAll(imported, "")) && !word.test(taken);
  });
  return `import { ${names.join(", ")} } from ${JSON.stringify(url)};${code}`;
}

const FILES = DOCUMENTED.flatMap((path) => filesBelow(resolve(ROOT, path)));

for (const path of FILES) {
  for (const { line, code } of examplesIn(path)) {
    const place = `${relative(ROOT, path)}, line ${line}`;
    Deno.test(`the example in ${place}`, async () => {
      // On the lines that it has in the documentation, for what errors name.
      const module = "\n".repeat(line) + await withExports(path, code);
      const url = URL.createObjectURL(new Blob([module], { type: "application/typescript" }));
      try {
        await import(url);
      } finally {
        URL.revokeObjectURL(url);
      }
    });
  }
}
