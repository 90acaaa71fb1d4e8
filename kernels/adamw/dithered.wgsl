// provides: dithered
// Rounding to bfloat16, the upper half of a float32, up or down by chance: upwards as often as the lower half says, so that
// the expected value is the number itself. Rounding to nearest loses every change below half of a last place, 2^-9 to 2^-8 of
// the number: v = 0.999 v + 0.001 g^2 would never come down, and not rise while g^2 is below 2.9 v.
// What is finite stays finite, what bfloat16 holds stays as it is.

// `chances`: random numbers below 2^16. Returns float32 bits whose lower halves are zero.
fn dithered(values: vec4f, chances: vec4u) -> vec4u {
    let bits = bitcast<vec4u>(values);
    let magnitude = bits & vec4u(0x7fffffffu);
    let finite = (bits ^ magnitude) | min(magnitude + chances, vec4u(0x7f7fffffu));
    // A NaN keeps a bit that tells it from infinity.
    let special = bits | select(vec4u(0u), vec4u(0x400000u), magnitude > vec4u(0x7f800000u));
    return select(finite, special, magnitude >= vec4u(0x7f800000u)) & vec4u(0xffff0000u);
}
