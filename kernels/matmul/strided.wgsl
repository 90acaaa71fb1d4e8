// out[M, N] = op(a)[M, K] · op(b)[K, N] (+ bias[N]) with any sizes and strides, element by element. For devices with
// subgroups of at least 8 lanes; rows.wgsl and prelude/stored_*.wgsl (for b) are appended.
// rows<R>: one workgroup per tile of R x 32 outputs.

struct Params {
    rows: u32,       // M
    columns: u32,    // N
    inner: u32,      // K
    a_row: u32,      // elements from one row of op(a) to the next
    a_inner: u32,    // elements from one inner step of op(a) to the next
    b_inner: u32,
    b_column: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<Stored>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

override ACCUMULATE: bool = false;   // add to out
override BIAS: bool = false;         // sums begin with bias

fn weight(i: u32) -> f32 {
    return one_of(b[i / PER_STORED], i);
}

fn put(at: Place, row: u32, sum: vec4f) {
    if (row < params.rows) {
        let column = 4u * at.column;
        let i = row * params.columns + column;
        put_one(i, column, sum.x);
        put_one(i + 1u, column + 1u, sum.y);
        put_one(i + 2u, column + 2u, sum.z);
        put_one(i + 3u, column + 3u, sum.w);
    }
}

fn put_one(i: u32, column: u32, sum: f32) {
    if (column < params.columns) {
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

// The lane's four columns; those beyond the last one repeat it.
fn columns_of(at: Place) -> vec4u {
    return min(4u * at.column + vec4u(0u, 1u, 2u, 3u), vec4u(params.columns - 1u));
}

fn start(columns: vec4u) -> Rows {
    if (BIAS) { return all_rows(vec4f(bias[columns.x], bias[columns.y], bias[columns.z], bias[columns.w])); }
    return Rows();
}

// Index in a of a lane's row; lanes beyond the last row repeat it.
fn row_start(row: u32) -> u32 {
    return min(row, params.rows - 1u) * params.a_row;
}

// Four steps of a row; zeros beyond the last step.
fn load_piece(row: u32, step: u32) -> vec4f {
    let last = params.inner - 1u;
    let steps = step + vec4u(0u, 1u, 2u, 3u);
    let i = row + min(steps, vec4u(last)) * params.a_inner;
    return select(vec4f(), vec4f(a[i.x], a[i.y], a[i.z], a[i.w]), steps <= vec4u(last));
}

// The lane's columns at four steps. Those beyond the last step repeat it: their factor is zero.
fn load_parts(columns: vec4u, step: u32) -> mat4x4f {
    return mat4x4f(
        load_part(columns, step),
        load_part(columns, step + 1u),
        load_part(columns, step + 2u),
        load_part(columns, step + 3u),
    );
}

fn load_part(columns: vec4u, step: u32) -> vec4f {
    let i = columns * params.b_column + min(step, params.inner - 1u) * params.b_inner;
    return vec4f(weight(i.x), weight(i.y), weight(i.z), weight(i.w));
}

@compute @workgroup_size(8)
fn rows8(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 8u, 4u, lane);
    let columns = columns_of(at);
    let a0 = row_start(at.row + lane);
    var s0 = start(columns);
    for (var k = 0u; k < params.inner; k += 4u) {
        let parts = load_parts(columns, k);
        s0 = add(s0, spread(load_piece(a0, k)), parts);
    }
    put_rows(at, at.row, s0);
}

@compute @workgroup_size(8)
fn rows32(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let at = place(wid.x + wid.y * nwg.x, 32u, 4u, lane);
    let columns = columns_of(at);
    let a0 = row_start(at.row + lane);
    let a1 = row_start(at.row + 8u + lane);
    let a2 = row_start(at.row + 16u + lane);
    let a3 = row_start(at.row + 24u + lane);
    var s0 = start(columns);
    var s1 = start(columns);
    var s2 = start(columns);
    var s3 = start(columns);
    for (var k = 0u; k < params.inner; k += 4u) {
        let parts = load_parts(columns, k);
        s0 = add(s0, spread(load_piece(a0, k)), parts);
        s1 = add(s1, spread(load_piece(a1, k)), parts);
        s2 = add(s2, spread(load_piece(a2, k)), parts);
        s3 = add(s3, spread(load_piece(a3, k)), parts);
    }
    put_rows(at, at.row, s0);
    put_rows(at, at.row + 8u, s1);
    put_rows(at, at.row + 16u, s2);
    put_rows(at, at.row + 24u, s3);
}
