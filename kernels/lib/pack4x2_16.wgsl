// provides: stored when stored=f16|bf16 pack=4x2
// needs: half_words
// Packs of eight numbers in 16 bits each, float16 or bfloat16: four words, for devices without 64-bit integers.

alias Stored = vec4u;

fn stored_even(stored: Stored) -> vec4f { return low_halves(stored); }

fn stored_odd(stored: Stored) -> vec4f { return high_halves(stored); }
