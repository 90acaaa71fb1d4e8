// provides: stored when stored=f16|bf16 pack=4
// needs: half_bits, half_words
// Packs of four numbers in 16 bits each, float16 or bfloat16: two words, the first number of each in the low half. Reading needs no feature.

alias Stored = vec2u;

fn stored_even(stored: Stored) -> vec4f {
    return vec4f(halves(stored.x), halves(stored.y));
}

fn stored_odd(stored: Stored) -> vec4f { return stored_even(stored); }

fn store(pack: Pack) -> Stored {
    let bits = half_bits(even(pack));
    return bits.xz | (bits.yw << vec2u(16u));
}
