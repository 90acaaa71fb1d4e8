/**
 * Holds the rules of the tree that no compiler checks: which room may import which, the pairing of
 * kernel, operation and test, and what gets published.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** Height of each room of src/: a file imports its own room and lower ones, never beside or above. */
const HEIGHT: Readonly<Record<string, number>> = {
  host: -2,
  input: -1,
  random: 0,
  files: 0,
  objective: 0,
  gpu: 1,
  task: 1,
  ops: 2,
  tasks: 2,
  text: 2,
  model: 3,
  optim: 3,
  rl: 4,
  "engine.ts": 5, // an entry point: what everything is put together from
  run: 5,
  lab: 6,
  export: 6,
  report: 7,
  cli: 8,
};

/** Names that hold no source of ours: git's own, run results, installed packages. */
const SKIPPED = new Set([".git", "runs", "dist", "node_modules"]);

/** Paths of all files below `folder` (from the root, with `/`), sorted; none if it does not exist. */
function filesBelow(folder: string): string[] {
  const found: string[] = [];
  const visit = (path: string) => {
    for (const entry of Deno.readDirSync(new URL(path, ROOT))) {
      if (SKIPPED.has(entry.name)) continue; // .git is a file in a worktree
      if (entry.isFile) found.push(path + entry.name);
      if (entry.isDirectory) visit(`${path}${entry.name}/`);
    }
  };
  try {
    visit(folder);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found.sort();
}

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

/** What a module imports or re-exports, as written. Examples in doc comments do not count. */
function specifiers(path: string, source = read(path)): string[] {
  const statements = /^(?:import|export)\b[^;"]*?\bfrom\s*"([^"]+)"|^import\s+"([^"]+)"/gm;
  const calls = /^(?!\s*(?:\*|\/\/)).*?\bimport\(\s*"([^"]+)"/gm;
  return [...source.matchAll(statements), ...source.matchAll(calls)]
    .map((match) => match[1] ?? match[2] ?? "");
}

/** Files a module imports, as paths from the root. */
function imports(path: string, source = read(path)): string[] {
  return specifiers(path, source)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => new URL(specifier, new URL(path, ROOT)).href.slice(ROOT.href.length));
}

/** The code of a module without its comments. */
function code(path: string): string {
  return read(path).replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, "");
}

const modules = filesBelow("").filter((path) => path.endsWith(".ts"));
const sources = modules.filter((path) => path.startsWith("src/"));
const kernels = filesBelow("kernels/");

/** `kernels/rope.wgsl` has the stem `rope`, `kernels/matmul/nt.wgsl` `matmul`, `kernels/general/add.wgsl` `general/add`. */
function stem(path: string): string {
  return /^kernels\/((?:general\/)?[^/.]+)/.exec(path)![1]!;
}

Deno.test("imports point downwards: host, input, random, files and objective, gpu and task, ops, model, rl, run, lab, report, cli", () => {
  assert(sources.length > 0, "no source found");
  const wrong: string[] = [];
  for (const path of sources) {
    const room = path.split("/")[1]!;
    const height = HEIGHT[room];
    if (height === undefined) {
      wrong.push(`${path}: src/${room} is not a room of HEIGHT`);
      continue;
    }
    for (const target of imports(path)) {
      if (target.startsWith("kernels/")) continue; // paired below
      const [top, targetRoom = ""] = target.split("/");
      const lower = top === "src" && (HEIGHT[targetRoom] ?? Infinity) < height;
      if (!lower && !target.startsWith(`src/${room}/`)) wrong.push(`${path} imports ${target}`);
    }
  }
  assertEquals(wrong, []);
});

/** Files that Deno fetches to run a module, itself included; what is imported for its types alone is none of them. */
function loadedWith(path: string): Set<string> {
  const loaded = new Set([path]);
  for (const file of loaded) {
    if (!file.endsWith(".ts")) continue;
    const code = read(file).replace(/^(?:import|export) type\b[^;]*;|typeof import\([^)]*\)/gm, "");
    for (const target of imports(file, code)) loaded.add(target);
  }
  return loaded;
}

