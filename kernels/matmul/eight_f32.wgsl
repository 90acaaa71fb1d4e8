// Eight neighbouring values as two loads, for devices without 64-bit integers. Values are split into those of even and of
// odd index. Appended to the kernels; prelude/eight_u64 is the other way.

alias Eight = mat2x4f;

fn even(eight: Eight) -> vec4f {
    return vec4f(eight[0].xz, eight[1].xz);
}

fn odd(eight: Eight) -> vec4f {
    return vec4f(eight[0].yw, eight[1].yw);
}

fn join(even: vec4f, odd: vec4f) -> Eight {
    return Eight(even.x, odd.x, even.y, odd.y, even.z, odd.z, even.w, odd.w);
}
