// How workgroups share out rows that are read in pieces: here the lanes of a workgroup are the team of one row and take
// turns. rows_lane is the other way. A lane visits the pieces first_piece, first_piece + PIECE_STEP, … of its row.

override PIECE_STEP: u32 = LANES;

fn row_of(group: u32, lane: u32, rows: u32) -> u32 { return group; }

fn first_piece(lane: u32) -> u32 { return lane; }

// Whether this lane visits that piece of its row.
fn visits(piece: u32, lane: u32) -> bool { return piece % LANES == lane; }

// Whether this lane speaks for its row, where a row has one number.
fn speaks(lane: u32) -> bool { return lane == 0u; }

fn row_sum(value: f32, lane: u32) -> f32 { return team_sum(value, lane); }

fn row_max(value: f32, lane: u32) -> f32 { return team_max(value, lane); }
