// How a workgroup shares out rows of `columns` pieces: here each lane has a row of its own, for devices whose workgroups
// have few lanes. Lanes need not meet, and read from several pages of memory at once. rows_team is the other way.

// The pieces a lane has to visit: first, first + step, … below end.
struct Walk {
    first: u32,
    end: u32,
    step: u32,
}

// Empty beyond the last row.
fn walk_row(group: u32, lane: u32, rows: u32, columns: u32) -> Walk {
    let row = group * LANES + lane;
    let begin = row * columns;
    return Walk(begin, select(0u, begin + columns, row < rows), 1u);
}

fn row_sum(value: f32, lane: u32) -> f32 { return value; }

fn row_max(value: f32, lane: u32) -> f32 { return value; }
