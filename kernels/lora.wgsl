// needs: workgroup
// Low-rank adapters of matrices that lie one below the other and are multiplied as one (q, k and v; gate and up):
// b (N, r) holds the rows of all of them, wide (N, M r) the same times a scale, each module's rows in its own r columns and
// zeros beside them, so that one product with (T, M r) serves all modules. M counts the adapted ones.
// widen: wide from b. narrow: db (N, r) += scale times what of dwide (N, M r) stands in a module's own columns.
// One workgroup per chunk of b's or wide's numbers.

override LANES: u32 = 64u;
override CHUNK: u32 = 256u;   // numbers per workgroup

const NONE = 0xffffffffu;     // place of a module that is not adapted

struct Params {
    rows: u32,                // N
    rank: u32,                // r
    columns: u32,             // M r
    first_end: u32,           // rows of the first module
    second_end: u32,          // rows of the first two
    first_place: u32,         // which r columns of wide are theirs
    second_place: u32,
    third_place: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> wide: array<f32>;
@group(0) @binding(3) var<storage, read> dwide: array<f32>;
@group(0) @binding(4) var<storage, read_write> db: array<f32>;

fn place_of(row: u32) -> u32 {
    if (row < params.first_end) { return params.first_place; }
    return select(params.third_place, params.second_place, row < params.second_end);
}

@compute @workgroup_size(LANES)
fn widen(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let first = number_of(group) * CHUNK;
    let last = min(first + CHUNK, params.rows * params.columns);
    for (var i = first + lane; i < last; i += LANES) {
        let row = i / params.columns;
        let column = i % params.columns;
        let own = column / params.rank == place_of(row);
        wide[i] = select(0.0, params.scale * b[row * params.rank + column % params.rank], own);
    }
}

@compute @workgroup_size(LANES)
fn narrow(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let first = number_of(group) * CHUNK;
    let last = min(first + CHUNK, params.rows * params.rank);
    for (var i = first + lane; i < last; i += LANES) {
        let row = i / params.rank;
        let place = place_of(row);
        if (place == NONE) { continue; }
        db[i] += params.scale * dwide[row * params.columns + place * params.rank + i % params.rank];
    }
}
