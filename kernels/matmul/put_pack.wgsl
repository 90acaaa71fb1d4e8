// provides: put when epilogue=none
// Eight columns of a row of the product are stored as one pack.

@group(0) @binding(4) var<storage, read_write> out: array<Pack>;

override ACCUMULATE: bool = false;   // sums begin with out

fn place_of(at: Place, row: u32) -> u32 {
    return (at.split * params.rows + row) * at.stride;
}

fn put(at: Place, row: u32, evens: vec4f, odds: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        out[place_of(at, row) + at.column] = join(evens, odds);
    }
}

// Rows and columns beyond the last ones repeat it.
fn before(at: Place, row: u32) -> Pack {
    return out[place_of(at, min(row, params.rows - 1u)) + at.source];
}

fn sums_before(at: Place, row: u32) -> Sums {
    if (!ACCUMULATE) { return Sums(); }
    let p0 = before(at, row);
    let p1 = before(at, row + 1u);
    let p2 = before(at, row + 2u);
    let p3 = before(at, row + 3u);
    var sums = Sums();
    sums.a.r0 = even(p0);
    sums.b.r0 = odd(p0);
    sums.a.r1 = even(p1);
    sums.b.r1 = odd(p1);
    sums.a.r2 = even(p2);
    sums.b.r2 = odd(p2);
    sums.a.r3 = even(p3);
    sums.b.r3 = odd(p3);
    if (BLOCK_ROWS > 4u) {
        let p4 = before(at, row + 4u);
        let p5 = before(at, row + 5u);
        let p6 = before(at, row + 6u);
        let p7 = before(at, row + 7u);
        sums.a.r4 = even(p4);
        sums.b.r4 = odd(p4);
        sums.a.r5 = even(p5);
        sums.b.r5 = odd(p5);
        sums.a.r6 = even(p6);
        sums.b.r6 = odd(p6);
        sums.a.r7 = even(p7);
        sums.b.r7 = odd(p7);
    }
    return sums;
}
