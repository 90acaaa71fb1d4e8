// provides: stored when stored=f16 pack=1
// Numbers one by one as float16: two share a word, the first in the low half.

alias Stored = u32;

const PER_STORED = 2u;   // packs in a Stored

// Pack i of a tensor, from element i / PER_STORED of its array.
fn stored_number(stored: Stored, i: u32) -> f32 {
    let both = unpack2x16float(stored);
    return select(both.x, both.y, i % 2u == 1u);
}
