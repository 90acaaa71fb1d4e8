// Euclidean norm of a flat array x (n), in two stages with a fixed order and without overflow below the largest f32.
// n is a multiple of 4: x is read as vec4.
// partial_norms: one team per chunk. total_norm: one team.
// Norms combine as S * sqrt(sum((norm / S)^2)) with S the largest of them, so that only the result can overflow.
// A NaN or an infinity anywhere makes the result NaN or infinite.

struct Params {
    count: u32,           // partial_norms: n / 4 of this range; total_norm: number of partials
    first_partial: u32,   // partial_norms: where this range's partials begin
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

override CHUNK: u32 = 16384u;       // vec4 per chunk
override OWN_SPANS: bool = false;   // each lane reads a span of its own instead of every LANES-th element

const SHRINK = 0x1p-80f;
const GROW = 0x1p+80f;
const LARGEST = 0x1.fffffep+127f;

// The norm of all lanes' norms.
fn team_norm(norm: f32, lane: u32) -> f32 {
    let largest = team_max(norm, lane);
    // Also keeps 0 / 0 and a quotient that overflows out.
    let scale = max(largest, 0x1p-100f);
    let part = norm / scale;
    return scale * sqrt(team_sum(part * part, lane));
}

@compute @workgroup_size(LANES)
fn partial_norms(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let chunk = wid.x + wid.y * nwg.x;
    let first = chunk * CHUNK;
    if (first >= params.count) { return; }
    let last = min(first + CHUNK, params.count);
    let span = (CHUNK + LANES - 1u) / LANES;
    let start = first + select(lane, lane * span, OWN_SPANS);
    let stop = select(last, min(start + span, last), OWN_SPANS);
    let step = select(LANES, 1u, OWN_SPANS);
    var squares = vec4f();
    for (var i = start; i < stop; i += step) {
        let v = x[i];
        squares += v * v;
    }
    var norm = sqrt(dot(squares, vec4f(1.0)));
    // Squares of gradients beyond 2^64 overflow: sum them again on a smaller scale.
    if (!(norm <= LARGEST)) {
        squares = vec4f();
        for (var i = start; i < stop; i += step) {
            let v = x[i] * SHRINK;
            squares += v * v;
        }
        norm = sqrt(dot(squares, vec4f(1.0))) * GROW;
    }
    let total = team_norm(norm, lane);
    if (lane == 0u) { partial[params.first_partial + chunk] = total; }
}

@group(0) @binding(3) var<storage, read> partials: array<f32>;
@group(0) @binding(4) var<storage, read_write> result: array<f32>;   // [1]

@compute @workgroup_size(LANES)
fn total_norm(@builtin(local_invocation_index) lane: u32) {
    // The same combination, one partial after the other.
    var largest = 0.0;
    for (var i = lane; i < params.count; i += LANES) { largest = max(largest, partials[i]); }
    let scale = max(largest, 0x1p-100f);
    var squares = 0.0;
    for (var i = lane; i < params.count; i += LANES) {
        let part = partials[i] / scale;
        squares += part * part;
    }
    let total = team_norm(scale * sqrt(squares), lane);
    if (lane == 0u) { result[0] = total; }
}
