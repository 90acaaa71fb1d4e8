// provides: workgroup
// Which workgroup this is, of rows of workgroups: one row may not hold them all.

struct Workgroup {
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) count: vec3u,
}

fn number_of(group: Workgroup) -> u32 {
    return group.id.x + group.id.y * group.count.x;
}
