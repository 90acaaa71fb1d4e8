// Sums and maxima in a fixed order. A NaN anywhere makes the result it belongs to NaN, for maxima too.
// segments4, segments1: y[first + s] = combine(x[s * width .. (s + 1) * width]), the last segment may be shorter. Rows
//   are segments; everything is reduced as segments, then as one segment of the results. One team per segment. The
//   first segment is written even if nothing is in use.
// columns4, columns1: x (rows, columns), y[chunk, c] = combine over the chunk's rows of x[row, c]; all rows are reduced
//   as chunks, then as one chunk of the results. One lane per column (or four) and chunk.
// spread: the gradient of a sum, dx[row, c] = dy[row * row_stride + c * column_stride]. One workgroup per row and block.
// The kernels ending in 4 read four elements at once: width, count or columns are counted in vectors of four.

override MAX: bool = false;         // largest instead of sum
override OWN_SPANS: bool = false;   // segments: each lane reads a span of its own instead of every LANES-th element
override CHUNK: u32 = 256u;         // spread: columns per workgroup

struct Params {
    count: u32,           // segments: elements of x in use
    width: u32,           // segments: elements per segment
    first: u32,           // segments: where in y to begin
    rows: u32,            // columns, spread
    columns: u32,         // columns, spread
    chunk_rows: u32,      // columns: rows per chunk
    chunks: u32,          // columns: number of chunks
    accumulate: u32,      // columns, spread: the result is combined with what is there
    row_stride: u32,      // spread: 0 or 1
    column_stride: u32,   // spread: 0 or 1
    initial: f32,         // what combines with anything to that: 0, or minus infinity
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x4: array<vec4f>;
@group(0) @binding(2) var<storage, read> x1: array<f32>;
@group(0) @binding(3) var<storage, read_write> y1: array<f32>;
@group(0) @binding(4) var<storage, read_write> y4: array<vec4f>;

// By its bits, because a compiler may assume that floats are numbers.
fn is_nan(v: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(v) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

fn combine(a: vec4f, b: vec4f) -> vec4f {
    if (MAX) { return select(b, a, ((b <= a) & !is_nan(b)) | is_nan(a)); }
    return a + b;
}

fn combine1(a: f32, b: f32) -> f32 {
    return combine(vec4f(a), vec4f(b)).x;
}

fn across(v: vec4f) -> f32 {
    return combine1(combine1(v.x, v.y), combine1(v.z, v.w));
}

fn team_combine(value: f32, lane: u32) -> f32 {
    if (MAX) {
        let nan = u32(is_nan(vec4f(value)).x);
        let largest = team_max(value, lane);
        let any_nan = team_max(f32(nan), lane);
        return select(largest, bitcast<f32>(u32(any_nan) * 0x7fc00000u), any_nan > 0.0);
    }
    return team_sum(value, lane);
}

@compute @workgroup_size(LANES)
fn segments4(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let segment = wid.x + wid.y * nwg.x;
    let begin = segment * params.width;
    if (begin >= params.count && segment > 0u) { return; }
    let end = min(begin + params.width, params.count);
    let span = (params.width + LANES - 1u) / LANES;
    let start = begin + select(lane, lane * span, OWN_SPANS);
    let stop = select(end, min(start + span, end), OWN_SPANS);
    let step = select(LANES, 1u, OWN_SPANS);
    var total = vec4f(params.initial);
    for (var i = start; i < stop; i += step) { total = combine(total, x4[i]); }
    let result = team_combine(across(total), lane);
    if (lane == 0u) { y1[params.first + segment] = result; }
}

@compute @workgroup_size(LANES)
fn segments1(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let segment = wid.x + wid.y * nwg.x;
    let begin = segment * params.width;
    if (begin >= params.count && segment > 0u) { return; }
    let end = min(begin + params.width, params.count);
    let span = (params.width + LANES - 1u) / LANES;
    let start = begin + select(lane, lane * span, OWN_SPANS);
    let stop = select(end, min(start + span, end), OWN_SPANS);
    let step = select(LANES, 1u, OWN_SPANS);
    var total = params.initial;
    for (var i = start; i < stop; i += step) { total = combine1(total, x1[i]); }
    let result = team_combine(total, lane);
    if (lane == 0u) { y1[params.first + segment] = result; }
}

@compute @workgroup_size(LANES)
fn columns4(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks = (params.columns + LANES - 1u) / LANES;
    let id = wid.x + wid.y * nwg.x;
    let chunk = id / blocks;
    let c = (id % blocks) * LANES + lane;
    if (chunk >= params.chunks || c >= params.columns) { return; }
    let begin = chunk * params.chunk_rows;
    let end = min(begin + params.chunk_rows, params.rows);
    var total = vec4f(params.initial);
    if (params.accumulate != 0u) { total = y4[chunk * params.columns + c]; }
    for (var row = begin; row < end; row++) {
        total = combine(total, x4[row * params.columns + c]);
    }
    y4[chunk * params.columns + c] = total;
}

@compute @workgroup_size(LANES)
fn columns1(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks = (params.columns + LANES - 1u) / LANES;
    let id = wid.x + wid.y * nwg.x;
    let chunk = id / blocks;
    let c = (id % blocks) * LANES + lane;
    if (chunk >= params.chunks || c >= params.columns) { return; }
    let begin = chunk * params.chunk_rows;
    let end = min(begin + params.chunk_rows, params.rows);
    var total = params.initial;
    if (params.accumulate != 0u) { total = y1[chunk * params.columns + c]; }
    for (var row = begin; row < end; row++) {
        total = combine1(total, x1[row * params.columns + c]);
    }
    y1[chunk * params.columns + c] = total;
}

@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(LANES)
fn spread(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks = (params.columns + CHUNK - 1u) / CHUNK;
    let id = wid.x + wid.y * nwg.x;
    let row = id / blocks;
    if (row >= params.rows) { return; }
    let begin = (id % blocks) * CHUNK;
    let end = min(begin + CHUNK, params.columns);
    for (var c = begin + lane; c < end; c += LANES) {
        var g = dy[row * params.row_stride + c * params.column_stride];
        if (params.accumulate != 0u) { g += dx[row * params.columns + c]; }
        dx[row * params.columns + c] = g;
    }
}
