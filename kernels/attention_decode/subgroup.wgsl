// A workgroup is one subgroup: what its lanes hold is passed around in registers.

var<private> held: array<vec4f, MAX_ROWS>;

// Lane i of this pass gives vector c + i of a row, c being a multiple of LANES.
fn give(row: u32, c: u32, lane: u32, value: vec4f) { held[row] = value; }

fn given() {}

fn take(row: u32, c: u32) -> vec4f { return subgroupShuffle(held[row], c % LANES); }

fn sum_over_lanes(value: vec4f, lane: u32) -> vec4f {
    var sum = value;
    for (var distance = 1u; distance < LANES; distance *= 2u) {
        sum += subgroupShuffleXor(sum, distance);
    }
    return sum;
}
