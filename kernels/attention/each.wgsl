// each(phase) calls visit(phase, c) for every vector c of a head, without a loop. The compiler inlines the calls and
// keeps of visit only the phase asked for; every index is then a constant, and private arrays become registers. Left to
// loops, drivers unroll them slowly or not at all, because naga guards every loop with a counter.

override HEAD_VECS: u32 = 4u;   // D / 4, at most MAX_VECS

const MAX_VECS = 32u;
const START = 0u;
const SCORE = 1u;
const SUM = 2u;
const FINISH = 3u;

fn each(phase: u32) {
    each16(phase, 0u);
    if (HEAD_VECS > 16u) { each16(phase, 16u); }
}

fn each16(phase: u32, c: u32) {
    each4(phase, c);
    if (c + 4u < HEAD_VECS) { each4(phase, c + 4u); }
    if (c + 8u < HEAD_VECS) { each4(phase, c + 8u); }
    if (c + 12u < HEAD_VECS) { each4(phase, c + 12u); }
}

fn each4(phase: u32, c: u32) {
    visit(phase, c);
    if (c + 1u < HEAD_VECS) { visit(phase, c + 1u); }
    if (c + 2u < HEAD_VECS) { visit(phase, c + 2u); }
    if (c + 3u < HEAD_VECS) { visit(phase, c + 3u); }
}
