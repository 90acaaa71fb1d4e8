// provides: team when team=subgroup
// A team is the lanes of one workgroup working on one row. Here the workgroup is exactly one subgroup, so reductions
// need neither shared memory nor barriers.

override LANES: u32 = 32u;

fn team_sum(value: f32, lane: u32) -> f32 {
    return subgroupAdd(value);
}

fn team_max(value: f32, lane: u32) -> f32 {
    return subgroupMax(value);
}

fn team_add(value: u32, lane: u32) -> u32 {
    return subgroupAdd(value);
}
