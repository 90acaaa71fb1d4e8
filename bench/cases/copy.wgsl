// Copies a buffer, four numbers per invocation: the ceiling of memory-bound kernels.
// dst (4 n) = src (4 n). One workgroup per 64 vectors; ids beyond the count do nothing.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> src: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dst: array<vec4f>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3u,
  @builtin(num_workgroups) nwg: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.x + wid.y * nwg.x) * 64u + lane;
  if i < params.count {
    dst[i] = src[i];
  }
}
