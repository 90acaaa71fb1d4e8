// provides: stored when stored=f16 pack=4
// needs: half_bits
// Packs of four numbers as float16: two words, the first number of each in the low half. Reading needs no feature.

alias Stored = vec2u;

fn stored_even(stored: Stored) -> vec4f {
    return vec4f(unpack2x16float(stored.x), unpack2x16float(stored.y));
}

fn stored_odd(stored: Stored) -> vec4f { return stored_even(stored); }

fn store(pack: Pack) -> Stored {
    let bits = half_bits(even(pack));
    return bits.xz | (bits.yw << vec2u(16u));
}
