// provides: two_sums
// needs: put_rows
// Running sums of the rows of a block and twice four columns: the even and the odd ones of eight neighbours, or gates and ups.

struct Sums {
    a: Rows,
    b: Rows,
}
