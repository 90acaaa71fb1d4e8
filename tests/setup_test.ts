/**
 * Runs setup.sh on machines made of fakes: a PATH that holds only shell tools and scripts that stand
 * for npm, apt-get, sudo and deno. They log how they were called and change only a temporary folder.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";

const SCRIPT = new URL("../setup.sh", import.meta.url);

/** What setup.sh itself calls and every Unix has. */
const TOOLS = "sh env dirname sed mktemp mkdir ln rm touch cat chmod";

const DENO = `case "$1" in
  --version) echo "deno \${DENO_VERSION:-2.9.6} (stable, release)" ;;
  eval) [ -e "$MACHINE/driver" ] && echo "fake adapter" ;;
esac`;

/** The commands a machine may have, as bodies of shell scripts; $MACHINE is its folder. */
const FAKES = {
  deno: DENO,
  oldDeno: `DENO_VERSION=2.5.0\n${DENO}`,
  npm: `case "$1" in
    prefix) echo "$MACHINE/npm" ;;
    install) mkdir -p "$MACHINE/npm/bin" && cat "$MACHINE/deno.sh" > "$MACHINE/npm/bin/deno" &&
      chmod +x "$MACHINE/npm/bin/deno" ;;
  esac`,
  offlineNpm:
    `[ "$1" = prefix ] && echo "$MACHINE/npm" || { echo "npm error network" >&2; exit 1; }`,
  curl: `echo 'mkdir -p "$HOME/.deno/bin" && cat "$MACHINE/deno.sh" > "$HOME/.deno/bin/deno" &&
    chmod +x "$HOME/.deno/bin/deno"' > "$4"`,
  offlineCurl: `echo "curl: (6) Could not resolve host" >&2; exit 6`,
  aptGet: `[ "$1" = update ] || touch "$MACHINE/driver"`,
  offlineAptGet: `echo "E: Unable to fetch" >&2; exit 100`,
  uselessAptGet: `true`,
  sudo: `"$@"`,
} as const;

interface Machine {
  /** Commands on PATH beside the shell tools: name to fake. */
  commands: Record<string, keyof typeof FAKES>;
  driver?: boolean;
  user?: boolean;
}

/** Runs setup.sh; `calls` are the lines of what it called, without questions such as `npm prefix`. */
async function setUp(
  { commands, driver = false, user = false }: Machine,
): Promise<{ ok: boolean; output: string; calls: string[] }> {
  const folder = await Deno.makeTempDir();
  try {
    const script = (name: string, body: string) =>
      Deno.writeTextFile(
        `${folder}/bin/${name}`,
        `#!/bin/sh\necho "${name} $*" >> "$MACHINE/calls"\n${body}\n`,
        { mode: 0o755 },
      );
    await Deno.mkdir(`${folder}/bin`);
    await Deno.mkdir(`${folder}/home`);
    await Deno.writeTextFile(`${folder}/calls`, "");
    await Deno.writeTextFile(`${folder}/deno.sh`, `#!/bin/sh\n${DENO}\n`);
    if (driver) await Deno.writeTextFile(`${folder}/driver`, "");
    await script("id", `echo ${user ? 1000 : 0}`);
    await script("uname", "echo Linux");
    for (const [name, fake] of Object.entries(commands)) await script(name, FAKES[fake]);

    const { success, stdout, stderr } = await new Deno.Command("sh", {
      args: [
        "-c",
        `for tool in ${TOOLS}; do ln -s "$(command -v $tool)" "$1/bin/$tool"; done
        MACHINE=$1 HOME=$1/home PATH=$1/bin:$1/home/.local/bin exec sh "$2"`,
        "sh",
        folder,
        SCRIPT.pathname,
      ],
      stdin: "null",
    }).output();
    const calls = (await Deno.readTextFile(`${folder}/calls`)).split("\n")
      .filter((line) => /^(npm install|curl|apt-get|sudo)/.test(line));
    const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    return { ok: success, output, calls };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `setup.sh ${name}`, ignore: Deno.build.os === "windows", fn });
}

const APT = [
  "apt-get update -qq",
  "apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1",
];

test("installs nothing where nothing is missing", async () => {
  const { ok, output, calls } = await setUp({
    commands: { deno: "deno", npm: "npm", "apt-get": "aptGet" },
    driver: true,
  });
  assertEquals({ ok, calls }, { ok: true, calls: [] }, output);
  assertMatch(output, /Deno 2\.9\.6[^]*fake adapter[^]*ready/);
});

test("puts Deno on PATH and installs a driver on a bare machine", async () => {
  const { ok, output, calls } = await setUp({ commands: { npm: "npm", "apt-get": "aptGet" } });
  assertEquals({ ok, calls }, {
    ok: true,
    calls: ["npm install -g --loglevel=error deno", ...APT],
  }, output);
  assertMatch(output, /linking \S+\/\.local\/bin\/deno to \S+\/npm\/bin\/deno/);
});

test("takes Deno's own installer where there is no npm", async () => {
  const { ok, output, calls } = await setUp({ commands: { curl: "curl" }, driver: true });
  assertEquals({ ok, calls: calls.length }, { ok: true, calls: 1 }, output);
  assertMatch(calls[0]!, /^curl -fsSL https:\/\/deno\.land\/install\.sh -o /);
  assertMatch(output, /linking \S+\/\.local\/bin\/deno to \S+\/\.deno\/bin\/deno/);
});

test("becomes root through sudo only where it is needed", async () => {
  const { ok, output, calls } = await setUp({
    commands: { npm: "npm", "apt-get": "aptGet", sudo: "sudo" },
    user: true,
  });
  assertEquals(ok, true, output);
  assertEquals(calls.filter((call) => !call.startsWith("sudo ")), [
    "npm install -g --loglevel=error deno",
    ...APT,
  ]);
  assertEquals(calls.filter((call) => call.startsWith("sudo ")).length, 2);
});

const failures: [string, Machine, string][] = [
  ["there is nothing to install Deno with", { commands: {} }, "neither npm nor curl"],
  ["npm has no network", { commands: { npm: "offlineNpm" } }, "npm could not install Deno"],
  ["the installer has no network", { commands: { curl: "offlineCurl" } }, "did not finish"],
  ["Deno is too old", { commands: { deno: "oldDeno" }, driver: true }, "Deno 2.5.0"],
  ["no package manager is known", { commands: { deno: "deno" } }, "no apt-get, dnf or pacman"],
  [
    "it may not install the driver",
    { commands: { deno: "deno", "apt-get": "aptGet" }, user: true },
    "this needs root and there is no sudo",
  ],
  [
    "the driver cannot be fetched",
    { commands: { deno: "deno", "apt-get": "offlineAptGet" } },
    "driver could not be installed",
  ],
  [
    "the driver brings no adapter",
    { commands: { deno: "deno", "apt-get": "uselessAptGet" } },
    "finds no WebGPU adapter",
  ],
];

for (const [reason, machine, message] of failures) {
  test(`fails and says so when ${reason}`, async () => {
    const { ok, output } = await setUp(machine);
    assertEquals(ok, false, output);
    assertStringIncludes(output, `setup: error:`);
    assertStringIncludes(output, message);
  });
}
