import { assertEquals } from "@std/assert";
import type { ProfileEntry, Profiler } from "../../src/gpu/profile.ts";
import { formatProfile, profileRows, roofline } from "../../src/run/profile_report.ts";

const entry = (fields: Partial<ProfileEntry>): ProfileEntry => ({
  plan: "learner",
  label: "norm.forward",
  kernel: "rms_norm.forward",
  calls: 1,
  nanoseconds: 1e6,
  flops: 0,
  bytes: 0,
  ...fields,
});

const ENTRIES = [
  entry({}),
  entry({ label: "layers.0.mlp.up.forward", kernel: "matmul/nt", nanoseconds: 4e6, flops: 8e6 }),
  entry({ label: "layers.11.mlp.up.forward", kernel: "matmul/nt", nanoseconds: 4e6, flops: 8e6 }),
  entry({ plan: "decode", calls: 10, nanoseconds: 1e6, bytes: 3e6 }),
];

Deno.test("profileRows takes layers together, keeps plans apart and sorts by time", () => {
  const rows = profileRows(ENTRIES);
  assertEquals(rows.map(({ path, calls, share }) => [path, calls, share]), [
    ["learner: layers.*.mlp.up.forward", 2, 0.8],
    ["learner: norm.forward", 1, 0.1],
    ["decode: norm.forward", 10, 0.1],
  ]);
  assertEquals(rows[0]!.flopsPerSecond, 2e9);
  assertEquals(rows[2]!.bytesPerSecond, 3e9);
});

Deno.test("profileRows by kernel adds up plans and paths", () => {
  const rows = profileRows(ENTRIES, { groupBy: "kernel" });
  assertEquals(rows.map(({ path, calls, seconds }) => [path, calls, seconds]), [
    ["matmul/nt", 2, 0.008],
    ["rms_norm.forward", 11, 0.002],
  ]);
});

Deno.test("profileRows of nothing, and of entries that were not collected", () => {
  assertEquals(profileRows([]), []);
  const [row] = profileRows([entry({ nanoseconds: 0, flops: 5 })]);
  assertEquals([row!.share, row!.flopsPerSecond], [0, 0]);
});

Deno.test("formatProfile is an aligned table with a last row for the rest", () => {
  const entries = new Map(ENTRIES.map((e, i) => [String(i), e]));
  const profiler = { entries, untimed: 0 } as Profiler;
  assertEquals(
    formatProfile(profiler, { rows: 1 }),
    [
      "GPU time 0.010 s in 13 dispatches",
      " share    ms  calls  ms/call  GFLOP/s  GB/s  path",
      "80.0 %  8.00      2     4.00      2.0        learner: layers.*.mlp.up.forward  (matmul/nt)",
      "20.0 %  2.00     11    0.182                 2 others",
    ].join("\n"),
  );
});

Deno.test("with a device's peaks each row says how near it comes to the nearer of them", () => {
  const peaks = { flopsPerSecond: 8e9, bytesPerSecond: 4e9 };
  const rows = profileRows([...ENTRIES, entry({ label: "both", flops: 1e6, bytes: 2e6 })]);
  assertEquals(rows.map((row) => roofline(row, peaks)), [0.25, 0, 0.75, 0.5]);
  const entries = new Map(ENTRIES.map((e, i) => [String(i), e]));
  const profiler = { entries, untimed: 0 } as Profiler;
  assertEquals(
    formatProfile(profiler, { rows: 1, peaks }),
    [
      "GPU time 0.010 s in 13 dispatches; the device does 8.0 GFLOP/s and 4.0 GB/s",
      " share    ms  calls  ms/call  GFLOP/s  GB/s  of peak  path",
      "80.0 %  8.00      2     4.00      2.0           25 %  learner: layers.*.mlp.up.forward  (matmul/nt)",
      "20.0 %  2.00     11    0.182                          2 others",
    ].join("\n"),
  );
});
