// How a workgroup shares out rows of `columns` pieces: here each lane has a row of its own, for devices whose workgroups
// have few lanes. Lanes need not meet, and read from several pages of memory at once. rows_team is the other way.

// The pieces of a row that a lane has to visit: base + c for c = first, first + step, … below end.
struct Walk {
    row: u32,
    base: u32,
    first: u32,
    end: u32,
    step: u32,
}

// Whether this lane speaks for its row, where a row has one number.
fn leads(walk: Walk) -> bool { return walk.first == 0u && walk.end > 0u; }

// Empty beyond the last row.
fn walk_row(group: u32, lane: u32, rows: u32, columns: u32) -> Walk {
    let row = group * LANES + lane;
    return Walk(row, row * columns, 0u, select(0u, columns, row < rows), 1u);
}

fn row_sum(value: f32, lane: u32) -> f32 { return value; }

fn row_max(value: f32, lane: u32) -> f32 { return value; }
