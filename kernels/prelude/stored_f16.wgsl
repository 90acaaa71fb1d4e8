// How a kernel reads numbers that may be stored as float32 or as float16, one at a time or four; here float16, two to a
// word, the first in the low half. Reading needs no feature of the device. Appended to the kernels; prelude/stored_f32.wgsl
// is the other way.

alias Stored = u32;
alias StoredFour = vec2u;

const PER_STORED = 2u;   // numbers in a Stored

// Number i of a tensor, from element i / PER_STORED of its array.
fn one_of(stored: Stored, i: u32) -> f32 {
    let both = unpack2x16float(stored);
    return select(both.x, both.y, i % 2u == 1u);
}

fn four_of(stored: StoredFour) -> vec4f {
    return vec4f(unpack2x16float(stored.x), unpack2x16float(stored.y));
}
