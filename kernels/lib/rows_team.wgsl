// provides: rows when rows=team
// needs: team
// How workgroups share out rows that are read in packs: here the lanes of a workgroup are the team of one row and take
// turns. rows_lane is the other way. A lane visits the packs first_pack, first_pack + PACK_STEP, … of its row.

override PACK_STEP: u32 = LANES;

fn row_of(group: u32, lane: u32, rows: u32) -> u32 { return group; }

fn first_pack(lane: u32) -> u32 { return lane; }

// Whether this lane visits that pack of its row.
fn visits(pack: u32, lane: u32) -> bool { return pack % LANES == lane; }

// Whether this lane writes the number of its row, where a row has one.
fn writes_row(lane: u32) -> bool { return lane == 0u; }

fn row_sum(value: f32, lane: u32) -> f32 { return team_sum(value, lane); }

fn row_max(value: f32, lane: u32) -> f32 { return team_max(value, lane); }
