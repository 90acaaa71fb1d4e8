// provides: each4
// each(phase) calls visit(phase, c) for every pack c of a head, without a loop; it is in each_4, each_16 or each_32, by
// how many packs there are. The compiler inlines the calls and keeps of visit only the phase asked for; every index is
// then a constant, and private arrays become registers. Left to loops, drivers unroll them slowly or not at all, because
// naga guards every loop with a counter.

override HEAD_PACKS: u32 = 4u;

const MAX_VECS = 32u;   // vectors of four numbers in a head
const START = 0u;
const SCORE = 1u;
const SUM = 2u;
const FINISH = 3u;

fn each4(phase: u32, c: u32) {
    visit(phase, c);
    if (c + 1u < HEAD_PACKS) { visit(phase, c + 1u); }
    if (c + 2u < HEAD_PACKS) { visit(phase, c + 2u); }
    if (c + 3u < HEAD_PACKS) { visit(phase, c + 3u); }
}
