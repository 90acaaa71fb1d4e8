// Without subgroups: a lane computes for itself what others hold (and the held value is dropped by the compiler), and
// sums go through shared memory.

fn rotated_of(held: vec4f, lane: u32, at: u32, c: u32, position: u32) -> vec4f {
    return rotated(at, c, position);
}

fn value_of(held: vec4f, lane: u32, at: u32, c: u32) -> vec4f { return qkv[at + c]; }

var<workgroup> scratch: array<vec4f, LANES>;

fn sum_over_lanes(value: vec4f, lane: u32) -> vec4f {
    scratch[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) { scratch[lane] += scratch[lane + half]; }
        workgroupBarrier();
    }
    let total = scratch[0];
    workgroupBarrier();
    return total;
}
