// needs: workgroup
// SwiGLU (Shazeer 2020): y = silu(gate) * up, with silu(g) = g / (1 + exp(-g)).
// gate_up, dgate_up (T, 2F): each row holds the F gates, then the F ups; y, dy (T, F). F is a multiple of 4: the last
// axis is read as vec4. One workgroup per row and block of columns.

override LANES: u32 = 64u;
override CHUNK: u32 = 256u;   // columns (vec4) per workgroup

struct Params {
    rows: u32,         // T
    columns: u32,      // F / 4
    accumulate: u32,   // backward: dgate_up is added to
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate_up: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(LANES)
fn forward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let blocks = (params.columns + CHUNK - 1u) / CHUNK;
    let id = number_of(group);
    let row = id / blocks;
    if (row >= params.rows) { return; }
    let first = (id % blocks) * CHUNK;
    let last = min(first + CHUNK, params.columns);
    let gates = 2u * row * params.columns;
    let ups = gates + params.columns;
    for (var c = first + lane; c < last; c += LANES) {
        let g = gate_up[gates + c];
        y[row * params.columns + c] = g / (1.0 + exp(-g)) * gate_up[ups + c];
    }
}

@group(0) @binding(3) var<storage, read> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dgate_up: array<vec4f>;

// dup = dy * silu(g);  dgate = dy * up * s * (1 + g * (1 - s)), with s = 1 / (1 + exp(-g))
@compute @workgroup_size(LANES)
fn backward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let blocks = (params.columns + CHUNK - 1u) / CHUNK;
    let id = number_of(group);
    let row = id / blocks;
    if (row >= params.rows) { return; }
    let first = (id % blocks) * CHUNK;
    let last = min(first + CHUNK, params.columns);
    let gates = 2u * row * params.columns;
    let ups = gates + params.columns;
    for (var c = first + lane; c < last; c += LANES) {
        let g = gate_up[gates + c];
        let d = dy[row * params.columns + c];
        let s = 1.0 / (1.0 + exp(-g));
        var dgate = d * gate_up[ups + c] * s * (1.0 + g * (1.0 - s));
        var dup = d * g * s;
        if (params.accumulate != 0u) {
            dgate += dgate_up[gates + c];
            dup += dgate_up[ups + c];
        }
        dgate_up[gates + c] = dgate;
        dgate_up[ups + c] = dup;
    }
}
