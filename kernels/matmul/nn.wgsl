// out[M, N] = a[M, K] · b[K, N]: the gradient of a linear layer's input, with b its weight. For devices with subgroups of
// at least 8 lanes; rows.wgsl, eight_*.wgsl, weights_*.wgsl, and eight_out.wgsl or nn_gates.wgsl are appended. K is a multiple
// of 4, N of 8, M is arbitrary.
// rows<R>: one workgroup per tile of R x 64 outputs, eight columns to a lane.

struct Params {
    rows: u32,      // M
    columns: u32,   // N
    inner: u32,     // K
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<Weights>;
@group(0) @binding(3) var<storage, read_write> out: array<Eight>;

// Index in a of a lane's row; lanes beyond the last row repeat it.
fn row_start(row: u32) -> u32 {
    return min(row, params.rows - 1u) * (params.inner / 4u);
}

// The lane's columns at four inner steps: the even and the odd columns.
struct Parts {
    even: mat4x4f,
    odd: mat4x4f,
}

fn load_parts(i: u32, stride: u32) -> Parts {
    let b0 = b[i];
    let b1 = b[i + stride];
    let b2 = b[i + 2u * stride];
    let b3 = b[i + 3u * stride];
    return Parts(
        mat4x4f(even_weights(b0), even_weights(b1), even_weights(b2), even_weights(b3)),
        mat4x4f(odd_weights(b0), odd_weights(b1), odd_weights(b2), odd_weights(b3)),
    );
}

// Running sums of eight rows and eight columns: the even and the odd columns.
struct Sums {
    even: Rows,
    odd: Rows,
}

fn put_rows(at: Place, row: u32, sums: Sums) {
    put(at, row, sums.even.r0, sums.odd.r0);
    put(at, row + 1u, sums.even.r1, sums.odd.r1);
    put(at, row + 2u, sums.even.r2, sums.odd.r2);
    put(at, row + 3u, sums.even.r3, sums.odd.r3);
    put(at, row + 4u, sums.even.r4, sums.odd.r4);
    put(at, row + 5u, sums.even.r5, sums.odd.r5);
    put(at, row + 6u, sums.even.r6, sums.odd.r6);
    put(at, row + 7u, sums.even.r7, sums.odd.r7);
}

fn add_four(sums: Sums, piece: vec4f, parts: Parts) -> Sums {
    let rows = spread(piece);
    return Sums(add(sums.even, rows, parts.even), add(sums.odd, rows, parts.odd));
}

@compute @workgroup_size(8)
fn rows8(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 8u, 8u, lane);
    let steps = params.inner / 4u;
    let a0 = row_start(at.row + lane);
    var b0 = at.source;
    var s0 = Sums();
    for (var k = 0u; k < steps; k++) {
        let parts = load_parts(b0, at.stride);
        s0 = add_four(s0, a[a0 + k], parts);
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
    let at = place(wid.x + wid.y * nwg.x, 16u, 8u, lane);
    let steps = params.inner / 4u;
    let a0 = row_start(at.row + lane);
    let a1 = row_start(at.row + 8u + lane);
    var b0 = at.source;
    var s0 = Sums();
    var s1 = Sums();
    for (var k = 0u; k < steps; k++) {
        let parts = load_parts(b0, at.stride);
        s0 = add_four(s0, a[a0 + k], parts);
        s1 = add_four(s1, a[a1 + k], parts);
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
    let at = place(wid.x + wid.y * nwg.x, 32u, 8u, lane);
    let steps = params.inner / 4u;
    let a0 = row_start(at.row + lane);
    let a1 = row_start(at.row + 8u + lane);
    let a2 = row_start(at.row + 16u + lane);
    let a3 = row_start(at.row + 24u + lane);
    var b0 = at.source;
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    for (var k = 0u; k < steps; k++) {
        let parts = load_parts(b0, at.stride);
        s0 = add_four(s0, a[a0 + k], parts);
        s1 = add_four(s1, a[a1 + k], parts);
        s2 = add_four(s2, a[a2 + k], parts);
        s3 = add_four(s3, a[a3 + k], parts);
        b0 += 4u * at.stride;
    }
    put_rows(at, at.row, s0);
    put_rows(at, at.row + 8u, s1);
    put_rows(at, at.row + 16u, s2);
    put_rows(at, at.row + 24u, s3);
}
