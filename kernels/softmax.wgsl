// Softmax of rows: y = exp(x - max) / sum(exp(x - max)); x, y, dy, dx (R, C).
// One team per row; the row is read again rather than its exponentials stored.
// forward4 and backward4 read four columns at once and need C to be a multiple of 4; forward1 and backward1 take any C.

struct Params {
    rows: u32,         // R
    columns: u32,      // C / 4 or C
    accumulate: u32,   // backward: dx is added to
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x4: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y4: array<vec4f>;
@group(0) @binding(3) var<storage, read> x1: array<f32>;
@group(0) @binding(4) var<storage, read_write> y1: array<f32>;

const LOWEST = -0x1.fffffep+127f;

@compute @workgroup_size(LANES)
fn forward4(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = wid.x + wid.y * nwg.x;
    if (row >= params.rows) { return; }
    let begin = row * params.columns;
    let end = begin + params.columns;
    var largest = vec4f(LOWEST);
    for (var i = begin + lane; i < end; i += LANES) { largest = max(largest, x4[i]); }
    let top = team_max(max(max(largest.x, largest.y), max(largest.z, largest.w)), lane);
    var total = vec4f();
    for (var i = begin + lane; i < end; i += LANES) { total += exp(x4[i] - top); }
    let scale = 1.0 / team_sum(dot(total, vec4f(1.0)), lane);
    for (var i = begin + lane; i < end; i += LANES) { y4[i] = exp(x4[i] - top) * scale; }
}

@compute @workgroup_size(LANES)
fn forward1(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = wid.x + wid.y * nwg.x;
    if (row >= params.rows) { return; }
    let begin = row * params.columns;
    let end = begin + params.columns;
    var largest = LOWEST;
    for (var i = begin + lane; i < end; i += LANES) { largest = max(largest, x1[i]); }
    let top = team_max(largest, lane);
    var total = 0.0;
    for (var i = begin + lane; i < end; i += LANES) { total += exp(x1[i] - top); }
    let scale = 1.0 / team_sum(total, lane);
    for (var i = begin + lane; i < end; i += LANES) { y1[i] = exp(x1[i] - top) * scale; }
}

@group(0) @binding(5) var<storage, read> saved4: array<vec4f>;         // y of the forward pass
@group(0) @binding(6) var<storage, read> dy4: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dx4: array<vec4f>;
@group(0) @binding(8) var<storage, read> saved1: array<f32>;
@group(0) @binding(9) var<storage, read> dy1: array<f32>;
@group(0) @binding(10) var<storage, read_write> dx1: array<f32>;

// dx = y * (dy - sum(y * dy))
@compute @workgroup_size(LANES)
fn backward4(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = wid.x + wid.y * nwg.x;
    if (row >= params.rows) { return; }
    let begin = row * params.columns;
    let end = begin + params.columns;
    var total = vec4f();
    for (var i = begin + lane; i < end; i += LANES) { total += saved4[i] * dy4[i]; }
    let along = team_sum(dot(total, vec4f(1.0)), lane);
    for (var i = begin + lane; i < end; i += LANES) {
        var g = saved4[i] * (dy4[i] - along);
        if (params.accumulate != 0u) { g += dx4[i]; }
        dx4[i] = g;
    }
}

@compute @workgroup_size(LANES)
fn backward1(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = wid.x + wid.y * nwg.x;
    if (row >= params.rows) { return; }
    let begin = row * params.columns;
    let end = begin + params.columns;
    var total = 0.0;
    for (var i = begin + lane; i < end; i += LANES) { total += saved1[i] * dy1[i]; }
    let along = team_sum(total, lane);
    for (var i = begin + lane; i < end; i += LANES) {
        var g = saved1[i] * (dy1[i] - along);
        if (params.accumulate != 0u) { g += dx1[i]; }
        dx1[i] = g;
    }
}
