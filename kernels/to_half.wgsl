// y = x rounded to float16: part of every row of x (rows, stride), packed into y (rows, width). All counts are in fours.
// prelude/halves.wgsl is appended. One workgroup per chunk of y.

override LANES: u32 = 64u;
override CHUNK: u32 = 256u;   // fours per workgroup

struct Params {
    count: u32,    // rows * width
    width: u32,    // fours taken of a row
    stride: u32,   // fours in a row of x
    first: u32,    // where in a row they begin
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec2u>;

@compute @workgroup_size(LANES)
fn convert(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let begin = (wid.x + wid.y * nwg.x) * CHUNK;
    let end = min(begin + CHUNK, params.count);
    for (var i = begin + lane; i < end; i += LANES) {
        y[i] = halves_of(x[i / params.width * params.stride + params.first + i % params.width]);
    }
}
