// Eight neighbouring values as one load, for devices with 64-bit integers: a software device pays per lane and component,
// not per byte. Values are split into those of even and of odd index. matmul/eight_f32 is the other way for products,
// pieces_f32 and pieces_one for what merely passes over memory.

alias Eight = vec4<u64>;

fn even(eight: Eight) -> vec4f {
    return bitcast<vec4f>(vec4u(eight));
}

fn odd(eight: Eight) -> vec4f {
    return bitcast<vec4f>(vec4u(eight >> vec4u(32u)));
}

fn join(even: vec4f, odd: vec4f) -> Eight {
    return Eight(bitcast<vec4u>(even)) | (Eight(bitcast<vec4u>(odd)) << vec4u(32u));
}
