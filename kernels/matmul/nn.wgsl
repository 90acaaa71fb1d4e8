// out[M, N] = a[M, K] · b[K, N]: the gradient of a linear layer's input, with b its weight. For devices with subgroups of
// at least 8 lanes; see rows.wgsl, which is appended. K and N are multiples of 4, M is arbitrary.
// rows<R>: one workgroup per tile of R x 32 outputs.

struct Params {
    rows: u32,      // M
    columns: u32,   // N
    inner: u32,     // K
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;

override ACCUMULATE: bool = false;   // add to out

fn put(at: Place, row: u32, sum: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        let i = row * at.stride + at.column;
        if (ACCUMULATE) { out[i] += sum; } else { out[i] = sum; }
    }
}

// Index in a of a lane's row; lanes beyond the last row repeat it.
fn row_start(row: u32) -> u32 {
    return min(row, params.rows - 1u) * (params.inner / 4u);
}

// Four columns of four rows of b.
fn load_parts(i: u32, stride: u32) -> mat4x4f {
    return mat4x4f(b[i], b[i + stride], b[i + 2u * stride], b[i + 3u * stride]);
}

@compute @workgroup_size(8)
fn rows8(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 8u, lane);
    let steps = params.inner / 4u;
    let a0 = row_start(at.row + lane);
    var b0 = at.source;
    var s0 = Rows();
    for (var k = 0u; k < steps; k++) {
        let parts = load_parts(b0, at.stride);
        s0 = add_steps(s0, a[a0 + k], parts);
        b0 += 4u * at.stride;
    }
    put_rows(at, at.row, s0);
}

@compute @workgroup_size(8)
fn rows16(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 16u, lane);
    let steps = params.inner / 4u;
    let a0 = row_start(at.row + lane);
    let a1 = row_start(at.row + 8u + lane);
    var b0 = at.source;
    var s0 = Rows();
    var s1 = Rows();
    for (var k = 0u; k < steps; k++) {
        let parts = load_parts(b0, at.stride);
        s0 = add_steps(s0, a[a0 + k], parts);
        s1 = add_steps(s1, a[a1 + k], parts);
        b0 += 4u * at.stride;
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
    let at = place(wid.x + wid.y * nwg.x, 32u, lane);
    let steps = params.inner / 4u;
    let a0 = row_start(at.row + lane);
    let a1 = row_start(at.row + 8u + lane);
    let a2 = row_start(at.row + 16u + lane);
    let a3 = row_start(at.row + 24u + lane);
    var b0 = at.source;
    var s0 = Rows();
    var s1 = Rows();
    var s2 = Rows();
    var s3 = Rows();
    for (var k = 0u; k < steps; k++) {
        let parts = load_parts(b0, at.stride);
        s0 = add_steps(s0, a[a0 + k], parts);
        s1 = add_steps(s1, a[a1 + k], parts);
        s2 = add_steps(s2, a[a2 + k], parts);
        s3 = add_steps(s3, a[a3 + k], parts);
        b0 += 4u * at.stride;
    }
    put_rows(at, at.row, s0);
    put_rows(at, at.row + 8u, s1);
    put_rows(at, at.row + 16u, s2);
    put_rows(at, at.row + 24u, s3);
}

@compute @workgroup_size(8)
fn rows64(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 64u, lane);
    let steps = params.inner / 4u;
    let a0 = row_start(at.row + lane);
    let a1 = row_start(at.row + 8u + lane);
    let a2 = row_start(at.row + 16u + lane);
    let a3 = row_start(at.row + 24u + lane);
    let a4 = row_start(at.row + 32u + lane);
    let a5 = row_start(at.row + 40u + lane);
    let a6 = row_start(at.row + 48u + lane);
    let a7 = row_start(at.row + 56u + lane);
    var b0 = at.source;
    var s0 = Rows();
    var s1 = Rows();
    var s2 = Rows();
    var s3 = Rows();
    var s4 = Rows();
    var s5 = Rows();
    var s6 = Rows();
    var s7 = Rows();
    for (var k = 0u; k < steps; k++) {
        let parts = load_parts(b0, at.stride);
        s0 = add_steps(s0, a[a0 + k], parts);
        s1 = add_steps(s1, a[a1 + k], parts);
        s2 = add_steps(s2, a[a2 + k], parts);
        s3 = add_steps(s3, a[a3 + k], parts);
        s4 = add_steps(s4, a[a4 + k], parts);
        s5 = add_steps(s5, a[a5 + k], parts);
        s6 = add_steps(s6, a[a6 + k], parts);
        s7 = add_steps(s7, a[a7 + k], parts);
        b0 += 4u * at.stride;
    }
    put_rows(at, at.row, s0);
    put_rows(at, at.row + 8u, s1);
    put_rows(at, at.row + 16u, s2);
    put_rows(at, at.row + 24u, s3);
    put_rows(at, at.row + 32u, s4);
    put_rows(at, at.row + 40u, s5);
    put_rows(at, at.row + 48u, s6);
    put_rows(at, at.row + 56u, s7);
}
