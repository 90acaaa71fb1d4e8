// provides: stored when stored=f16|bf16 pack=8
// needs: half_bits, half_words
// Packs of eight numbers in 16 bits each, float16 or bfloat16: two 64-bit integers, half the loads of float32.

alias Stored = vec2<u64>;

fn words_of(stored: Stored) -> vec4u {
    let low = vec2u(stored);
    let high = vec2u(stored >> vec2u(32u));
    return vec4u(low.x, high.x, low.y, high.y);
}

fn stored_even(stored: Stored) -> vec4f { return low_halves(words_of(stored)); }

fn stored_odd(stored: Stored) -> vec4f { return high_halves(words_of(stored)); }

fn store(pack: Pack) -> Stored {
    let words = half_bits(even(pack)) | (half_bits(odd(pack)) << vec4u(16u));
    return Stored(words.xz) | (Stored(words.yw) << vec2u(32u));
}
