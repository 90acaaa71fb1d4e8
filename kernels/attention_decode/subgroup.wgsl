// provides: passing when team=subgroup
// A workgroup is one subgroup: what its lanes hold is passed around in registers.

var<private> held: array<vec4f, MAX_ROWS>;

// Lane i of this pass gives part of pack c + i of a row, c being a multiple of LANES.
fn give(row: u32, c: u32, lane: u32, value: vec4f) { held[row] = value; }

fn given() {}

fn take(row: u32, c: u32) -> vec4f { return subgroupShuffle(held[row], c % LANES); }

fn sum_over_lanes(value: vec4f, lane: u32) -> vec4f {
    var sum = value;
    if (LANES > 1u) { sum += subgroupShuffleXor(sum, 1u); }
    if (LANES > 2u) { sum += subgroupShuffleXor(sum, 2u); }
    if (LANES > 4u) { sum += subgroupShuffleXor(sum, 4u); }
    if (LANES > 8u) { sum += subgroupShuffleXor(sum, 8u); }
    if (LANES > 16u) { sum += subgroupShuffleXor(sum, 16u); }
    if (LANES > 32u) { sum += subgroupShuffleXor(sum, 32u); }
    if (LANES > 64u) { sum += subgroupShuffleXor(sum, 64u); }
    return sum;
}
