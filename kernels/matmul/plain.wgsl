// needs: strides, pack, stored, workgroup
// out[M, N] = op(a)[M, K] · op(b)[K, N] (+ bias[N]) with any sizes and strides, element by element, on any device.
// One workgroup of 64 invocations per tile of 32 x 32 outputs, 4 x 4 to each invocation: rows next to each other, columns
// eight apart, so that neighbours load neighbouring columns. The sum runs over the inner size in ascending order.

struct Params {
    rows: u32,      // M
    columns: u32,   // N
    inner: u32,     // K
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<Stored>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

override ACCUMULATE: bool = false;   // sums begin with out
override BIAS: bool = false;         // and with bias

fn start(row: u32, columns: vec4u) -> vec4f {
    var first = vec4f();
    if (BIAS) { first = vec4f(bias[columns.x], bias[columns.y], bias[columns.z], bias[columns.w]); }
    if (ACCUMULATE) {
        let i = row * params.columns + columns;
        first += vec4f(out[i.x], out[i.y], out[i.z], out[i.w]);
    }
    return first;
}

fn put(row: u32, column: u32, sum: f32) {
    if (row < params.rows && column < params.columns) {
        let i = row * params.columns + column;
        out[i] = sum;
    }
}

fn put_row(row: u32, columns: vec4u, sum: vec4f) {
    put(row, columns.x, sum.x);
    put(row, columns.y, sum.y);
    put(row, columns.z, sum.z);
    put(row, columns.w, sum.w);
}

@compute @workgroup_size(64)
fn tile32(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let tile = number_of(group);
    let across = (params.columns + 31u) / 32u;
    let row = (tile / across) * 32u + (lane / 8u) * 4u;
    let columns = (tile % across) * 32u + lane % 8u + vec4u(0u, 8u, 16u, 24u);
    // Beyond the edges the last row and column are loaded again and nothing is stored.
    let from_column = min(columns, vec4u(params.columns - 1u));
    let from_row = min(row + vec4u(0u, 1u, 2u, 3u), vec4u(params.rows - 1u));
    var s0 = start(from_row.x, from_column);
    var s1 = start(from_row.y, from_column);
    var s2 = start(from_row.z, from_column);
    var s3 = start(from_row.w, from_column);
    var i = from_row * a_row();
    var j = from_column * b_column();
    for (var k = 0u; k < params.inner; k++) {
        let part = vec4f(weight(j.x), weight(j.y), weight(j.z), weight(j.w));
        s0 += a[i.x] * part;
        s1 += a[i.y] * part;
        s2 += a[i.z] * part;
        s3 += a[i.w] * part;
        i += a_inner();
        j += b_inner();
    }
    put_row(row, columns, s0);
    put_row(row + 1u, columns, s1);
    put_row(row + 2u, columns, s2);
    put_row(row + 3u, columns, s3);
}
