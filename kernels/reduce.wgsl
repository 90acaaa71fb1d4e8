// needs: pack, spans
// Sums and maxima in a fixed order. A NaN anywhere makes the result it belongs to NaN, for maxima too.
// Counts, widths and columns are numbers of packs, of what is returned of numbers.
// segments: totals[first + s] = combine(x[s * width .. (s + 1) * width]), the last segment may be shorter. Rows are
//   segments; everything is reduced as segments, then as one segment of the results. One team per segment. The first
//   segment is written even if nothing is in use.
// columns: x (rows, columns), y[chunk, c] = combine over the chunk's rows of x[row, c]; all rows are reduced as chunks,
//   then as one chunk of the results. One lane per pack of columns and chunk.
// chunk_columns: the same by one lane per chunk, which reads its rows from beginning to end, four at a time, and keeps what
//   it has so far in y: for devices whose workgroups have few lanes and which pay for every page of memory they turn to.
// spread: the gradient of a sum, dx[row, c] = dy[row * row_stride + c * column_stride]. One workgroup per row and block.

override MAX: bool = false;   // largest instead of sum
override CHUNK: u32 = 256u;   // spread: columns per workgroup

struct Params {
    count: u32,           // segments: packs of x in use
    width: u32,           // segments: packs per segment
    first: u32,           // segments: where in totals to begin
    rows: u32,            // columns, spread
    columns: u32,         // columns; spread: numbers
    chunk_rows: u32,      // columns: rows per chunk
    chunks: u32,          // columns: number of chunks
    accumulate: u32,      // columns, spread: the result is combined with what is there
    row_stride: u32,      // spread: 0 or 1
    column_stride: u32,   // spread: 0 or 1
    initial: f32,         // what combines with anything to that: 0, or minus infinity
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read_write> totals: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Pack>;

fn combine(a: Part, b: Part) -> Part {
    if (MAX) { return select(b, a, ((b <= a) & !is_nan(b)) | is_nan(a)); }
    return a + b;
}

fn combine_parts(even: Part, odd: Part) -> Part {
    if (MAX) { return combine(even, odd); }
    return sum_parts(even, odd);
}

fn not_a_number() -> f32 { return bitcast<f32>(0x7fc00000u); }

fn team_combine(part: Part, lane: u32) -> f32 {
    if (MAX) {
        let any_nan = team_max(f32(any(is_nan(part))), lane);
        return select(team_max(max_part(part), lane), not_a_number(), any_nan > 0.0);
    }
    return team_sum(sum_part(part), lane);
}

@compute @workgroup_size(LANES)
fn segments(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let segment = wid.x + wid.y * nwg.x;
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

// What a lane has so far of a pack of columns.
struct Halves {
    evens: Part,
    odds: Part,
}

fn with_piece(sofar: Halves, pack: Pack) -> Halves {
    return Halves(combine(sofar.evens, even(pack)), combine(sofar.odds, odd(pack)));
}

@compute @workgroup_size(LANES)
fn columns(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks = (params.columns + LANES - 1u) / LANES;
    let id = wid.x + wid.y * nwg.x;
    let chunk = id / blocks;
    let c = (id % blocks) * LANES + lane;
    if (chunk >= params.chunks || c >= params.columns) { return; }
    let begin = chunk * params.chunk_rows;
    let end = min(begin + params.chunk_rows, params.rows);
    var sofar = Halves(Part(params.initial), Part(params.initial));
    if (params.accumulate != 0u) { sofar = with_piece(sofar, y[chunk * params.columns + c]); }
    for (var row = begin; row < end; row++) {
        sofar = with_piece(sofar, x[row * params.columns + c]);
    }
    y[chunk * params.columns + c] = join(sofar.evens, sofar.odds);
}

@compute @workgroup_size(LANES)
fn chunk_columns(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let chunk = (wid.x + wid.y * nwg.x) * LANES + lane;
    if (chunk >= params.chunks) { return; }
    let begin = chunk * params.chunk_rows;
    let end = min(begin + params.chunk_rows, params.rows);
    let to = chunk * params.columns;
    for (var row = begin; row < end; row += 4u) {
        for (var c = 0u; c < params.columns; c++) {
            let i = row * params.columns + c;
            let pack = x[i];
            var sofar = Halves(even(pack), odd(pack));
            if (row > begin) { sofar = with_piece(sofar, y[to + c]); }
            if (row + 1u < end) { sofar = with_piece(sofar, x[i + params.columns]); }
            if (row + 2u < end) { sofar = with_piece(sofar, x[i + 2u * params.columns]); }
            if (row + 3u < end) { sofar = with_piece(sofar, x[i + 3u * params.columns]); }
            y[to + c] = join(sofar.evens, sofar.odds);
        }
    }
}

@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(LANES)
fn spread(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) nwg: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks = (params.columns + CHUNK - 1u) / CHUNK;
    let id = wid.x + wid.y * nwg.x;
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
