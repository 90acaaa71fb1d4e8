// provides: team when team=shared
// A team is the lanes of one workgroup working on one row. Here they reduce through shared memory in a fixed tree, for
// devices without subgroups of a fixed size. LANES is a power of two. Call only in uniform control flow; what they
// return is uniform.

override LANES: u32 = 64u;

var<workgroup> team_scratch: array<f32, LANES>;

fn team_sum(value: f32, lane: u32) -> f32 {
    team_scratch[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            team_scratch[lane] += team_scratch[lane + half];
        }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&team_scratch[0]);
}

fn team_max(value: f32, lane: u32) -> f32 {
    team_scratch[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            team_scratch[lane] = max(team_scratch[lane], team_scratch[lane + half]);
        }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&team_scratch[0]);
}

// Of integers.
fn team_add(value: u32, lane: u32) -> u32 {
    team_scratch[lane] = bitcast<f32>(value);
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            let sum = bitcast<u32>(team_scratch[lane]) + bitcast<u32>(team_scratch[lane + half]);
            team_scratch[lane] = bitcast<f32>(sum);
        }
        workgroupBarrier();
    }
    return bitcast<u32>(workgroupUniformLoad(&team_scratch[0]));
}
