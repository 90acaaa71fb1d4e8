/**
 * SwiftShader, the software Vulkan driver of Chrome, out of Debian's package of it, beside whatever is installed.
 *
 * @module
 */

/** The package and the two files in it. */
const PACKAGE = "chromium-common";
const FOLDER = "./usr/lib/chromium";
const FILES = ["libvk_swiftshader.so", "vk_swiftshader_icd.json"].map((name) =>
  `${FOLDER}/${name}`
);

async function run(command: string, args: string[], cwd: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, cwd }).output();
  if (!success) {
    throw new Error(`${command} ${args.join(" ")} failed: ${new TextDecoder().decode(stderr)}`);
  }
}

/**
 * Fetches the driver.
 *
 * @param folder Where to put it; nothing else is touched.
 * @returns What to set in the environment for programs to use it, and nothing else.
 * @throws {Error} If this is no Debian, or the package cannot be fetched.
 */
export async function swiftshader(folder: string): Promise<Record<string, string>> {
  await run("apt-get", ["download", "-q", PACKAGE], folder);
  const [file] = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".deb"));
  await run(
    "sh",
    ["-c", `dpkg-deb --fsys-tarfile ${file!.name} | tar -x ${FILES.join(" ")}`],
    folder,
  );
  const driver = `${folder}/${FILES[1]}`;
  return { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver };
}
