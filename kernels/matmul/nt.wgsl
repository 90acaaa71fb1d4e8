// out[M, N] = a[M, K] · b[N, K]ᵀ (+ bias[N]): a linear layer with its weight b as Hugging Face stores it. For devices with
// subgroups of at least 8 lanes; rows.wgsl, eight_*.wgsl and weights_*.wgsl are appended. K is a multiple of 8, N of 4, M is
// arbitrary.
// rows<R>: one workgroup per tile of R x 32 outputs, four columns to a lane.

struct Params {
    rows: u32,      // M
    columns: u32,   // N
    inner: u32,     // K
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Eight>;
@group(0) @binding(2) var<storage, read> b: array<Weights>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

override ACCUMULATE: bool = false;   // add to out
override BIAS: bool = false;         // sums begin with bias

fn start(at: Place) -> Rows {
    if (BIAS) { return all_rows(bias[at.source]); }
    return Rows();
}

// Index in a of a lane's row; lanes beyond the last row repeat it.
fn row_start(row: u32) -> u32 {
    return min(row, params.rows - 1u) * (params.inner / 8u);
}

// Eight inner steps of the lane's four columns: the even and the odd ones.
struct Parts {
    even: mat4x4f,
    odd: mat4x4f,
}

fn load_parts(i: u32, stride: u32) -> Parts {
    let w0 = b[i];
    let w1 = b[i + stride];
    let w2 = b[i + 2u * stride];
    let w3 = b[i + 3u * stride];
    return Parts(
        transpose(mat4x4f(even_weights(w0), even_weights(w1), even_weights(w2), even_weights(w3))),
        transpose(mat4x4f(odd_weights(w0), odd_weights(w1), odd_weights(w2), odd_weights(w3))),
    );
}

fn add_eight(sum: Rows, piece: Eight, parts: Parts) -> Rows {
    return add(add(sum, spread(even(piece)), parts.even), spread(odd(piece)), parts.odd);
}

fn put(at: Place, row: u32, sum: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        let i = row * at.stride + at.column;
        if (ACCUMULATE) { out[i] += sum; } else { out[i] = sum; }
    }
}

fn put_rows(at: Place, row: u32, sum: Rows) {
    put(at, row, sum.r0);
    put(at, row + 1u, sum.r1);
    put(at, row + 2u, sum.r2);
    put(at, row + 3u, sum.r3);
    put(at, row + 4u, sum.r4);
    put(at, row + 5u, sum.r5);
    put(at, row + 6u, sum.r6);
    put(at, row + 7u, sum.r7);
}

@compute @workgroup_size(8)
fn rows8(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 8u, 4u, lane);
    let stride = params.inner / 8u;
    let a0 = row_start(at.row + lane);
    let b0 = 4u * at.source * stride;
    var s0 = start(at);
    for (var k = 0u; k < stride; k++) {
        let parts = load_parts(b0 + k, stride);
        s0 = add_eight(s0, a[a0 + k], parts);
    }
    put_rows(at, at.row, s0);
}

@compute @workgroup_size(8)
fn rows16(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 16u, 4u, lane);
    let stride = params.inner / 8u;
    let a0 = row_start(at.row + lane);
    let a1 = row_start(at.row + 8u + lane);
    let b0 = 4u * at.source * stride;
    var s0 = start(at);
    var s1 = start(at);
    for (var k = 0u; k < stride; k++) {
        let parts = load_parts(b0 + k, stride);
        s0 = add_eight(s0, a[a0 + k], parts);
        s1 = add_eight(s1, a[a1 + k], parts);
    }
    put_rows(at, at.row, s0);
    put_rows(at, at.row + 8u, s1);
}

@compute @workgroup_size(8)
fn rows32(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 32u, 4u, lane);
    let stride = params.inner / 8u;
    let a0 = row_start(at.row + lane);
    let a1 = row_start(at.row + 8u + lane);
    let a2 = row_start(at.row + 16u + lane);
    let a3 = row_start(at.row + 24u + lane);
    let b0 = 4u * at.source * stride;
    var s0 = start(at);
    var s1 = start(at);
    var s2 = start(at);
    var s3 = start(at);
    for (var k = 0u; k < stride; k++) {
        let parts = load_parts(b0 + k, stride);
        s0 = add_eight(s0, a[a0 + k], parts);
        s1 = add_eight(s1, a[a1 + k], parts);
        s2 = add_eight(s2, a[a2 + k], parts);
        s3 = add_eight(s3, a[a3 + k], parts);
    }
    put_rows(at, at.row, s0);
    put_rows(at, at.row + 8u, s1);
    put_rows(at, at.row + 16u, s2);
    put_rows(at, at.row + 24u, s3);
}
