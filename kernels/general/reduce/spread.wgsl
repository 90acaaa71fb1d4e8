// needs: team, workgroup
// The gradient of a sum: dx[row, c] (+)= dy[row * row_stride + c * column_stride]. One workgroup per row and block of columns.

override CHUNK: u32 = 256u;   // columns per workgroup

struct Params {
    rows: u32,
    columns: u32,
    accumulate: u32,      // dx is added to
    row_stride: u32,      // 0 or 1
    column_stride: u32,   // 0 or 1
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(LANES)
fn spread(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let blocks = (params.columns + CHUNK - 1u) / CHUNK;
    let id = number_of(group);
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
