// How a workgroup shares out rows of `columns` pieces: here its lanes are the team of one row and take turns. rows_lane is
// the other way.

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

// Empty beyond the last row; nobody may leave early, because the lanes meet in row_sum and row_max.
fn walk_row(group: u32, lane: u32, rows: u32, columns: u32) -> Walk {
    return Walk(group, group * columns, lane, select(0u, columns, group < rows), LANES);
}

fn row_sum(value: f32, lane: u32) -> f32 { return team_sum(value, lane); }

fn row_max(value: f32, lane: u32) -> f32 { return team_max(value, lane); }
