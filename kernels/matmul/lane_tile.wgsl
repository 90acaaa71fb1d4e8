// provides: lane_tile
// needs: workgroup
// The loop of all matrix products for devices with narrow subgroups, of at least four lanes.
//
// A workgroup is four or eight lanes and computes a tile of ROWS rows. Each lane owns LANE_COLUMNS neighbouring columns and
// all rows of the tile. Each lane loads another pack of a, and they hand them round with subgroupShuffle, so that every loaded value
// serves all lanes: software devices pay for each lane's load but shuffle for free. There is no workgroup memory and no
// barrier. Sums run over the inner size in the same order whatever the tile.
//
// A product says what is loaded and how it is added, for INNER_STEP inner steps at a time:
//   Held = load_a(start, step)   what a lane holds of a for a block of BLOCK_ROWS rows, from a_start(at, block) on
//   Parts = load_b(source, step, at)   what it needs of b, from b_source(at) on
//   Sums = add_step(sums, held, parts), beginning with first_sums(at, row) and stored by put_rows(at, row, sums)

override LANES: u32 = 8u;   // 4 or 8
override ROWS: u32 = 8u;    // of a tile: one, two or four blocks

struct Params {
    rows: u32,          // M
    columns: u32,       // N
    inner: u32,         // K
    splits: u32,        // ranges that K is cut into; with more than one, out holds (splits, M, N)
    split_inner: u32,   // inner steps of a range, a multiple of INNER_STEP
}

@group(0) @binding(0) var<uniform> params: Params;

// Of the rows of a block, four or eight: running sums of four columns, or the values of a at four inner steps.
struct Rows {
    r0: vec4f, r1: vec4f, r2: vec4f, r3: vec4f, r4: vec4f, r5: vec4f, r6: vec4f, r7: vec4f,
}

fn all_rows(value: vec4f) -> Rows {
    return Rows(value, value, value, value, value, value, value, value);
}

// Makes every lane's numbers, of one row each, known to all lanes.
fn spread(numbers: vec4f) -> Rows {
    let r0 = subgroupShuffle(numbers, 0u);
    let r1 = subgroupShuffle(numbers, 1u);
    let r2 = subgroupShuffle(numbers, 2u);
    let r3 = subgroupShuffle(numbers, 3u);
    if (LANES == 4u) { return Rows(r0, r1, r2, r3, vec4f(), vec4f(), vec4f(), vec4f()); }
    return Rows(
        r0, r1, r2, r3,
        subgroupShuffle(numbers, 4u),
        subgroupShuffle(numbers, 5u),
        subgroupShuffle(numbers, 6u),
        subgroupShuffle(numbers, 7u),
    );
}

// Adds four inner steps: rows holds a's values of a block, parts b's values of four columns at each step.
fn add(sum: Rows, rows: Rows, parts: mat4x4f) -> Rows {
    let r0 = sum.r0 + parts * rows.r0;
    let r1 = sum.r1 + parts * rows.r1;
    let r2 = sum.r2 + parts * rows.r2;
    let r3 = sum.r3 + parts * rows.r3;
    if (BLOCK_ROWS == 4u) { return Rows(r0, r1, r2, r3, vec4f(), vec4f(), vec4f(), vec4f()); }
    return Rows(
        r0, r1, r2, r3,
        sum.r4 + parts * rows.r4,
        sum.r5 + parts * rows.r5,
        sum.r6 + parts * rows.r6,
        sum.r7 + parts * rows.r7,
    );
}

// Where a lane works. Columns are counted in units of what one lane owns.
struct Place {
    lane: u32,
    split: u32,
    row: u32,       // first row of the tile
    column: u32,    // the lane's columns
    source: u32,    // the same, but never beyond the last ones
    stride: u32,    // units in a row
}

// All tiles of a range of K come before the next range. Tiles go in groups of four along the rows, then along the columns:
// what is loaded of a and b is used again soon.
fn place(id: u32, lane: u32) -> Place {
    let stride = (params.columns + LANE_COLUMNS - 1u) / LANE_COLUMNS;
    let across = (stride + LANES - 1u) / LANES;
    let down = (params.rows + ROWS - 1u) / ROWS;
    let tile = id % (across * down);
    let group = 4u * (tile / (4u * across));
    let within = tile % (4u * across);
    let high = clamp(down, group + 1u, group + 4u) - group;
    let row = (group + within % high) * ROWS;
    let column = (within / high) * LANES + lane;
    return Place(lane, id / (across * down), row, column, min(column, stride - 1u), stride);
}

@compute @workgroup_size(LANES)
fn lane_tile(group: Workgroup, @builtin(subgroup_invocation_id) lane: u32) {
    let at = place(number_of(group), lane);
    if (at.split >= params.splits) { return; }
    let begin = at.split * params.split_inner;
    let first = begin / INNER_STEP;
    let last = (min(begin + params.split_inner, params.inner) + INNER_STEP - 1u) / INNER_STEP;
    let source = b_source(at);
    let a0 = a_start(at, 0u);
    let a1 = a_start(at, 1u);
    let a2 = a_start(at, 2u);
    let a3 = a_start(at, 3u);
    var s0 = first_sums(at, at.row);
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    if (ROWS > BLOCK_ROWS) { s1 = first_sums(at, at.row + BLOCK_ROWS); }
    if (ROWS > 2u * BLOCK_ROWS) {
        s2 = first_sums(at, at.row + 2u * BLOCK_ROWS);
        s3 = first_sums(at, at.row + 3u * BLOCK_ROWS);
    }
    for (var step = first; step < last; step++) {
        let parts = load_b(source, step, at);
        s0 = add_step(s0, load_a(a0, step), parts);
        if (ROWS > BLOCK_ROWS) { s1 = add_step(s1, load_a(a1, step), parts); }
        if (ROWS > 2u * BLOCK_ROWS) {
            s2 = add_step(s2, load_a(a2, step), parts);
            s3 = add_step(s3, load_a(a3, step), parts);
        }
    }
    // A loop over blocks: a quarter of the code that stores, which is dear to compile where there is much to do with a sum.
    for (var row = 0u; row < ROWS; row += BLOCK_ROWS) {
        put_rows(at, at.row + row, s0);
        s0 = s1;
        s1 = s2;
        s2 = s3;
    }
}
