/** What there is to run in kernels/. */

const KERNELS = new URL("../../kernels/", import.meta.url).pathname;

/** Every `@compute` function there is: `softmax.forward`; `matmul/tiled.tile64` where a folder has several of a name. */
function everyEntryPoint(): string[] {
  const found: { folder: string; file: string; name: string }[] = [];
  const visit = (path: string, folder: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(`${KERNELS}${path}`)) {
      if (isDirectory) visit(`${path}${name}/`, name === "general" ? "" : folder || name);
      if (!name.endsWith(".wgsl")) continue;
      const file = name.slice(0, -".wgsl".length);
      const code = Deno.readTextFileSync(`${KERNELS}${path}${name}`);
      for (const [, entry] of code.matchAll(/@compute[^]*?\bfn\s+(\w+)/g)) {
        found.push({ folder: folder || file, file, name: entry! });
      }
    }
  };
  visit("", "");
  return found.map(({ folder, file, name }) => {
    const same = found.filter((other) => other.folder === folder && other.name === name);
    return same.length > 1 ? `${folder}/${file}.${name}` : `${folder}.${name}`;
  }).sort();
}

/** Those that none of these kernels' labels is of. */
export function entryPointsWithout(labels: Iterable<string>): string[] {
  const all = [...labels];
  return everyEntryPoint().filter((entry) => {
    const [folder, name] = entry.split(".");
    return !all.some((label) =>
      /[/.]/.test(label[folder!.length]!) && label.startsWith(folder!) && label.endsWith(`.${name}`)
    );
  });
}
