// needs: combine, spans, workgroup
// Sums and maxima of stretches of a flat array, in a fixed order:
//   totals[first + s] = combine(x[s * width .. (s + 1) * width]), the last segment may be shorter
// Rows are segments; everything is reduced as segments, then as one segment of the results. One team per segment. The first
// segment is written even if nothing is in use.

struct Params {
    count: u32,     // packs of x in use
    width: u32,     // packs per segment
    first: u32,     // where in totals to begin
    initial: f32,   // what combines with anything to that: 0, or minus infinity
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read_write> totals: array<f32>;

@compute @workgroup_size(LANES)
fn segments(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let segment = number_of(group);
    if (segment * params.width >= params.count && segment > 0u) { return; }
    let span = span_of(segment, lane, params.width, params.count);
    var total = Part(params.initial);
    for (var i = span.first; i < span.end; i += span.step) {
        let pack = x[i];
        total = combine(total, combine_parts(even(pack), odd(pack)));
    }
    let result = team_combine(total, lane);
    if (lane == 0u) { totals[params.first + segment] = result; }
}
