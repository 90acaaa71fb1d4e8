// provides: half_bits when stored=f16
// Rounding to float16 with integers, so that every device gives the same bits: to nearest, ties to even. What is finite
// stays finite: beyond the largest half (65504) its magnitude is 65504. Infinities and NaN stay what they are.

fn half_bits(values: vec4f) -> vec4u {
    let bits = bitcast<vec4u>(values);
    let sign = (bits >> vec4u(16u)) & vec4u(0x8000u);
    let magnitude = bits & vec4u(0x7fffffffu);
    // The exponent's bias shrinks from 127 to 15; half a unit, less a little for even results, rounds the last 13 bits.
    let even = (magnitude >> vec4u(13u)) & vec4u(1u);
    let normal = (magnitude - vec4u(0x38000000u) + vec4u(0xfffu) + even) >> vec4u(13u);
    // Below 2^-14 halves are multiples of 2^-24.
    let small = vec4u(round(bitcast<vec4f>(min(magnitude, vec4u(0x38800000u))) * 16777216.0));
    let finite = min(select(normal, small, magnitude < vec4u(0x38800000u)), vec4u(0x7bffu));
    let special = select(vec4u(0x7c00u), vec4u(0x7e00u), magnitude > vec4u(0x7f800000u));
    return sign | select(finite, special, magnitude >= vec4u(0x7f800000u));
}
