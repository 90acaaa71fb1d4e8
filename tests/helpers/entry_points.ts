/** What there is to run in kernels/. */

const KERNELS = new URL("../../kernels/", import.meta.url).pathname;

interface EntryPoint {
  readonly folder: string;
  readonly file: string;
  readonly name: string;
}

/** Every `@compute` function there is. */
function everyEntryPoint(): EntryPoint[] {
  const found: EntryPoint[] = [];
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
  return found;
}

/** Those that none of these kernels' labels is of: `softmax.forward`, with the file where a folder has several of a name. */
export function entryPointsWithout(labels: Iterable<string>): string[] {
  const all = [...labels];
  const found = everyEntryPoint();
  const left: string[] = [];
  for (const { folder, file, name } of found) {
    const named = all.filter((label) =>
      label.endsWith(`.${name}`) && /^[/.]/.test(label.slice(folder.length)) &&
      label.startsWith(folder)
    );
    const same = found.filter((other) => other.folder === folder && other.name === name);
    const isOf = ({ file }: EntryPoint) => (label: string) =>
      label.startsWith(`${folder}/${file}/`) || label.startsWith(`${folder}/${file}.`);
    // The one that is called what its file is called bears the folder's name alone.
    const own = named.filter((label) =>
      isOf({ folder, file, name })(label) || (file === name && !same.some((o) => isOf(o)(label)))
    );
    if (same.length > 1 && own.length === 0) left.push(`${folder}/${file}.${name}`);
    if (same.length === 1 && named.length === 0) left.push(`${folder}.${name}`);
  }
  return left.sort();
}
