// The weights that nt and nn read, eight at a time: float16, two to a word, for devices without 64-bit integers.

alias Weights = vec4u;

fn even_weights(eight: Weights) -> vec4f {
    return vec4f(
        unpack2x16float(eight.x).x,
        unpack2x16float(eight.y).x,
        unpack2x16float(eight.z).x,
        unpack2x16float(eight.w).x,
    );
}

fn odd_weights(eight: Weights) -> vec4f {
    return vec4f(
        unpack2x16float(eight.x).y,
        unpack2x16float(eight.y).y,
        unpack2x16float(eight.z).y,
        unpack2x16float(eight.w).y,
    );
}