Deno.test("whoever writes a task loads no engine", () => {
  const rooms = ["task", "tasks", "text"];
  const allowed = new Set([...rooms, "host", "input", "random", "files"]);
  for (const room of rooms) {
    const files = filesBelow(`src/${room}/`).filter((path) => path.endsWith(".ts"));
    assert(files.length > 0, `src/${room} is empty`);
    const foreign = files.flatMap((path) => [...loadedWith(path)])
      .filter((path) => !allowed.has(path.split("/")[1]!));
    assertEquals([...new Set(foreign)], [], `src/${room}`);
  }
});

Deno.test("only charts, tokenizers and parquet files depend on packages", () => {
  const foreign = [...sources, "mod.ts"].flatMap((path) =>
    specifiers(path)
      .filter((specifier) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
      .map((specifier) => `${path} imports ${specifier}`)
  );
  assertEquals(foreign, [
    "src/export/prompts.ts imports hyparquet-writer",
    "src/files/parquet_rows.ts imports hyparquet",
    "src/report/chart.ts imports vega",
    "src/report/chart.ts imports vega-lite",
    "src/text/hf_tokenizer.ts imports @huggingface/tokenizers",
    "src/text/hf_tokenizer.ts imports @huggingface/jinja",
  ]);
});

Deno.test("neither the library nor the command line loads a package before it is asked for", () => {
  for (const path of ["mod.ts", "src/cli/main.ts", "src/lab/mod.ts"]) {
    const loaded = [...loadedWith(path)];
    assert(loaded.length > 10, `${path} loads ${loaded.length} files`);
    assertEquals(loaded.filter((file) => /^src\/(report|text|export)\//.test(file)), []);
  }
});

Deno.test("what the library loads runs in Node and in pages: only src/host names Deno, nothing imports node:", () => {
  const entries = Object.entries<string>(JSON.parse(read("deno.json")).exports)
    .filter(([name]) => name !== "./cli" && name !== "./lab")
    .map(([, path]) => path.replace("./", ""));
  const files = [...new Set(entries.flatMap((path) => [...loadedWith(path)]))]
    .filter((path) => path.endsWith(".ts"));
  assert(files.includes("src/host/host.ts") && files.length > 100, `${files.length} files`);
  // Syntax and functions that Node 20 has not, or 22.
  const newer = /^\s*(?:await )?using \w|\bnew (?:Async)?DisposableStack\b|\.withResolvers\b/m;
  const wrong = files.flatMap((path) =>
    [
      ...specifiers(path).filter((name) => name.startsWith("node:")),
      ...path !== "src/host/host.ts" && /\bDeno\./.exec(code(path)) || [],
      ...newer.exec(code(path)) ?? [],
    ].map((what) => `${path}: ${what.trim()}`)
  );
  assertEquals(wrong, []);
});

Deno.test("every entry point of the package is linted as documentation, and says what it is", () => {
  const { exports, tasks } = JSON.parse(read("deno.json"));
  const paths = Object.values<string>(exports).map((path) => path.replace("./", ""));
  assert(paths.length > 3, `${paths}`);
  const linted = /deno doc --lint ([^&]+) &&/.exec(tasks.check.command)![1]!.split(" ");
  assertEquals(linted.toSorted(), paths.toSorted());
  for (const path of paths) assert(/^\/\*\*[\s\S]+?@module/.test(read(path)), path);
});

/** Names that an entry point exports, from its own declarations and those it passes on. */
function exportedNames(path: string): string[] {
  const source = read(path);
  const passedOn = [...source.matchAll(/^export (?:type )?\{([^}]*)\} from/gm)]
    .flatMap((match) => match[1]!.split(",")).map((name) => name.replace("type ", "").trim());
  const own = /^export (?:async )?(?:function|const|class|interface|type) (\w+)/gm;
  return [...passedOn, ...[...source.matchAll(own)].map((match) => match[1]!)].filter(Boolean);
}

Deno.test("the main entry point stays small enough to read, and no name is in two entry points", () => {
  const entries = Object.values<string>(JSON.parse(read("deno.json")).exports)
    .map((path) => path.replace("./", ""));
  const names = entries.flatMap(exportedNames);
  assertEquals(names.filter((name, i) => names.indexOf(name) !== i), []);
  const main = exportedNames("mod.ts");
  assert(main.length > 100 && main.length <= 130, `${main.length} names`);
  for (const path of entries) assert(exportedNames(path).length > 0, path);
});

Deno.test("every kernel is imported by the operation of its stem and by nothing else", () => {
  assert(kernels.length > 0, "no kernel found");
  const importers = new Map<string, string[]>(kernels.map((path) => [path, []]));
  for (const path of modules) {
    for (const target of imports(path)) importers.get(target)?.push(path);
  }
  for (const [path, [importer, ...others]] of importers) {
    const owner = stem(path) === "lib" ? "wgsl" : stem(path);
    assertEquals(others, [], path);
    assert(
      importer === `src/ops/${owner}.ts` || importer?.startsWith(`src/ops/${owner}/`),
      `${path} is imported by ${importer}`,
    );
  }
});

Deno.test("every operation with a kernel has a test of its name", () => {
  // What kernels share is no operation: the tests of the operations that use it run it.
  const untested = [...new Set(kernels.map(stem).filter((name) => name !== "lib"))]
    .map((name) => `tests/ops/${name}_test.ts`)
    .filter((path) => !modules.includes(path));
  assertEquals(untested, []);
});

/** Circles among modules, each as a path back to its first file; what is imported for its types alone counts too. */
function importCircles(paths: readonly string[], read: (path: string) => string[]): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]) => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push([...trail.slice(start), path].join(" > "));
    if (start >= 0 || done.has(path)) return;
    for (const target of read(path)) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of paths) visit(path, []);
  return found;
}

