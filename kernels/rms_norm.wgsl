// RMSNorm with an optional residual sum before it (Zhang & Sennrich 2019):
//   sum = x + delta;  rstd = 1 / sqrt(mean(sum^2) + eps);  normed = sum * rstd * weight
// x, delta, sum, normed (T, C); weight (C); rstd (T). C is a multiple of 4: the last axis is read as vec4.
// forward: one team per row. backward: one team per chunk of rows. backward_weight: one lane per four columns.

struct Params {
    rows: u32,         // T
    columns: u32,      // C / 4
    eps: f32,
    has_delta: u32,    // forward: delta is added and sum is written
    has_dsum: u32,     // backward: dsum is added to dx
    chunk_rows: u32,   // backward: rows per chunk
    chunks: u32,       // backward*: number of chunks
    slots: u32,        // backward_weight: room for chunks in partials, per norm
    norms: u32,        // backward_weight: number of norms
    norm_stride: u32,  // backward_weight: vec4s from one norm's dweight to the next
    accumulate: u32,   // backward_weight: add to dweight
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> delta: array<vec4f>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> normed: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = wid.x + wid.y * nwg.x;
    if (row >= params.rows) { return; }
    let begin = row * params.columns;
    var squares = 0.0;
    for (var c = lane; c < params.columns; c += LANES) {
        var v = x[begin + c];
        if (params.has_delta != 0u) {
            v += delta[begin + c];
            sum[begin + c] = v;
        }
        squares += dot(v, v);
    }
    let mean = team_sum(squares, lane) / f32(4u * params.columns);
    let scale = inverseSqrt(mean + params.eps);
    for (var c = lane; c < params.columns; c += LANES) {
        var v = x[begin + c];
        if (params.has_delta != 0u) { v += delta[begin + c]; }
        normed[begin + c] = v * scale * weight[c];
    }
    if (lane == 0u) { rstd[row] = scale; }
}

@group(0) @binding(7) var<storage, read> dnormed: array<vec4f>;
@group(0) @binding(8) var<storage, read> dsum: array<vec4f>;
@group(0) @binding(9) var<storage, read> saved_rstd: array<f32>;
@group(0) @binding(10) var<storage, read_write> dx: array<vec4f>;

@group(0) @binding(11) var<storage, read_write> partial: array<vec4f>;   // (chunks, C)

// dx = rstd * (w * dy - xhat * mean(w * dy * xhat)) + dsum, with xhat = x * rstd; x is the saved sum.
// partial[chunk, c] = sum over the chunk's rows of dy * xhat
@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let chunk = wid.x + wid.y * nwg.x;
    if (chunk >= params.chunks) { return; }
    let first = chunk * params.chunk_rows;
    let last = min(first + params.chunk_rows, params.rows);
    let to = chunk * params.columns;
    for (var row = first; row < last; row++) {
        let begin = row * params.columns;
        let scale = saved_rstd[row];
        var along = 0.0;
        for (var c = lane; c < params.columns; c += LANES) {
            along += dot(weight[c] * dnormed[begin + c], x[begin + c]);
        }
        let mean = team_sum(along, lane) * scale / f32(4u * params.columns);
        for (var c = lane; c < params.columns; c += LANES) {
            let dy = dnormed[begin + c];
            let xhat = x[begin + c] * scale;
            var g = scale * (weight[c] * dy - xhat * mean);
            if (params.has_dsum != 0u) { g += dsum[begin + c]; }
            dx[begin + c] = g;
            // Only this lane touches the element, so the running sum needs no barrier.
            var total = dy * xhat;
            if (row > first) { total += partial[to + c]; }
            partial[to + c] = total;
        }
    }
}

@group(0) @binding(12) var<storage, read> partials: array<vec4f>;        // (norms, slots, C)
@group(0) @binding(13) var<storage, read_write> dweight: array<vec4f>;   // (norms, C), norm_stride apart

// dweight (+)= sum over chunks, for several norms at once
@compute @workgroup_size(LANES)
fn backward_weight(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks = (params.columns + LANES - 1u) / LANES;
    let id = wid.x + wid.y * nwg.x;
    let norm = id / blocks;
    let c = (id % blocks) * LANES + lane;
    if (norm >= params.norms || c >= params.columns) { return; }
    let to = norm * params.norm_stride + c;
    var total = vec4f();
    if (params.accumulate != 0u) { total = dweight[to]; }
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
        total += partials[(norm * params.slots + chunk) * params.columns + c];
    }
    dweight[to] = total;
}
