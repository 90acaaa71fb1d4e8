// needs: pack, stored, workgroup
// out[M, N] = op(a)[M, K] · op(b)[K, N] (+ bias[N]) for graphics processors: tiles of a and b go through workgroup memory.
// op(a) is a[M, K] or the transpose of a[K, M], op(b) is b[K, N] or the transpose of b[N, K]; the last size of a, of b and
// of out is a multiple of 4.
//   tile16   16 x 32 outputs per workgroup of 64 invocations, 2 x 4 to each: for few rows, as decoding has them
//   tile64   64 x 64 outputs per workgroup of 128 invocations, 8 x 4 to each: enough workgroups for small products
//   tile128  128 x 128 outputs per workgroup of 256 invocations, 8 x 8 to each: fewer loads per product
// The inner size is cut into `splits` ranges of `split_inner` (a multiple of 16) steps. With more than one, out holds
// (splits, M, N) and partial_sums adds them up, so that small outputs of long sums fill the device as well.
// While a tile is multiplied the next one is on its way into registers.

struct Params {
    rows: u32,          // M
    columns: u32,       // N
    inner: u32,         // K
    splits: u32,
    split_inner: u32,   // steps per split
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<Stored>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override ACCUMULATE: bool = false;   // sums begin with out
override BIAS: bool = false;         // and those of the first split with bias

const STEPS = 16u;                   // inner steps per tile

// Four rows (of op(a), or columns of op(b)) by four inner steps, loaded by one invocation: a column per step.
fn along_inner(r0: vec4f, r1: vec4f, r2: vec4f, r3: vec4f, inside: bool) -> mat4x4f {
    let zero = vec4f();
    return transpose(mat4x4f(
        select(zero, r0, inside),
        select(zero, r1, inside),
        select(zero, r2, inside),
        select(zero, r3, inside),
    ));
}

// Rows beyond the last one repeat it, they are not stored; steps beyond `end` are zero.
fn load_a(row4: u32, step: u32, end: u32) -> mat4x4f {
    if (TRANSPOSE_A) {
        let stride = params.rows / 4u;
        let column = min(row4, stride - 1u);
        let last = params.inner - 1u;
        return mat4x4f(
            select(vec4f(), a[min(step, last) * stride + column], step < end),
            select(vec4f(), a[min(step + 1u, last) * stride + column], step + 1u < end),
            select(vec4f(), a[min(step + 2u, last) * stride + column], step + 2u < end),
            select(vec4f(), a[min(step + 3u, last) * stride + column], step + 3u < end),
        );
    }
    let stride = params.inner / 4u;
    let column = min(step / 4u, stride - 1u);
    let last = params.rows - 1u;
    return along_inner(
        a[min(4u * row4, last) * stride + column],
        a[min(4u * row4 + 1u, last) * stride + column],
        a[min(4u * row4 + 2u, last) * stride + column],
        a[min(4u * row4 + 3u, last) * stride + column],
        step < end,
    );
}

fn load_b(column4: u32, step: u32, end: u32) -> mat4x4f {
    if (TRANSPOSE_B) {
        let stride = params.inner / 4u;
        let column = min(step / 4u, stride - 1u);
        let row = min(column4, params.columns / 4u - 1u) * 4u * stride + column;
        return along_inner(
            stored_even(b[row]),
            stored_even(b[row + stride]),
            stored_even(b[row + 2u * stride]),
            stored_even(b[row + 3u * stride]),
            step < end,
        );
    }
    let stride = params.columns / 4u;
    let column = min(column4, stride - 1u);
    let last = params.inner - 1u;
    return mat4x4f(
        select(vec4f(), stored_even(b[min(step, last) * stride + column]), step < end),
        select(vec4f(), stored_even(b[min(step + 1u, last) * stride + column]), step + 1u < end),
        select(vec4f(), stored_even(b[min(step + 2u, last) * stride + column]), step + 2u < end),
        select(vec4f(), stored_even(b[min(step + 3u, last) * stride + column]), step + 3u < end),
    );
}

// Which four rows (or columns) and which of some groups of steps an invocation loads, for tiles of 4 * width rows: neighbours
// load along the axis that is contiguous in memory.
fn share(id: u32, width: u32, groups: u32, inner_is_contiguous: bool) -> vec2u {
    if (inner_is_contiguous) { return vec2u(id / groups, id % groups); }
    return vec2u(id % width, id / width);
}

// The running sums of eight rows and four columns.
struct Rows {
    r0: vec4f, r1: vec4f, r2: vec4f, r3: vec4f, r4: vec4f, r5: vec4f, r6: vec4f, r7: vec4f,
}

fn start(split: u32, row: u32, column4: u32) -> vec4f {
    let stride = params.columns / 4u;
    let column = min(column4, stride - 1u);
    var first = vec4f();
    if (BIAS && split == 0u) { first = bias[column]; }
    if (ACCUMULATE) {
        let i = (min(split, params.splits - 1u) * params.rows + min(row, params.rows - 1u)) * stride;
        first += out[i + column];
    }
    return first;
}

fn start_rows(split: u32, row: u32, apart: u32, column4: u32) -> Rows {
    return Rows(
        start(split, row, column4),
        start(split, row + 1u, column4),
        start(split, row + 2u, column4),
        start(split, row + 3u, column4),
        start(split, row + apart, column4),
        start(split, row + apart + 1u, column4),
        start(split, row + apart + 2u, column4),
        start(split, row + apart + 3u, column4),
    );
}

fn add(sum: Rows, p: vec4f, q: vec4f, columns: vec4f) -> Rows {
    return Rows(
        sum.r0 + p.x * columns,
        sum.r1 + p.y * columns,
        sum.r2 + p.z * columns,
        sum.r3 + p.w * columns,
        sum.r4 + q.x * columns,
        sum.r5 + q.y * columns,
        sum.r6 + q.z * columns,
        sum.r7 + q.w * columns,
    );
}

fn put(split: u32, row: u32, column4: u32, sum: vec4f) {
    let stride = params.columns / 4u;
    if (row < params.rows && column4 < stride && split < params.splits) {
        out[(split * params.rows + row) * stride + column4] = sum;
    }
}

fn put_rows(split: u32, row: u32, apart: u32, column4: u32, sum: Rows) {
    put(split, row, column4, sum.r0);
    put(split, row + 1u, column4, sum.r1);
    put(split, row + 2u, column4, sum.r2);
    put(split, row + 3u, column4, sum.r3);
    put(split, row + apart, column4, sum.r4);
    put(split, row + apart + 1u, column4, sum.r5);
    put(split, row + apart + 2u, column4, sum.r6);
    put(split, row + apart + 3u, column4, sum.r7);
}

// Tiles in workgroup memory are (STEPS, rows / 4). Which four steps a row of it belongs to decides how its columns are
// permuted, so that invocations that write four different steps do not meet in one bank.
fn bank(steps: u32, column: u32) -> u32 {
    return column ^ (2u * steps);
}

const FEW_STEPS = 32u;               // inner steps per tile of tile16

var<workgroup> a16: array<vec4f, 128>;   // (FEW_STEPS, 16 / 4)
var<workgroup> b16: array<vec4f, 256>;   // (FEW_STEPS, 32 / 4)

@compute @workgroup_size(64)
fn tile16(group: Workgroup, @builtin(local_invocation_index) id: u32) {
    let across = (params.columns + 31u) / 32u;
    let tiles = across * ((params.rows + 15u) / 16u);
    let tile = number_of(group) % tiles;
    let split = number_of(group) / tiles;
    let row4 = (tile / across) * 4u;
    let column4 = (tile % across) * 8u;
    let first = split * params.split_inner;
    let end = min(first + params.split_inner, params.inner);
    let y = id / 8u;
    let x = id % 8u;
    // All invocations load b, half of them a too.
    let of_b = share(id, 8u, 8u, TRANSPOSE_B);
    let of_a = share(id % 32u, 4u, 8u, !TRANSPOSE_A);
    let loads_a = id < 32u;

    var r0 = start(split, 4u * row4 + 2u * y, column4 + x);
    var r1 = start(split, 4u * row4 + 2u * y + 1u, column4 + x);
    var next_a: mat4x4f;
    if (loads_a) { next_a = load_a(row4 + of_a.x, first + 4u * of_a.y, end); }
    var next_b = load_b(column4 + of_b.x, first + 4u * of_b.y, end);
    for (var step = first; step < end; step += FEW_STEPS) {
        workgroupBarrier();
        if (loads_a) {
            let to = 16u * of_a.y + of_a.x;
            a16[to] = next_a[0];
            a16[to + 4u] = next_a[1];
            a16[to + 8u] = next_a[2];
            a16[to + 12u] = next_a[3];
            next_a = load_a(row4 + of_a.x, step + FEW_STEPS + 4u * of_a.y, end);
        }
        let to = 32u * of_b.y + of_b.x;
        b16[to] = next_b[0];
        b16[to + 8u] = next_b[1];
        b16[to + 16u] = next_b[2];
        b16[to + 24u] = next_b[3];
        next_b = load_b(column4 + of_b.x, step + FEW_STEPS + 4u * of_b.y, end);
        workgroupBarrier();
        for (var k = 0u; k < FEW_STEPS; k++) {
            let four = a16[4u * k + y / 2u];
            let two = select(four.xy, four.zw, y % 2u == 1u);
            let columns = b16[8u * k + x];
            r0 += two.x * columns;
            r1 += two.y * columns;
        }
    }
    put(split, 4u * row4 + 2u * y, column4 + x, r0);
    put(split, 4u * row4 + 2u * y + 1u, column4 + x, r1);
}

var<workgroup> a64: array<vec4f, 256>;
var<workgroup> b64: array<vec4f, 256>;

@compute @workgroup_size(128)
fn tile64(group: Workgroup, @builtin(local_invocation_index) id: u32) {
    let across = (params.columns + 63u) / 64u;
    let tiles = across * ((params.rows + 63u) / 64u);
    let tile = number_of(group) % tiles;
    let split = number_of(group) / tiles;
    let row4 = (tile / across) * 16u;
    let column4 = (tile % across) * 16u;
    let first = split * params.split_inner;
    let end = min(first + params.split_inner, params.inner);
    let y = id / 16u;
    let x = id % 16u;
    // Half of the invocations load a, the others b.
    let loads_a = id < 64u;
    let mine = share(id % 64u, 16u, 4u, select(TRANSPOSE_B, !TRANSPOSE_A, loads_a));
    let to = mine.y * 64u + bank(mine.y, mine.x);

    var sum = start_rows(split, 4u * (row4 + y), 32u, column4 + x);
    var next: mat4x4f;
    if (loads_a) {
        next = load_a(row4 + mine.x, first + 4u * mine.y, end);
    } else {
        next = load_b(column4 + mine.x, first + 4u * mine.y, end);
    }
    for (var step = first; step < end; step += STEPS) {
        workgroupBarrier();
        if (loads_a) {
            a64[to] = next[0];
            a64[to + 16u] = next[1];
            a64[to + 32u] = next[2];
            a64[to + 48u] = next[3];
            next = load_a(row4 + mine.x, step + STEPS + 4u * mine.y, end);
        } else {
            b64[to] = next[0];
            b64[to + 16u] = next[1];
            b64[to + 32u] = next[2];
            b64[to + 48u] = next[3];
            next = load_b(column4 + mine.x, step + STEPS + 4u * mine.y, end);
        }
        workgroupBarrier();
        for (var steps = 0u; steps < 4u; steps++) {
            let p = steps * 64u + bank(steps, y);
            let q = steps * 64u + bank(steps, x);
            sum = add(sum, a64[p], a64[p + 8u], b64[q]);
            sum = add(sum, a64[p + 16u], a64[p + 24u], b64[q + 16u]);
            sum = add(sum, a64[p + 32u], a64[p + 40u], b64[q + 32u]);
            sum = add(sum, a64[p + 48u], a64[p + 56u], b64[q + 48u]);
        }
    }
    put_rows(split, 4u * (row4 + y), 32u, column4 + x, sum);
}

var<workgroup> a128: array<vec4f, 512>;
var<workgroup> b128: array<vec4f, 512>;

@compute @workgroup_size(256)
fn tile128(group: Workgroup, @builtin(local_invocation_index) id: u32) {
    let across = (params.columns + 127u) / 128u;
    let tiles = across * ((params.rows + 127u) / 128u);
    let tile = number_of(group) % tiles;
    let split = number_of(group) / tiles;
    let row4 = (tile / across) * 32u;
    let column4 = (tile % across) * 32u;
    let first = split * params.split_inner;
    let end = min(first + params.split_inner, params.inner);
    let y = id / 16u;
    let x = id % 16u;
    // Half of the invocations load a, the others b.
    let loads_a = id < 128u;
    let mine = share(id % 128u, 32u, 4u, select(TRANSPOSE_B, !TRANSPOSE_A, loads_a));
    let to = mine.y * 128u + bank(mine.y, mine.x);

    var left = start_rows(split, 4u * (row4 + y), 64u, column4 + x);
    var right = start_rows(split, 4u * (row4 + y), 64u, column4 + x + 16u);
    var next: mat4x4f;
    if (loads_a) {
        next = load_a(row4 + mine.x, first + 4u * mine.y, end);
    } else {
        next = load_b(column4 + mine.x, first + 4u * mine.y, end);
    }
    for (var step = first; step < end; step += STEPS) {
        workgroupBarrier();
        if (loads_a) {
            a128[to] = next[0];
            a128[to + 32u] = next[1];
            a128[to + 64u] = next[2];
            a128[to + 96u] = next[3];
            next = load_a(row4 + mine.x, step + STEPS + 4u * mine.y, end);
        } else {
            b128[to] = next[0];
            b128[to + 32u] = next[1];
            b128[to + 64u] = next[2];
            b128[to + 96u] = next[3];
            next = load_b(column4 + mine.x, step + STEPS + 4u * mine.y, end);
        }
        workgroupBarrier();
        for (var steps = 0u; steps < 4u; steps++) {
            var p = steps * 128u + bank(steps, y);
            var q = steps * 128u + bank(steps, x);
            for (var i = 0u; i < 4u; i++) {
                let upper = a128[p];
                let lower = a128[p + 16u];
                left = add(left, upper, lower, b128[q]);
                right = add(right, upper, lower, b128[q + 16u]);
                p += 32u;
                q += 32u;
            }
        }
    }
    put_rows(split, 4u * (row4 + y), 64u, column4 + x, left);
    put_rows(split, 4u * (row4 + y), 64u, column4 + x + 16u, right);
}
