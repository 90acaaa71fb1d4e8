// needs: pack, rows, workgroup
// RMSNorm with an optional residual sum before it (Zhang & Sennrich 2019):
//   sum = x + delta;  rstd = 1 / sqrt(mean(sum^2) + eps);  normed = sum * rstd * weight
// x, delta, sum, normed (T, C); weight (C); rstd (T).
// forward: rows are shared out. backward: chunks of rows are; partial_sums adds up what they leave.

struct Params {
    rows: u32,         // T
    columns: u32,      // packs per row
    eps: f32,
    inverse_width: f32,   // 1 / C
    has_delta: u32,    // forward: delta is added and sum is written
    has_dsum: u32,     // backward: dsum is added to dx
    chunk_rows: u32,   // backward: rows per chunk
    chunks: u32,       // backward: number of chunks
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read> delta: array<Pack>;
@group(0) @binding(3) var<storage, read> weight: array<Pack>;
@group(0) @binding(4) var<storage, read_write> sum: array<Pack>;
@group(0) @binding(5) var<storage, read_write> normed: array<Pack>;
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;

@compute @workgroup_size(LANES)
fn forward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let row = row_of(number_of(group), lane, params.rows);
    if (row >= params.rows) { return; }
    let begin = row * params.columns;
    var squares = Part();
    for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
        let pack = x[begin + c];
        var a = even(pack);
        var b = odd(pack);
        if (params.has_delta != 0u) {
            let more = delta[begin + c];
            a += even(more);
            b += odd(more);
            sum[begin + c] = join(a, b);
        }
        squares += sum_parts(a * a, b * b);
    }
    let mean = row_sum(sum_part(squares), lane) * params.inverse_width;
    let scale = inverseSqrt(mean + params.eps);
    for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
        // The lane reads what it has written itself.
        var pack = x[begin + c];
        if (params.has_delta != 0u) { pack = sum[begin + c]; }
        let w = weight[c];
        normed[begin + c] = join(even(pack) * scale * even(w), odd(pack) * scale * odd(w));
    }
    if (writes_row(lane)) { rstd[row] = scale; }
}

@group(0) @binding(7) var<storage, read> dnormed: array<Pack>;
@group(0) @binding(8) var<storage, read> dsum: array<Pack>;
@group(0) @binding(9) var<storage, read> saved_rstd: array<f32>;
@group(0) @binding(10) var<storage, read_write> dx: array<Pack>;

@group(0) @binding(11) var<storage, read_write> partials: array<Pack>;   // (chunks, C)

// dx = rstd * (w * dy - xhat * mean(w * dy * xhat)) + dsum, with xhat = x * rstd; x is the saved sum.
// partials[chunk, c] = sum over the chunk's rows of dy * xhat
@compute @workgroup_size(LANES)
fn backward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let chunk = row_of(number_of(group), lane, params.chunks);
    let to = chunk * params.columns;
    let first = chunk * params.chunk_rows;
    let last = min(first + params.chunk_rows, params.rows);
    for (var row = first; row < last; row++) {
        let begin = row * params.columns;
        let scale = saved_rstd[row];
        var total = Part();
        for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
            let w = weight[c];
            let dy = dnormed[begin + c];
            let value = x[begin + c];
            total += sum_parts(even(w) * even(dy) * even(value), odd(w) * odd(dy) * odd(value));
        }
        let along = row_sum(sum_part(total), lane) * scale * params.inverse_width;
        for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
            let w = weight[c];
            let dy = dnormed[begin + c];
            let value = x[begin + c];
            let xhat_even = even(value) * scale;
            let xhat_odd = odd(value) * scale;
            var a = scale * (even(w) * even(dy) - xhat_even * along);
            var b = scale * (odd(w) * odd(dy) - xhat_odd * along);
            if (params.has_dsum != 0u) {
                let more = dsum[begin + c];
                a += even(more);
                b += odd(more);
            }
            dx[begin + c] = join(a, b);
            // Only this lane touches the pack, so the running sum needs no barrier.
            var sum_even = even(dy) * xhat_even;
            var sum_odd = odd(dy) * xhat_odd;
            if (row > first) {
                let before = partials[to + c];
                sum_even += even(before);
                sum_odd += odd(before);
            }
            partials[to + c] = join(sum_even, sum_odd);
        }
    }
}
