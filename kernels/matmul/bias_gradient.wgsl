// dbias[N] = sum over rows of dy[M, N], in two passes of fixed order: sums of chunks of rows, then the chunks' sum.
// One invocation per column, and in the first pass per chunk of rows.

override LANES: u32 = 64u;
override ACCUMULATE: bool = false;   // add to dbias

struct Params {
    rows: u32,         // M
    columns: u32,      // N
    chunk_rows: u32,   // rows per chunk
    chunks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;    // (chunks, N)

@compute @workgroup_size(LANES)
fn chunk_sums(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks = (params.columns + LANES - 1u) / LANES;
    let id = wid.x + wid.y * nwg.x;
    let chunk = id / blocks;
    let column = (id % blocks) * LANES + lane;
    if (chunk >= params.chunks || column >= params.columns) { return; }
    let first = chunk * params.chunk_rows;
    let last = min(first + params.chunk_rows, params.rows);
    var sum = 0.0;
    for (var row = first; row < last; row++) {
        sum += dy[row * params.columns + column];
    }
    partial[chunk * params.columns + column] = sum;
}

@group(0) @binding(3) var<storage, read> partials: array<f32>;         // (chunks, N)
@group(0) @binding(4) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(LANES)
fn total(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = wid.x * LANES + lane;
    if (column >= params.columns) { return; }
    var sum = 0.0;
    if (ACCUMULATE) { sum = dbias[column]; }
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
        sum += partials[chunk * params.columns + column];
    }
    dbias[column] = sum;
}
