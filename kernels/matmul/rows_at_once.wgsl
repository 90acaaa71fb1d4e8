// provides: put_rows when epilogue=none
// Stores a block's rows of two_sums one after the other.

fn put_rows(at: Place, row: u32, sums: Sums) {
    put(at, row, sums.a.r0, sums.b.r0);
    put(at, row + 1u, sums.a.r1, sums.b.r1);
    put(at, row + 2u, sums.a.r2, sums.b.r2);
    put(at, row + 3u, sums.a.r3, sums.b.r3);
    if (BLOCK_ROWS > 4u) {
        put(at, row + 4u, sums.a.r4, sums.b.r4);
        put(at, row + 5u, sums.a.r5, sums.b.r5);
        put(at, row + 6u, sums.a.r6, sums.b.r6);
        put(at, row + 7u, sums.a.r7, sums.b.r7);
    }
}
