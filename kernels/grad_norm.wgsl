// needs: pack, spans, workgroup
// Euclidean norm of a flat array x (n), in two stages with a fixed order and without overflow below the largest f32.
// partial_norms: one team per chunk. total_norm: one team.
// Norms combine as S * sqrt(sum((norm / S)^2)) with S the largest of them, so that only the result can overflow.
// A NaN or an infinity anywhere makes the result NaN or infinite.

struct Params {
    count: u32,           // partial_norms: packs of this range; total_norm: number of partials
    chunk: u32,           // partial_norms: packs per chunk
    first_partial: u32,   // partial_norms: where this range's partials begin
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

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
fn partial_norms(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let chunk = number_of(group);
    if (chunk * params.chunk >= params.count) { return; }
    let span = span_of(chunk, lane, params.chunk, params.count);
    var squares = Part();
    for (var i = span.first; i < span.end; i += span.step) {
        let pack = x[i];
        let a = even(pack);
        let b = odd(pack);
        squares += sum_parts(a * a, b * b);
    }
    var norm = sqrt(sum_part(squares));
    // Squares of gradients beyond 2^64 overflow: sum them again on a smaller scale.
    if (!(norm <= LARGEST)) {
        squares = Part();
        for (var i = span.first; i < span.end; i += span.step) {
            let pack = x[i];
            let a = even(pack) * SHRINK;
            let b = odd(pack) * SHRINK;
            squares += sum_parts(a * a, b * b);
        }
        norm = sqrt(sum_part(squares)) * GROW;
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
