// provides: stored when stored=f16|bf16 pack=1
// needs: half_words
// Numbers one by one in 16 bits each, float16 or bfloat16: two share a word, the first in the low half.

alias Stored = u32;

const PER_STORED = 2u;   // packs in a Stored

// Pack i of a tensor, from element i / PER_STORED of its array.
fn stored_number(stored: Stored, i: u32) -> f32 {
    let both = halves(stored);
    return select(both.x, both.y, i % 2u == 1u);
}
