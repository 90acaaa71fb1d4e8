/** What exported functions take options, as `deno doc` reads it from their types: each has to refuse names that do not exist. */

import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);

/** An object among the parameters of an exported function, some of whose properties may be left out. */
export interface OptionsParameter {
  /** Name of its type; `undefined` where that is written out. */
  readonly type: string | undefined;
  /** As a reader calls it: `sample(options)`, `Gpu.tensor(options)`, `new Plan(options)`. */
  readonly name: string;
  /** The class it is of, `undefined` for a function. */
  readonly className: string | undefined;
  readonly kind: "function" | "constructor" | "static" | "method";
  /** The function's or the method's name. */
  readonly member: string;
  /** Where it stands among the parameters. */
  readonly index: number;
  /** Which parameters are such objects. */
  readonly objects: readonly number[];
}

interface TypeDoc {
  readonly kind: string;
  // deno-lint-ignore no-explicit-any -- what deno prints
  readonly value?: any;
}

interface Property {
  readonly name: string;
  readonly optional?: boolean;
}

interface ParameterDoc {
  readonly kind: string;
  readonly name?: string;
  readonly left?: ParameterDoc;
  readonly tsType?: TypeDoc;
}

interface Declaration {
  readonly kind: string;
  readonly location: Place;
  // deno-lint-ignore no-explicit-any -- what deno prints
  readonly def: any;
}

interface Place {
  readonly filename: string;
  readonly byteIndex: number;
}

interface Documented {
  readonly name: string;
  readonly declarations: readonly Declaration[];
}

async function document(files: readonly string[]): Promise<Map<string, readonly Documented[]>> {
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: ["doc", "--json", ...files],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout));
  return new Map(
    Object.entries(nodes as Record<string, { symbols: readonly Documented[] }>)
      .map(([file, { symbols }]) => [file, symbols]),
  );
}

function sourcesBelow(path: URL): string[] {
  return [...Deno.readDirSync(path)].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? name === "cli" ? [] : sourcesBelow(new URL(`${name}/`, path))
      : name.endsWith(".ts")
      ? [fileURLToPath(new URL(name, path))]
      : []
  );
}

/**
 * The objects with optional properties that the exports of some entry points take, a class aside.
 *
 * @param entries Files, as paths from the root.
 * @returns By entry point.
 */
export async function optionsOf(
  entries: readonly string[],
): Promise<Record<string, OptionsParameter[]>> {
  const all = await document([...entries, ...sourcesBelow(new URL("src/", ROOT))]);
  const types = new Map<string, Declaration>();
  const declared = new Map<string, Declaration>();
  const placeOf = ({ filename, byteIndex }: Place) => `${filename}:${byteIndex}`;
  for (const { name, declarations } of [...all.values()].flat()) {
    const type = declarations.find(({ kind }) => ["interface", "typeAlias"].includes(kind));
    if (type) types.set(name, type);
    for (const one of declarations) {
      if (one.kind !== "reference") declared.set(placeOf(one.location), one);
    }
  }
  // What an entry point re-exports is a reference to where it is declared.
  const resolved = (one: Declaration) =>
    one.kind === "reference" ? declared.get(placeOf(one.def.target))! : one;
  const found: Record<string, OptionsParameter[]> = {};
  for (const entry of entries) {
    const exported = all.get(new URL(entry, ROOT).href)!;
    found[entry] = exported
      .flatMap(({ name, declarations }) => functionsOf(name, declarations.map(resolved)))
      .flatMap((called) => objectsOf(called, types));
  }
  return found;
}

interface Called extends Pick<OptionsParameter, "className" | "kind" | "member"> {
  readonly params: readonly ParameterDoc[];
}

