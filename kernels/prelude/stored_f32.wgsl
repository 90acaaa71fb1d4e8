// How a kernel reads numbers that may be stored as float32 or as float16, one at a time or four; here float32. Appended to
// the kernels; prelude/stored_f16.wgsl is the other way.

alias Stored = f32;
alias StoredFour = vec4f;

const PER_STORED = 1u;   // numbers in a Stored

// Number i of a tensor, from element i / PER_STORED of its array.
fn one_of(stored: Stored, i: u32) -> f32 { return stored; }

fn four_of(stored: StoredFour) -> vec4f { return stored; }
