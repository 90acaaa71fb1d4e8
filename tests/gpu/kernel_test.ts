import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { reflect } from "../../src/gpu/kernel.ts";
import { Plan } from "../../src/gpu/plan.ts";
import { test } from "../helpers/test.ts";

const SOURCE = `
struct Params { rows: u32, scale: f32 }   // not { a: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
/* @group(0) @binding(3) var<storage> ghost: array<f32>; */
@group(0) @binding(4) var<storage> z: array<u32>;

fn helper(i: u32) -> f32 { return x[i].y; }   // .y is not the binding

@compute @workgroup_size(8) fn first(@builtin(workgroup_id) wid: vec3u) {
    if (wid.x < params.rows) { y[wid.x] = helper(wid.x) * params.scale; }
}
@compute @workgroup_size(8) fn second(@builtin(workgroup_id) wid: vec3u) {
    for (var i = 0u; i < z[wid.x]; i++) { y[0] = 1.0; }
}
`;

Deno.test("reflect() finds what an entry point uses, through the functions it calls", () => {
  assertEquals(reflect(SOURCE, "first"), {
    bindings: [{ name: "x", index: 1, writes: false }, { name: "y", index: 2, writes: true }],
    paramsIndex: 0,
    params: [{ name: "rows", type: "u32" }, { name: "scale", type: "f32" }],
    loops: false,
  });
  assertEquals(reflect(SOURCE, "second"), {
    bindings: [{ name: "y", index: 2, writes: true }, { name: "z", index: 4, writes: false }],
    paramsIndex: undefined,
    params: [],
    loops: true,
  });
});

test.onGpu("a broken kernel says which one, which line and who needs it", async (gpu) => {
  const code = SOURCE.replace("x[i].y", "x[i].wrong");
  const plan = new Plan(gpu, "learner");
  plan.scope("layers.3", () =>
    plan.dispatch({
      kernel: gpu.kernel({ name: "broken", code, entryPoint: "first", constants: {} }),
      label: "norm",
      bindings: { x: gpu.tensor([4]), y: gpu.tensor([4]) },
      params: { rows: 1, scale: 1 },
      workgroups: 1,
    }));
  const error = await assertRejects(() => plan.compile(), Error);
  for (const part of ["broken.first", "wrong", ":9:", "layers.3.norm in plan learner"]) {
    assertStringIncludes(error.message, part);
  }
  gpu.check(); // the error was caught, the device is fine
});

test.onGpu("an override that does not exist is an error of its kernel", async (gpu) => {
  const kernel = gpu.kernel({
    name: "k",
    code: SOURCE,
    entryPoint: "first",
    constants: { LANES: 8 },
  });
  const error = await assertRejects(() => kernel.ready, Error, "k.first (LANES=8)");
  assertStringIncludes(error.message, "does not compile");
});

test.onGpu("a kernel is compiled once for each set of constants", (gpu) => {
  const code = `override A: u32 = 1u;\noverride B: u32 = 1u;\n${SOURCE}`;
  const get = (constants: Record<string, number>) =>
    gpu.kernel({ name: "k", code, entryPoint: "first", constants });
  assertEquals(gpu.counters.compileSeconds, 0);
  assertEquals(get({ A: 1, B: 2 }) === get({ B: 2, A: 1 }), true);
  const { compileSeconds } = gpu.counters;
  assert(compileSeconds > 0);
  get({ A: 1, B: 2 });
  assertEquals(gpu.counters.compileSeconds, compileSeconds);
  assertEquals(get({ A: 1, B: 2 }) === get({ A: 2, B: 2 }), false);
});
