// needs: workgroup
// Brings N values in item order to a matrix: matrix[b, t] = values[i], b = item_sequences[i], t = item_positions[i].
// values (N); matrix (B, M), of which only the places of the items are written. No two items have one place.
// One workgroup per chunk.

override LANES: u32 = 64u;
override CHUNK: u32 = 256u;   // items per workgroup

struct Params {
    items: u32,               // N
    stride: u32,              // M
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> item_sequences: array<u32>;
@group(0) @binding(3) var<storage, read> item_positions: array<u32>;
@group(0) @binding(4) var<storage, read_write> matrix: array<f32>;

@compute @workgroup_size(LANES)
fn main(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let first = number_of(group) * CHUNK;
    let last = min(first + CHUNK, params.items);
    for (var i = first + lane; i < last; i += LANES) {
        matrix[item_sequences[i] * params.stride + item_positions[i]] = values[i];
    }
}