/** Files of other rooms that import each other today; the list may only become shorter. */
const KNOWN_CIRCLES: readonly string[] = [];

Deno.test("no module of src imports itself by way of others, not even its types", () => {
  const graph: Record<string, string[]> = { a: ["b"], b: ["c", "d"], c: ["a"], d: ["d"] };
  assertEquals(importCircles(["d", "a"], (path) => graph[path]!), ["d > d", "a > b > c > a"]);
  const circles = importCircles(sources, (path) => path.endsWith(".ts") ? imports(path) : []);
  assertEquals(circles, KNOWN_CIRCLES);
});

const MOST_LINES = 300;

Deno.test("no file of src has more than 300 lines", () => {
  const lines = (path: string) => read(path).trimEnd().split("\n").length;
  assertEquals(sources.filter((path) => lines(path) > MOST_LINES), []);
});

Deno.test("only src/gpu/adapter.ts asks for a GPU", () => {
  const asking = sources.filter((path) => /\bnavigator\b/.test(code(path)));
  assertEquals(asking, ["src/gpu/adapter.ts"]);
});

Deno.test("deno.lock lists what deno.json imports and no more: every deno task fetches all of it", () => {
  const { specifiers, workspace } = JSON.parse(read("deno.lock"));
  const imported = workspace.dependencies.filter((name: string) => name.startsWith("npm:"));
  assertEquals(Object.keys(specifiers).sort(), imported.sort());
});

Deno.test("the package holds the sources and every kernel, and no test", async () => {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals(code, 0, output);
  const published = [...output.matchAll(/^\s+(file:\S+) \(/gm)]
    .map((match) => match[1]!.slice(ROOT.href.length)).sort();
  const single = ["LICENSE", "README.md", "deno.json", "mod.ts"];
  assertEquals(published, [...single, ...kernels, ...filesBelow("src/")].sort());
});

Deno.test("no file names a path of the machine it was written on", () => {
  // Joined here so that this file does not contain them.
  const forbidden = [["", "work", ""], ["", "tmp", ""], ["..", "shared"]].map((parts) =>
    parts.join("/")
  );
  const naming = filesBelow("").flatMap((path) => {
    const text = read(path);
    return forbidden.filter((word) => text.includes(word)).map((word) => `${path}: ${word}`);
  });
  assertEquals(naming, []);
});
