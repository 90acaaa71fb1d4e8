// provides: pack when pack=1
// A pack is what one load brings: here a single number, for rows of any length. See pack4_f32.

alias Pack = f32;
alias Part = f32;
alias PartTest = bool;

const PARTS = 1u;
const PACK_SIZE = 1u;

fn even(pack: Pack) -> Part { return pack; }

fn odd(pack: Pack) -> Part { return pack; }

fn join(even: Part, odd: Part) -> Pack { return even; }

fn sum_parts(even: Part, odd: Part) -> Part { return even; }

fn max_parts(even: Part, odd: Part) -> Part { return even; }

fn sum_part(part: Part) -> f32 { return part; }

fn max_part(part: Part) -> f32 { return part; }

// By its bits, because a compiler may assume that floats are numbers.
fn is_nan(part: Part) -> PartTest {
    return (bitcast<u32>(part) & u32(0x7fffffffu)) > u32(0x7f800000u);
}

// Which number of a part is the pack's number `index`.
fn even_is(index: u32) -> PartTest { return index == 0u; }

fn odd_is(index: u32) -> PartTest { return even_is(index); }
