// Shared by the matrix products for devices with subgroups (nt, nn, tn, strided); appended to their source.
//
// A workgroup is eight lanes and computes a tile of 8 to 32 rows. Each lane owns four or eight neighbouring columns and all
// rows of the tile. The lanes load eight different pieces of a and hand them round with subgroupShuffle, so that every
// loaded value serves all lanes: software devices pay for each lane's load but shuffle for free. There is no workgroup
// memory and no barrier. Sums run over the inner size in the same order whatever the tile.

// Of eight rows: running sums of four columns, or the values of a at four inner steps.
struct Rows {
    r0: vec4f, r1: vec4f, r2: vec4f, r3: vec4f, r4: vec4f, r5: vec4f, r6: vec4f, r7: vec4f,
}

fn all_rows(value: vec4f) -> Rows {
    return Rows(value, value, value, value, value, value, value, value);
}

// Makes every lane's piece, one row each, known to all lanes.
fn spread(piece: vec4f) -> Rows {
    return Rows(
        subgroupShuffle(piece, 0u),
        subgroupShuffle(piece, 1u),
        subgroupShuffle(piece, 2u),
        subgroupShuffle(piece, 3u),
        subgroupShuffle(piece, 4u),
        subgroupShuffle(piece, 5u),
        subgroupShuffle(piece, 6u),
        subgroupShuffle(piece, 7u),
    );
}

// Adds four inner steps: rows holds a's values of eight rows, parts b's values of four columns at each step.
fn add(sum: Rows, rows: Rows, parts: mat4x4f) -> Rows {
    return Rows(
        sum.r0 + parts * rows.r0,
        sum.r1 + parts * rows.r1,
        sum.r2 + parts * rows.r2,
        sum.r3 + parts * rows.r3,
        sum.r4 + parts * rows.r4,
        sum.r5 + parts * rows.r5,
        sum.r6 + parts * rows.r6,
        sum.r7 + parts * rows.r7,
    );
}

// Where a lane works. Columns are counted in units of what one lane owns.
struct Place {
    row: u32,       // first row of the tile
    column: u32,    // the lane's columns
    source: u32,    // the same, but never beyond the last ones
    stride: u32,    // units in a row
}

// Tiles go in groups of four along the rows, then along the columns: what is loaded of a and b is used again soon.
fn place(tile: u32, rows_per_tile: u32, columns_per_lane: u32, lane: u32) -> Place {
    let stride = (params.columns + columns_per_lane - 1u) / columns_per_lane;
    let across = (stride + 7u) / 8u;
    let group = 4u * (tile / (4u * across));
    let within = tile % (4u * across);
    let down = (params.rows + rows_per_tile - 1u) / rows_per_tile;
    let high = clamp(down, group + 1u, group + 4u) - group;
    let column = (within / high) * 8u + lane;
    return Place((group + within % high) * rows_per_tile, column, min(column, stride - 1u), stride);
}
