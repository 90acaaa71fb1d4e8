// needs: workgroup
// partials[chunk, N] = sum over a chunk of rows of dy[M, N], which partial_sums adds up to the gradient of a bias.
// One invocation per column and chunk.

override LANES: u32 = 64u;

struct Params {
    rows: u32,         // M
    columns: u32,      // N
    chunk_rows: u32,   // rows per chunk
    chunks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;   // (chunks, N)

@compute @workgroup_size(LANES)
fn chunk_sums(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let blocks = (params.columns + LANES - 1u) / LANES;
    let id = number_of(group);
    let chunk = id / blocks;
    let column = (id % blocks) * LANES + lane;
    if (chunk >= params.chunks || column >= params.columns) { return; }
    let first = chunk * params.chunk_rows;
    let last = min(first + params.chunk_rows, params.rows);
    var sum = 0.0;
    for (var row = first; row < last; row++) {
        sum += dy[row * params.columns + column];
    }
    partials[chunk * params.columns + column] = sum;
}
