// y[M, N] = silu(gate) * up, with gate and up the left and right half of a[M, K] · b[2N, K]ᵀ: the first linear layer of a
// feed-forward with SwiGLU (Shazeer 2020) behind it. pairs[M, N, 2] keeps each gate with its up for the gradient: a store of
// eight costs what a store of four does. For devices with subgroups of at least 8 lanes; matmul/rows, /eight_* and
// /weights_* are appended. K is a multiple of 8, N of 4, M is arbitrary.
// rows<R>: one workgroup per tile of R x 32 outputs, four columns of gate and the same of up to a lane.

struct Params {
    rows: u32,      // M
    columns: u32,   // N
    inner: u32,     // K
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Eight>;
@group(0) @binding(2) var<storage, read> b: array<Weights>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> pairs: array<Eight>;

override KEEP: bool = true;   // write pairs

// Index in a of a lane's row; lanes beyond the last row repeat it.
fn row_start(row: u32) -> u32 {
    return min(row, params.rows - 1u) * (params.inner / 8u);
}

// Eight inner steps of four columns: the even and the odd ones.
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

// Running sums of eight rows and the lane's columns.
struct Sums {
    gate: Rows,
    up: Rows,
}

fn add_eight(sums: Sums, piece: Eight, gate: Parts, up: Parts) -> Sums {
    let evens = spread(even(piece));
    let odds = spread(odd(piece));
    return Sums(
        add(add(sums.gate, evens, gate.even), odds, gate.odd),
        add(add(sums.up, evens, up.even), odds, up.odd),
    );
}

fn put(at: Place, row: u32, gate: vec4f, up: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        let i = row * at.stride + at.column;
        y[i] = gate / (1.0 + exp(-gate)) * up;
        if (KEEP) { pairs[i] = join(gate, up); }
    }
}

fn put_rows(at: Place, row: u32, sums: Sums) {
    put(at, row, sums.gate.r0, sums.up.r0);
    put(at, row + 1u, sums.gate.r1, sums.up.r1);
    put(at, row + 2u, sums.gate.r2, sums.up.r2);
    put(at, row + 3u, sums.gate.r3, sums.up.r3);
    put(at, row + 4u, sums.gate.r4, sums.up.r4);
    put(at, row + 5u, sums.gate.r5, sums.up.r5);
    put(at, row + 6u, sums.gate.r6, sums.up.r6);
    put(at, row + 7u, sums.gate.r7, sums.up.r7);
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
    let gate = 4u * at.source * stride;
    let up = gate + params.columns * stride;
    var s0 = Sums();
    for (var k = 0u; k < stride; k++) {
        s0 = add_eight(s0, a[a0 + k], load_parts(gate + k, stride), load_parts(up + k, stride));
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
    let gate = 4u * at.source * stride;
    let up = gate + params.columns * stride;
    var s0 = Sums();
    var s1 = Sums();
    for (var k = 0u; k < stride; k++) {
        let gates = load_parts(gate + k, stride);
        let ups = load_parts(up + k, stride);
        s0 = add_eight(s0, a[a0 + k], gates, ups);
        s1 = add_eight(s1, a[a1 + k], gates, ups);
    }
    put_rows(at, at.row, s0);
    put_rows(at, at.row + 8u, s1);
}