function functionsOf(name: string, declarations: readonly Declaration[]): Called[] {
  return declarations.flatMap(({ kind, def }): Called[] => {
    if (kind === "function") {
      return [{ className: undefined, kind, member: name, params: def.params }];
    }
    if (kind !== "class") return [];
    // deno-lint-ignore no-explicit-any -- what deno prints
    const isOpen = ({ accessibility, kind }: any) =>
      accessibility === undefined && (kind === undefined || kind === "method");
    return [
      ...(def.isAbstract ? [] : def.constructors ?? []).filter(isOpen)
        .map(({ params }: Called) => (
          { className: name, kind: "constructor", member: name, params }
        )),
      ...def.methods.filter(isOpen).map((
        method: { name: string; isStatic?: boolean; functionDef: Called },
      ) => ({
        className: name,
        kind: method.isStatic ? "static" : "method",
        member: method.name,
        params: method.functionDef.params,
      })),
    ];
  });
}

function objectsOf(
  { className, kind, member, params }: Called,
  types: ReadonlyMap<string, Declaration>,
): OptionsParameter[] {
  const plain = params.map((param) => param.left ?? param);
  const objects = plain.flatMap(({ tsType }, index) =>
    tsType && propertiesOf(tsType, types).some(({ optional }) => optional) ? [index] : []
  );
  const owner = className === undefined
    ? member
    : kind === "constructor"
    ? `new ${className}`
    : `${className}.${member}`;
  return objects.map((index) => ({
    type: nameOf(plain[index]!.tsType!),
    name: `${owner}(${plain[index]!.name ?? nameOf(plain[index]!.tsType!)})`,
    className,
    kind,
    member,
    index,
    objects,
  }));
}

const UTILITIES = ["Readonly", "Partial", "Required", "Pick", "Omit"];

/** A type's name, that of what `Pick` and the like are of; `undefined` where it is written out. */
function nameOf({ value: { typeName, typeParams } = {} }: TypeDoc): string | undefined {
  return UTILITIES.includes(typeName) ? nameOf(typeParams[0]) : typeName;
}

/** The properties of an object type, or of a union of such; none of a class or an array. */
function propertiesOf(type: TypeDoc, types: ReadonlyMap<string, Declaration>): Property[] {
  if (type.kind === "typeLiteral") return type.value.properties;
  if (type.kind === "intersection") {
    return type.value.flatMap((part: TypeDoc) => propertiesOf(part, types));
  }
  if (type.kind === "mapped") {
    return type.value.optional ? [{ name: "mapped", optional: true }] : [];
  }
  if (type.kind === "union") {
    const parts = (type.value as TypeDoc[]).map((part) => propertiesOf(part, types));
    return parts.every(({ length }) => length > 0) ? parts.flat() : [];
  }
  if (type.kind !== "typeRef") return [];
  const { typeName, typeParams = [] } = type.value;
  if (UTILITIES.includes(typeName)) {
    const of = propertiesOf(typeParams[0], types);
    if (typeName === "Partial") return of.map(({ name }) => ({ name, optional: true }));
    if (typeName === "Required") return of.map(({ name }) => ({ name }));
    if (typeName === "Readonly") return of;
    const names = literals(typeParams[1], types);
    return of.filter(({ name }) => names.includes(name) === (typeName === "Pick"));
  }
  const declared = types.get(typeName);
  if (!declared) return [];
  if (declared.kind === "typeAlias") return propertiesOf(declared.def.tsType, types);
  return [
    ...declared.def.properties,
    ...(declared.def.extends ?? []).flatMap((base: TypeDoc) => propertiesOf(base, types)),
  ];
}

function literals(type: TypeDoc, types: ReadonlyMap<string, Declaration>): string[] {
  if (type.kind === "literal") return [type.value.string];
  if (type.kind === "union") return type.value.flatMap((part: TypeDoc) => literals(part, types));
  const alias = type.kind === "typeRef" ? types.get(type.value.typeName) : undefined;
  return alias?.kind === "typeAlias" ? literals(alias.def.tsType, types) : [];
}
