// provides: rows when rows=lane
// needs: team
// How workgroups share out rows that are read in packs: here each lane has a row of its own, for devices whose workgroups
// have few lanes. Lanes need not meet. A lane's rows in consecutive workgroups are neighbours, those of two lanes far apart:
// so a workgroup reads from as many pages of memory as it has lanes, each from beginning to end. rows_team is the other way.

const PACK_STEP = 1u;

// `rows` where there is none.
fn row_of(group: u32, lane: u32, rows: u32) -> u32 {
    let groups = (rows + LANES - 1u) / LANES;
    return select(rows, lane * groups + group, group < groups);
}

fn first_pack(lane: u32) -> u32 { return 0u; }

// Whether this lane visits that pack of its row.
fn visits(pack: u32, lane: u32) -> bool { return true; }

// Whether this lane writes the number of its row, where a row has one.
fn writes_row(lane: u32) -> bool { return true; }

fn row_sum(value: f32, lane: u32) -> f32 { return value; }

fn row_max(value: f32, lane: u32) -> f32 { return value; }
