// needs: pack, rows, numbers, workgroup
// Softmax of rows: y = exp(x - max) / sum(exp(x - max)); x, y, dy, dx (R, C).
// Maximum and sum are taken in one pass,
// as Milakov & Gimelshein 2018 do; the row is then read again rather than its exponentials stored.

struct Params {
    rows: u32,         // R
    columns: u32,      // packs per row
    accumulate: u32,   // backward: dx is added to
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read_write> y: array<Pack>;

const LOWEST = -0x1.fffffep+127f;

@compute @workgroup_size(LANES)
fn forward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let row = row_of(number_of(group), lane, params.rows);
    if (row >= params.rows) { return; }
    let begin = row * params.columns;
    let end = begin + params.columns;
    var largest = LOWEST;
    var total = Part();
    for (var i = begin + first_pack(lane); i < end; i += PACK_STEP) {
        let pack = x[i];
        let a = even(pack);
        let b = odd(pack);
        let before = largest;
        largest = max(before, max_part(max_parts(a, b)));
        total = total * exp(before - largest) + sum_parts(exp(a - largest), exp(b - largest));
    }
    let top = row_max(largest, lane);
    let scale = 1.0 / softmax_sum(row_sum(sum_part(total) * exp(largest - top), lane));
    for (var i = begin + first_pack(lane); i < end; i += PACK_STEP) {
        let pack = x[i];
        y[i] = join(exp(even(pack) - top) * scale, exp(odd(pack) - top) * scale);
    }
}

@group(0) @binding(3) var<storage, read> saved: array<Pack>;         // y of the forward pass
@group(0) @binding(4) var<storage, read> dy: array<Pack>;
@group(0) @binding(5) var<storage, read_write> dx: array<Pack>;

// dx = y * (dy - sum(y * dy))
@compute @workgroup_size(LANES)
fn backward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let row = row_of(number_of(group), lane, params.rows);
    if (row >= params.rows) { return; }
    let begin = row * params.columns;
    let end = begin + params.columns;
    var total = Part();
    for (var i = begin + first_pack(lane); i < end; i += PACK_STEP) {
        let p = saved[i];
        let g = dy[i];
        total += sum_parts(even(p) * even(g), odd(p) * odd(g));
    }
    let along = row_sum(sum_part(total), lane);
    for (var i = begin + first_pack(lane); i < end; i += PACK_STEP) {
        let p = saved[i];
        let g = dy[i];
        var a = even(p) * (even(g) - along);
        var b = odd(p) * (odd(g) - along);
        if (params.accumulate != 0u) {
            let before = dx[i];
            a += even(before);
            b += odd(before);
        }
        dx[i] = join(a, b);
    }
}
