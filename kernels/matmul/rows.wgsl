// Shared by the matrix products for devices with subgroups (nt, nn, tn, strided); appended to their source.
//
// A workgroup is eight lanes and computes a tile of 8 to 64 rows by 32 columns. Each lane owns four columns and all rows,
// so the running sums of eight rows are eight vec4s. The lanes load eight different pieces of a and hand them round with
// subgroupShuffle: every loaded value serves all lanes. Software devices pay for each lane's load but shuffle for free;
// there is no workgroup memory and no barrier. Sums run over the inner size in ascending order.
// Expects params.rows and params.columns, and put(): how the kernel stores four columns of one row.

struct Rows {
    r0: vec4f, r1: vec4f, r2: vec4f, r3: vec4f, r4: vec4f, r5: vec4f, r6: vec4f, r7: vec4f,
}

fn all_rows(value: vec4f) -> Rows {
    return Rows(value, value, value, value, value, value, value, value);
}

// Adds four inner steps. piece: four values of a of the lane's own row; parts: b's four columns at each of these steps.
fn add_steps(sum: Rows, piece: vec4f, parts: mat4x4f) -> Rows {
    return Rows(
        sum.r0 + parts * subgroupShuffle(piece, 0u),
        sum.r1 + parts * subgroupShuffle(piece, 1u),
        sum.r2 + parts * subgroupShuffle(piece, 2u),
        sum.r3 + parts * subgroupShuffle(piece, 3u),
        sum.r4 + parts * subgroupShuffle(piece, 4u),
        sum.r5 + parts * subgroupShuffle(piece, 5u),
        sum.r6 + parts * subgroupShuffle(piece, 6u),
        sum.r7 + parts * subgroupShuffle(piece, 7u),
    );
}

// Where a lane works.
struct Place {
    row: u32,       // first row of the tile
    column: u32,    // first of the lane's four columns, in units of four
    source: u32,    // the same, but never beyond the last column
    stride: u32,    // units of four columns in a row
}

// Tiles are counted along the columns first, so that neighbours share rows of a.
fn place(tile: u32, rows_per_tile: u32, lane: u32) -> Place {
    let stride = (params.columns + 3u) / 4u;
    let across = (stride + 7u) / 8u;
    let column = (tile % across) * 8u + lane;
    return Place((tile / across) * rows_per_tile, column, min(column, stride - 1u), stride);
}

fn put_rows(at: Place, row: u32, sum: Rows) {
    put(at, row, sum.r0);
    put(at, row + 1u, sum.r1);
    put(at, row + 2u, sum.r2);
    put(at, row + 3u, sum.r3);
    put(at, row + 4u, sum.r4);
    put(at, row + 5u, sum.r5);
    put(at, row + 6u, sum.r6);
    put(at, row + 7u, sum.r7);
}
