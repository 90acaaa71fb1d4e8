// provides: half_bits when stored=bf16
// Rounding to bfloat16 with integers, so that every device gives the same bits: to nearest, ties to even. What is finite
// stays finite: its magnitude is at most the largest bfloat16. Infinities and NaN stay what they are.

fn half_bits(values: vec4f) -> vec4u {
    let bits = bitcast<vec4u>(values);
    let sign = (bits >> vec4u(16u)) & vec4u(0x8000u);
    let magnitude = bits & vec4u(0x7fffffffu);
    let even = (magnitude >> vec4u(16u)) & vec4u(1u);
    let finite = min((magnitude + vec4u(0x7fffu) + even) >> vec4u(16u), vec4u(0x7f7fu));
    let special = select(vec4u(0x7f80u), vec4u(0x7fc0u), magnitude > vec4u(0x7f800000u));
    return sign | select(finite, special, magnitude >= vec4u(0x7f800000u));
}
