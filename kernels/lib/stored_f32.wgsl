// provides: stored when stored=f32
// needs: pack
// What may be stored as float32 or in 16 bits, a pack at a time: here as float32. pack*_16 are the other ways.

alias Stored = Pack;

const PER_STORED = 1u;   // packs in a Stored

fn stored_even(stored: Stored) -> Part { return even(stored); }

fn stored_odd(stored: Stored) -> Part { return odd(stored); }

// Pack i of a tensor, from element i / PER_STORED of its array, where packs are single numbers.
fn stored_number(stored: Stored, i: u32) -> Part { return even(stored); }

fn store(pack: Pack) -> Stored { return pack; }
