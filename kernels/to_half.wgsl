// Rounding part of every row of a matrix (rows, stride) to float16. All counts are in fours. prelude/halves.wgsl is
// appended. One workgroup per chunk of what is rounded.
//   convert          y (rows, width) = that part of x, packed
//   round_in_place   that part of z is rounded in place and stays float32

override LANES: u32 = 64u;
override CHUNK: u32 = 256u;   // fours per workgroup

struct Params {
    count: u32,    // rows * width
    width: u32,    // fours taken of a row
    stride: u32,   // fours in a row
    first: u32,    // where in a row they begin
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec2u>;

// Where four number i of the part is.
fn place(i: u32) -> u32 {
    return i / params.width * params.stride + params.first + i % params.width;
}

@compute @workgroup_size(LANES)
fn convert(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let begin = (wid.x + wid.y * nwg.x) * CHUNK;
    let end = min(begin + CHUNK, params.count);
    for (var i = begin + lane; i < end; i += LANES) {
        y[i] = halves_of(x[place(i)]);
    }
}

@group(0) @binding(3) var<storage, read_write> z: array<vec4f>;

@compute @workgroup_size(LANES)
fn round_in_place(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let begin = (wid.x + wid.y * nwg.x) * CHUNK;
    let end = min(begin + CHUNK, params.count);
    for (var i = begin + lane; i < end; i += LANES) {
        let halves = halves_of(z[place(i)]);
        z[place(i)] = vec4f(unpack2x16float(halves.x), unpack2x16float(halves.y));
    }
}
