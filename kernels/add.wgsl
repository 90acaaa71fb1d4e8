// Element-wise sum: y = a + b, and for its gradient y = a or y += a; all (n).
// add4 and pass4 handle four elements at a time and need n to be a multiple of 4; add1 and pass1 take any n.
// One workgroup per chunk.

override LANES: u32 = 64u;
override CHUNK: u32 = 256u;   // elements, or vectors of four, per workgroup

struct Params {
    count: u32,        // n, or n / 4
    accumulate: u32,   // pass: y is added to
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a4: array<vec4f>;
@group(0) @binding(2) var<storage, read> b4: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y4: array<vec4f>;
@group(0) @binding(4) var<storage, read> a1: array<f32>;
@group(0) @binding(5) var<storage, read> b1: array<f32>;
@group(0) @binding(6) var<storage, read_write> y1: array<f32>;

@compute @workgroup_size(LANES)
fn add4(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (wid.x + wid.y * nwg.x) * CHUNK;
    let last = min(first + CHUNK, params.count);
    for (var i = first + lane; i < last; i += LANES) { y4[i] = a4[i] + b4[i]; }
}

@compute @workgroup_size(LANES)
fn add1(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (wid.x + wid.y * nwg.x) * CHUNK;
    let last = min(first + CHUNK, params.count);
    for (var i = first + lane; i < last; i += LANES) { y1[i] = a1[i] + b1[i]; }
}

@compute @workgroup_size(LANES)
fn pass4(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (wid.x + wid.y * nwg.x) * CHUNK;
    let last = min(first + CHUNK, params.count);
    for (var i = first + lane; i < last; i += LANES) {
        var v = a4[i];
        if (params.accumulate != 0u) { v += y4[i]; }
        y4[i] = v;
    }
}

@compute @workgroup_size(LANES)
fn pass1(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (wid.x + wid.y * nwg.x) * CHUNK;
    let last = min(first + CHUNK, params.count);
    for (var i = first + lane; i < last; i += LANES) {
        var v = a1[i];
        if (params.accumulate != 0u) { v += y1[i]; }
        y1[i] = v;
    }
}
