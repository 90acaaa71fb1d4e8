// The weights that nt and nn read, eight at a time: float16, four to a 64-bit integer, half the loads of float32.

alias Weights = vec2<u64>;

fn even_weights(eight: Weights) -> vec4f {
    let low = vec2u(eight);
    let high = vec2u(eight >> vec2u(32u));
    return vec4f(
        unpack2x16float(low.x).x,
        unpack2x16float(high.x).x,
        unpack2x16float(low.y).x,
        unpack2x16float(high.y).x,
    );
}

fn odd_weights(eight: Weights) -> vec4f {
    let low = vec2u(eight);
    let high = vec2u(eight >> vec2u(32u));
    return vec4f(
        unpack2x16float(low.x).y,
        unpack2x16float(high.x).y,
        unpack2x16float(low.y).y,
        unpack2x16float(high.y).y,
    );
}
