// provides: each
// A head is visited pack by pack: each_start_pack() calls start_pack(c) for every pack c, and so each_NAME() any function. The
// linker writes these functions, one call after the other, and HEAD_PACKS, their number (src/ops/wgsl.ts). The compiler
// inlines the calls; every index is then a constant, and private arrays become registers. Left to loops, drivers unroll
// them slowly or not at all, because naga guards every loop with a counter; and branches that a constant decides cost more
// to compile than all that is kept.

const MAX_VECS = 32u;   // the most vectors of four numbers in a head
