// provides: threefry
// Threefry-2x32 with 20 rounds (Salmon et al., SC 2011): random words as a pure function of key and counter, the same
// cipher as threefry2x32() on the host.

fn threefry_round(state: vec2u, distance: u32) -> vec2u {
    let sum = state.x + state.y;
    return vec2u(sum, ((state.y << distance) | (state.y >> (32u - distance))) ^ sum);
}

fn threefry_odd_rounds(state: vec2u) -> vec2u {
    return threefry_round(threefry_round(threefry_round(threefry_round(state, 13u), 15u), 26u), 6u);
}

fn threefry_even_rounds(state: vec2u) -> vec2u {
    return threefry_round(threefry_round(threefry_round(threefry_round(state, 17u), 29u), 16u), 24u);
}

fn threefry2x32(cipher_key: vec2u, block: vec2u) -> vec2u {
    let third = 0x1bd11bdau ^ cipher_key.x ^ cipher_key.y;
    var state = threefry_odd_rounds(block + cipher_key);
    state = threefry_even_rounds(state + vec2u(cipher_key.y, third + 1u));
    state = threefry_odd_rounds(state + vec2u(third, cipher_key.x + 2u));
    state = threefry_even_rounds(state + vec2u(cipher_key.x, cipher_key.y + 3u));
    state = threefry_odd_rounds(state + vec2u(cipher_key.y, third + 4u));
    return state + vec2u(third, cipher_key.x + 5u);
}

// Uniform on (0, 1), from 2^-33 to 1 - 2^-24, never 0 or 1. Small values keep the word's last bits, so that rare
// events have their true probability. The conversion is exact, hence the same on every device.
fn open_uniform(word: u32) -> f32 {
    let exact = select(word & 0xffffff00u, word, word < 0x1000000u);
    return (f32(exact) + 0.5) * 0x1p-32;
}

// -ln(1 - q): exponentially distributed when q is uniform on (0, 1). Accurate for small q too, where WGSL's log is not:
// ln((1 + s) / (1 - s)) = 2 (s + s^3/3 + s^5/5 + ...) with s = q / (2 - q).
fn exponential(q: f32) -> f32 {
    let s = q / (2.0 - q);
    let t = s * s;
    let series = 1.0 + t * (1.0 / 3.0 + t * (0.2 + t * (1.0 / 7.0 + t * (1.0 / 9.0 + t * (1.0 / 11.0 + t / 13.0)))));
    return select(-log(1.0 - q), 2.0 * s * series, q < 0.5);
}
