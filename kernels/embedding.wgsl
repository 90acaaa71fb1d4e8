// needs: pack, stored, rows, workgroup
// Table look-up: y[t] = table[tokens[t]], and its gradient without scattered additions.
// table, dtable (V, C); tokens, order (T); y, dy (T, C). C is a multiple of 4: the last axis is read in fours.
// For the gradient the host sorts the token positions by id into `order`, cuts them into chunks of one id each, and
// lists the run of chunks of every id, so that each sum has one fixed order.
// forward, forward_rows, clear: rows are shared out. backward_chunks, backward_runs: one lane per four columns of a chunk or run.
// Ids beyond the table read its last row.

struct Params {
    rows: u32,         // forward: T
    columns: u32,      // C / 4
    vocabulary: u32,   // V
    first: u32,        // the first id of table or dtable, which may be some rows of the whole
    count: u32,        // their number; other ids are left to other dispatches
    chunks: u32,       // number of chunks
    runs: u32,         // number of runs
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<Stored>;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(LANES)
fn forward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let row = row_of(number_of(group), lane, params.rows);
    if (row >= params.rows) { return; }
    let id = min(tokens[row], params.vocabulary - 1u) - params.first;
    if (id >= params.count) { return; }
    let begin = id * params.columns;
    for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
        y[row * params.columns + c] = stored_even(table[begin + c]);
    }
}

@group(0) @binding(11) var<storage, read> rows_of: array<u32>;           // (T)

// y[t] = table[tokens[rows_of[t]]]
@compute @workgroup_size(LANES)
fn forward_rows(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let row = row_of(number_of(group), lane, params.rows);
    if (row >= params.rows) { return; }
    let id = min(tokens[rows_of[row]], params.vocabulary - 1u) - params.first;
    if (id >= params.count) { return; }
    let begin = id * params.columns;
    for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
        y[row * params.columns + c] = stored_even(table[begin + c]);
    }
}

@group(0) @binding(4) var<storage, read> dy: array<vec4f>;
@group(0) @binding(5) var<storage, read> order: array<u32>;
@group(0) @binding(6) var<storage, read> chunks: array<vec2u>;           // (begin, end) in order
@group(0) @binding(7) var<storage, read_write> partial: array<vec4f>;    // (chunks, C)

// partial[chunk, c] = sum over the chunk of dy
@compute @workgroup_size(LANES)
fn backward_chunks(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let blocks = (params.columns + LANES - 1u) / LANES;
    let id = number_of(group);
    let chunk = id / blocks;
    let c = (id % blocks) * LANES + lane;
    if (chunk >= params.chunks || c >= params.columns) { return; }
    let range = chunks[chunk];
    var total = vec4f();
    for (var i = range.x; i < range.y; i++) {
        total += dy[order[i] * params.columns + c];
    }
    partial[chunk * params.columns + c] = total;
}

@group(0) @binding(8) var<storage, read> partials: array<vec4f>;         // (chunks, C)
@group(0) @binding(9) var<storage, read> runs: array<u32>;               // (runs, 3): id, first chunk, end chunk
@group(0) @binding(10) var<storage, read_write> dtable: array<vec4f>;

// dtable[id, c] += sum over the chunks of the id
@compute @workgroup_size(LANES)
fn backward_runs(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let blocks = (params.columns + LANES - 1u) / LANES;
    let id = number_of(group);
    let run = id / blocks;
    let c = (id % blocks) * LANES + lane;
    if (run >= params.runs || c >= params.columns) { return; }
    let token = runs[3u * run] - params.first;
    if (token >= params.count) { return; }
    let last = runs[3u * run + 2u];
    var total = vec4f();
    for (var chunk = runs[3u * run + 1u]; chunk < last; chunk++) {
        total += partials[chunk * params.columns + c];
    }
    dtable[token * params.columns + c] += total;
}

// dtable = 0, for a gradient that is written rather than accumulated: ids that do not occur have none.
@compute @workgroup_size(LANES)
fn clear(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let row = row_of(number_of(group), lane, params.count);
    if (row >= params.count) { return; }
    for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
        dtable[row * params.columns + c] = vec4f();
    }
}
