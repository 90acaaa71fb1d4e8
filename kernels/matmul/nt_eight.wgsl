// out[M, N] = a[M, K] · b[N, K]ᵀ (+ bias[N]) as matmul/nt, but with eight columns to a lane: it stores eight values at a
// time, which counts where K is small. rows.wgsl, eight_*.wgsl, weights_*.wgsl and eight_out.wgsl are appended. K and N are
// multiples of 8, M is arbitrary.
// rows<R>: one workgroup per tile of R x 64 outputs.

struct Params {
    rows: u32,      // M
    columns: u32,   // N
    inner: u32,     // K
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Eight>;
@group(0) @binding(2) var<storage, read> b: array<Weights>;
@group(0) @binding(3) var<storage, read> bias: array<Eight>;
@group(0) @binding(4) var<storage, read_write> out: array<Eight>;

override BIAS: bool = false;         // sums begin with bias

// Running sums of eight rows and eight columns: the even and the odd columns.
struct Sums {
    even: Rows,
    odd: Rows,
}

fn start(at: Place) -> Sums {
    if (BIAS) {
        let first = bias[at.source];
        return Sums(all_rows(even(first)), all_rows(odd(first)));
    }
    return Sums();
}

// Index in a of a lane's row; lanes beyond the last row repeat it.
fn row_start(row: u32) -> u32 {
    return min(row, params.rows - 1u) * (params.inner / 8u);
}

// Eight inner steps of four columns, every other one: the even and the odd steps.
struct Parts {
    even: mat4x4f,
    odd: mat4x4f,
}

fn load_parts(i: u32, stride: u32) -> Parts {
    let w0 = b[i];
    let w1 = b[i + 2u * stride];
    let w2 = b[i + 4u * stride];
    let w3 = b[i + 6u * stride];
    return Parts(
        transpose(mat4x4f(even_weights(w0), even_weights(w1), even_weights(w2), even_weights(w3))),
        transpose(mat4x4f(odd_weights(w0), odd_weights(w1), odd_weights(w2), odd_weights(w3))),
    );
}

fn add_eight(sums: Sums, piece: Eight, evens: Parts, odds: Parts) -> Sums {
    let even_steps = spread(even(piece));
    let odd_steps = spread(odd(piece));
    return Sums(
        add(add(sums.even, even_steps, evens.even), odd_steps, evens.odd),
        add(add(sums.odd, even_steps, odds.even), odd_steps, odds.odd),
    );
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

@compute @workgroup_size(8)
fn rows8(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 8u, 8u, lane);
    let stride = params.inner / 8u;
    let a0 = row_start(at.row + lane);
    let b0 = 8u * at.source * stride;
    var s0 = start(at);
    for (var k = 0u; k < stride; k++) {
        let evens = load_parts(b0 + k, stride);
        let odds = load_parts(b0 + stride + k, stride);
        s0 = add_eight(s0, a[a0 + k], evens, odds);
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
    let stride = params.inner / 8u;
    let a0 = row_start(at.row + lane);
    let a1 = row_start(at.row + 8u + lane);
    let b0 = 8u * at.source * stride;
    var s0 = start(at);
    var s1 = start(at);
    for (var k = 0u; k < stride; k++) {
        let evens = load_parts(b0 + k, stride);
        let odds = load_parts(b0 + stride + k, stride);
        s0 = add_eight(s0, a[a0 + k], evens, odds);
        s1 = add_eight(s1, a[a1 + k], evens, odds);
    }
    put_rows(at, at.row, s0);
    put_rows(at, at.row + 8u, s1);
}
