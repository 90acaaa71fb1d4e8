// How pieces of eight numbers are kept in float16: two 64-bit integers, half the loads of float32. prelude/halves is
// appended.

alias Kept = vec2<u64>;

fn kept_even(piece: Kept) -> vec4f {
    let low = vec2u(piece);
    let high = vec2u(piece >> vec2u(32u));
    return vec4f(
        unpack2x16float(low.x).x,
        unpack2x16float(high.x).x,
        unpack2x16float(low.y).x,
        unpack2x16float(high.y).x,
    );
}

fn kept_odd(piece: Kept) -> vec4f {
    let low = vec2u(piece);
    let high = vec2u(piece >> vec2u(32u));
    return vec4f(
        unpack2x16float(low.x).y,
        unpack2x16float(high.x).y,
        unpack2x16float(low.y).y,
        unpack2x16float(high.y).y,
    );
}

fn keep(piece: Piece) -> Kept {
    let words = half_bits(even(piece)) | (half_bits(odd(piece)) << vec4u(16u));
    return Kept(words.xz) | (Kept(words.yw) << vec2u(32u));
}
