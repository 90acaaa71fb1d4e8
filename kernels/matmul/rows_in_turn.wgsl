// provides: put_rows when epilogue=swiglu_gradient
// Stores a block's rows of two_sums, two in each turn of a loop that moves the next ones up: there is much to do with a row, and
// a driver that compiles it once for each takes twice as long.

fn next_rows(rows: Rows) -> Rows {
    return Rows(rows.r2, rows.r3, rows.r4, rows.r5, rows.r6, rows.r7, rows.r6, rows.r7);
}

fn put_rows(at: Place, row: u32, sums: Sums) {
    var rest = sums;
    for (var i = 0u; i < BLOCK_ROWS; i += 2u) {
        put(at, row + i, rest.a.r0, rest.b.r0);
        put(at, row + i + 1u, rest.a.r1, rest.b.r1);
        rest = Sums(next_rows(rest.a), next_rows(rest.b));
    }
}
