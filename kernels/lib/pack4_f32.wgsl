// provides: pack when pack=4
// A pack is what one load brings: here four neighbouring numbers, which are its one part. Even and odd are the same, and
// where both are asked for, the odd one is not looked at.

alias Pack = vec4f;
alias Part = vec4f;
alias PartTest = vec4<bool>;

const PARTS = 1u;
const PACK_SIZE = 4u;

fn even(pack: Pack) -> Part { return pack; }

fn odd(pack: Pack) -> Part { return pack; }

fn join(even: Part, odd: Part) -> Pack { return even; }

fn sum_parts(even: Part, odd: Part) -> Part { return even; }

fn max_parts(even: Part, odd: Part) -> Part { return even; }

fn sum_part(part: Part) -> f32 { return (part.x + part.y) + (part.z + part.w); }

fn max_part(part: Part) -> f32 { return max(max(part.x, part.y), max(part.z, part.w)); }

// By its bits, because a compiler may assume that floats are numbers.
fn is_nan(part: Part) -> PartTest {
    return (bitcast<vec4u>(part) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

// Which number of a part is the pack's number `index`.
fn even_is(index: u32) -> PartTest { return vec4u(0u, 1u, 2u, 3u) == vec4u(index); }

fn odd_is(index: u32) -> PartTest { return even_is(index); }

alias PackBits = vec4u;

fn even_bits(bits: PackBits) -> vec4u { return bits; }

fn odd_bits(bits: PackBits) -> vec4u { return bits; }
