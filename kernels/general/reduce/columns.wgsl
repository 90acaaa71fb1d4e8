// needs: combine, workgroup
// Sums and maxima of columns, in a fixed order: x (rows, columns), y[chunk, c] = combine over the chunk's rows of x[row, c].
// All rows are reduced as chunks, then as one chunk of the results. Columns are counted in packs.
// columns: one lane per pack of columns and chunk.
// chunk_columns: one lane per chunk, which reads its rows from beginning to end, four at a time, and has what there is so far
//   in y: for devices whose workgroups have few lanes and which pay for every page of memory they turn to.

struct Params {
    rows: u32,
    columns: u32,
    chunk_rows: u32,   // rows per chunk
    chunks: u32,
    accumulate: u32,   // columns: the result is combined with what is there
    initial: f32,      // what combines with anything to that: 0, or minus infinity
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read_write> y: array<Pack>;

// What a lane has so far of a pack of columns.
struct Halves {
    evens: Part,
    odds: Part,
}

fn with_pack(sofar: Halves, pack: Pack) -> Halves {
    return Halves(combine(sofar.evens, even(pack)), combine(sofar.odds, odd(pack)));
}

@compute @workgroup_size(LANES)
fn columns(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let blocks = (params.columns + LANES - 1u) / LANES;
    let id = number_of(group);
    let chunk = id / blocks;
    let c = (id % blocks) * LANES + lane;
    if (chunk >= params.chunks || c >= params.columns) { return; }
    let begin = chunk * params.chunk_rows;
    let end = min(begin + params.chunk_rows, params.rows);
    var sofar = Halves(Part(params.initial), Part(params.initial));
    if (params.accumulate != 0u) { sofar = with_pack(sofar, y[chunk * params.columns + c]); }
    for (var row = begin; row < end; row++) {
        sofar = with_pack(sofar, x[row * params.columns + c]);
    }
    y[chunk * params.columns + c] = join(sofar.evens, sofar.odds);
}

@compute @workgroup_size(LANES)
fn chunk_columns(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let chunk = number_of(group) * LANES + lane;
    if (chunk >= params.chunks) { return; }
    let begin = chunk * params.chunk_rows;
    let end = min(begin + params.chunk_rows, params.rows);
    let to = chunk * params.columns;
    for (var row = begin; row < end; row += 4u) {
        for (var c = 0u; c < params.columns; c++) {
            let i = row * params.columns + c;
            let pack = x[i];
            var sofar = Halves(even(pack), odd(pack));
            if (row > begin) { sofar = with_pack(sofar, y[to + c]); }
            if (row + 1u < end) { sofar = with_pack(sofar, x[i + params.columns]); }
            if (row + 2u < end) { sofar = with_pack(sofar, x[i + 2u * params.columns]); }
            if (row + 3u < end) { sofar = with_pack(sofar, x[i + 3u * params.columns]); }
            y[to + c] = join(sofar.evens, sofar.odds);
        }
    }
}
