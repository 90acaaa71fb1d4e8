/**
 * Drivers out of Debian's packages, in a folder of their own beside whatever is installed.
 *
 * What was fetched is kept in the user's cache folder, `deltal/drivers`; without it, it is fetched again.
 *
 * @module
 */

const KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Runs a program to its end and returns what it printed. */
export async function run(
  command: string,
  args: readonly string[],
  { cwd, env }: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const options = { args: [...args], ...(cwd && { cwd }), env: { ...env, NO_COLOR: "1" } };
  const { success, stdout, stderr } = await new Deno.Command(command, options).output();
  const text = new TextDecoder().decode(stdout);
  if (success) return text;
  throw new Error(
    `${command} ${args.join(" ")} failed:\n${text}${new TextDecoder().decode(stderr)}`,
  );
}

/** A folder that outlives this process, for drivers and the shaders they compile. */
function kept(name: string): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME")}/.cache`;
  return `${cache}/deltal/drivers/${name}`;
}

/** Packages of a release of Debian. */
interface Packages {
  readonly suite: string;
  /** The first gives the version. */
  readonly names: readonly string[];
  /** Whether all that they need comes too, the C library included. */
  readonly whole?: boolean;
}

/** Fetches packages with an apt of its own, unpacks them, and says where and which version. */
async function unpacked(
  { suite, names, whole = false }: Packages,
): Promise<{ root: string; version: string }> {
  const home = kept(suite);
  const root = `${home}/root`;
  const version = async () => (await Deno.readTextFile(`${home}/version`)).trim();
  const found = await version().catch(() => undefined);
  if (found) return { root, version: found };
  await Deno.stat(KEYS).catch(() => {
    throw new Error(`Needs Debian's keys, ${KEYS}: install the package debian-archive-keyring`);
  });
  console.error(`Fetching ${names.join(", ")} of Debian ${suite} into ${home}`);
  for (
    const name of ["etc/apt.conf.d", "etc/preferences.d", "root", "debs/partial", "lists/partial"]
  ) {
    await Deno.mkdir(`${home}/${name}`, { recursive: true });
  }
  const sources = [`debian ${suite}`];
  if (suite !== "sid") sources.push(`debian-security ${suite}-security`);
  await Deno.writeTextFile(
    `${home}/etc/sources.list`,
    sources.map((source) => `deb [signed-by=${KEYS}] https://deb.debian.org/${source} main\n`)
      .join(""),
  );
  // With an empty status nothing is installed, so that all that is needed comes with it. Mirrors may be behind for weeks.
  await Deno.writeTextFile(`${home}/status`, "");
  await Deno.writeTextFile(
    `${home}/apt.conf`,
    `Dir::Etc "${home}/etc"; Dir::State "${home}"; Dir::State::status "${home}/status"; Dir::Cache "${home}";
     Dir::Cache::archives "${home}/debs"; Acquire::Languages "none"; Acquire::Check-Valid-Until "false";
     Acquire::Retries "1"; Acquire::https::Timeout "20"; APT::Sandbox::User "root"; Debug::NoLocking "true";`,
  );
  const env = { APT_CONFIG: `${home}/apt.conf` };
  await run("apt-get", ["update", "-q"], { env });
  await run(
    "apt-get",
    whole
      ? ["install", "-y", "-q", "--no-install-recommends", "--download-only", ...names]
      : ["download", "-q", ...names],
    { cwd: `${home}/debs`, env },
  );
  const debs = [...Deno.readDirSync(`${home}/debs`)].map(({ name }) => name)
    .filter((name) => name.endsWith(".deb"));
  for (const name of debs) await run("dpkg-deb", ["-x", `${home}/debs/${name}`, root]);
  const first = debs.find((name) => name.startsWith(`${names[0]}_`))!;
  await Deno.writeTextFile(`${home}/version`, decodeURIComponent(first.split("_")[1]!));
  for (const name of ["debs", "lists"]) await Deno.remove(`${home}/${name}`, { recursive: true });
  return { root, version: await version() };
}

/** A Vulkan driver: how to run Deno on it. */
export interface Driver {
  readonly name: string;
  /** What runs Deno. */
  readonly deno: string;
  /** What to set in the environment for programs to use this driver and no other. */
  readonly env: Record<string, string>;
}

/** Names a driver's description, with the library as a whole path. */
async function described(description: string, library: string): Promise<Record<string, string>> {
  const { ICD, ...rest } = JSON.parse(await Deno.readTextFile(description));
  const path = `${library}.json`;
  await Deno.writeTextFile(
    path,
    JSON.stringify({ ...rest, ICD: { ...ICD, library_path: library } }),
  );
  return { VK_DRIVER_FILES: path, VK_ICD_FILENAMES: path };
}

/**
 * SwiftShader, the software driver of Chrome.
 *
 * @throws {Error} If there is no apt, or the package cannot be fetched.
 */
export async function swiftshader(): Promise<Driver> {
  // The oldest release that has it runs on the newer ones too.
  const { root, version } = await unpacked({ suite: "bookworm", names: ["chromium-common"] });
  const folder = `${root}/usr/lib/chromium`;
  return {
    name: `SwiftShader of Chromium ${version}`,
    deno: Deno.execPath(),
    env: await described(`${folder}/vk_swiftshader_icd.json`, `${folder}/libvk_swiftshader.so`),
  };
}

/**
 * Mesa's llvmpipe of another release of Debian, with the C library of that release.
 *
 * @param suite For example `trixie`.
 * @throws {Error} If there is no apt, or the packages cannot be fetched.
 */
export async function mesa(suite: string): Promise<Driver> {
  const { root, version } = await unpacked({ suite, names: ["mesa-vulkan-drivers"], whole: true });
  const machine = Deno.build.arch;
  const libraries = `${root}/usr/lib/${machine}-linux-gnu`;
  const loader = { x86_64: "lib64/ld-linux-x86-64.so.2", aarch64: "lib/ld-linux-aarch64.so.1" };
  // A C library works with its own loader only. It is what /proc/self/exe names then, so tests find Deno by its name.
  await Deno.mkdir(`${root}/bin`, { recursive: true });
  const deno = `${root}/bin/deno`;
  await Deno.writeTextFile(
    deno,
    `#!/bin/sh\nexec ${root}/usr/${
      loader[machine]
    } --argv0 deno --library-path ${libraries} ${Deno.execPath()} "$@"\n`,
    { mode: 0o755 },
  );
  const descriptions = `${root}/usr/share/vulkan/icd.d`;
  const [file] = [...Deno.readDirSync(descriptions)].filter(({ name }) => name.startsWith("lvp_"));
  return {
    name: `llvmpipe of Mesa ${version}`,
    deno,
    env: {
      ...await described(`${descriptions}/${file!.name}`, `${libraries}/libvulkan_lvp.so`),
      PATH: `${root}/bin:${Deno.env.get("PATH")}`,
      MESA_SHADER_CACHE_DIR: kept(`shaders-${suite}`),
    },
  };
}
