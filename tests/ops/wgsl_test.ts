import { assert, assertEquals, assertThrows } from "@std/assert";
import { link } from "../../src/ops/wgsl.ts";

const kernel = (code: string) => ({ name: "k", code, entryPoint: "main" });

Deno.test("link() appends what a kernel needs and what that needs, each once, and the kernel stays in front", () => {
  const code = "// needs: first, second\nfn main() {}";
  const own = [
    "// provides: first\n// needs: third\nfn first() {}",
    "// provides: second\n// needs: third, first\nfn second() {}",
    "// provides: third\nfn third() {}",
    "// provides: unused\nfn unused() {}",
  ];
  const linked = link(kernel(code), {}, own);
  assert(linked.code.startsWith(code), linked.code);
  for (const name of ["first", "second", "third"]) {
    assertEquals(linked.code.split(`fn ${name}(`).length, 2, name);
  }
  assert(!linked.code.includes("unused"));
  assertEquals(linked.name, "k");
});

Deno.test("link() takes the file that suits the choices, and names the kernel by those that mattered", () => {
  const code = "// needs: pack, stored, rows\nfn main() {}";
  const linked = link(kernel(code), {
    pack: 8,
    stored: "f16",
    rows: "team",
    team: "shared",
    passing: "direct",
  });
  assertEquals(linked.name, "k/8_team_f16_shared");
  for (const part of ["vec4<u64>", "vec2<u64>", "workgroupBarrier", "fn half_bits"]) {
    assert(linked.code.includes(part), part);
  }
  assertEquals(link(kernel("fn main() {}"), { pack: 4 }), kernel("fn main() {}"));
});

Deno.test("link() writes out the calls for every pack of a head, and the kernel's name says how many", () => {
  const code =
    "// needs: each\n// not each_other()\nfn one(c: u32) {}\nfn main() { each_one(); each_two(); }";
  const own = "// provides: two\nfn two(c: u32) {}";
  const linked = link(kernel(code.replace("each\n", "each, two\n")), { packs: 3 }, [own]);
  assertEquals(linked.name, "k/3");
  for (
    const part of [
      "const HEAD_PACKS = 3u;",
      "fn each_one() { one(0u); one(1u); one(2u); }",
      "fn each_two() { two(0u); two(1u); two(2u); }",
    ]
  ) assert(linked.code.includes(part), part);
  assert(!linked.code.includes("fn each_other"));
});

Deno.test("link() says what is missing", () => {
  assertThrows(
    () => link(kernel("// needs: pack"), { stored: "f32" }),
    TypeError,
    'Kernel k needs pack, which nothing provides for {"stored":"f32"}',
  );
  assertThrows(() => link(kernel("// needs: nothing_such")), TypeError, "nothing_such");
  assertThrows(() => link(kernel("// needs: each")), TypeError, "the packs of a head");
});
