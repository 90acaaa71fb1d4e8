// A workgroup is one subgroup: what a lane holds is passed around in registers.

fn rotated_of(held: vec4f, lane: u32, at: u32, c: u32, position: u32) -> vec4f {
    return subgroupShuffle(held, lane);
}

fn value_of(held: vec4f, lane: u32, at: u32, c: u32) -> vec4f { return subgroupShuffle(held, lane); }

fn sum_over_lanes(value: vec4f, lane: u32) -> vec4f {
    var total = value;
    for (var distance = 1u; distance < LANES; distance *= 2u) {
        total += subgroupShuffleXor(total, distance);
    }
    return total;
}
