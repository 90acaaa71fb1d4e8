// provides: passing when team=shared
// Without subgroups: what lanes pass to each other goes through shared memory.

var<workgroup> rows: array<array<vec4f, MAX_VECS>, MAX_ROWS>;
var<workgroup> scratch: array<vec4f, LANES>;

// Lane i of this pass gives part of pack c + i of a row, c being a multiple of LANES.
fn give(row: u32, c: u32, lane: u32, value: vec4f) {
    if (c + lane < HEAD_PACKS) { rows[row][c + lane] = value; }
}

fn given() { workgroupBarrier(); }

fn take(row: u32, c: u32) -> vec4f { return rows[row][c]; }

fn sum_over_lanes(value: vec4f, lane: u32) -> vec4f {
    scratch[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) { scratch[lane] += scratch[lane + half]; }
        workgroupBarrier();
    }
    let sum = scratch[0];
    workgroupBarrier();
    return sum;
}
