// needs: workgroup
// Takes a token out of a distribution: logits[t, column] = so little that its probability is exactly 0.
// logits (T, V), of which one column is written. One workgroup per chunk of rows.

override LANES: u32 = 64u;
override CHUNK: u32 = 256u;   // rows per workgroup

struct Params {
    rows: u32,                // T
    columns: u32,             // V
    column: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;

// Far below any logit, and still finite when it is divided by a small temperature.
const EXCLUDED = -1e30f;

@compute @workgroup_size(LANES)
fn main(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let first = number_of(group) * CHUNK;
    let last = min(first + CHUNK, params.rows);
    for (var row = first + lane; row < last; row += LANES) {
        logits[row * params.columns + params.column] = EXCLUDED;
    }
}
