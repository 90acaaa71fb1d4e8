// provides: one_sum
// Running sums of the rows of a block and four columns.

alias Sums = Rows;

fn put_rows(at: Place, row: u32, sums: Sums) {
    put(at, row, sums.r0);
    put(at, row + 1u, sums.r1);
    put(at, row + 2u, sums.r2);
    put(at, row + 3u, sums.r3);
    if (BLOCK_ROWS > 4u) {
        put(at, row + 4u, sums.r4);
        put(at, row + 5u, sums.r5);
        put(at, row + 6u, sums.r6);
        put(at, row + 7u, sums.r7);
    }
}
