// provides: strides
// Where op(a)[M, K] and op(b)[K, N] lie in memory, either of them transposed.

override TRANSPOSE_A: bool = false;   // a is (K, M)
override TRANSPOSE_B: bool = false;   // b is (N, K)

fn a_row() -> u32 { return select(params.inner, 1u, TRANSPOSE_A); }

fn a_inner() -> u32 { return select(1u, params.rows, TRANSPOSE_A); }

fn b_inner() -> u32 { return select(params.columns, 1u, TRANSPOSE_B); }

fn b_column() -> u32 { return select(1u, params.inner, TRANSPOSE_B); }

fn weight(i: u32) -> f32 { return stored_number(b[i / PER_STORED], i); }
