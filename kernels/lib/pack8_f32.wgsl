// provides: pack when pack=8
// A pack is what one load brings: here eight neighbouring numbers as four 64-bit integers, because a software device pays
// for a load by lane and component, not by byte. It has two parts, the numbers of even and those of odd index.

alias Pack = vec4<u64>;
alias Part = vec4f;
alias PartTest = vec4<bool>;

const PARTS = 2u;
const PACK_SIZE = 8u;

fn even(pack: Pack) -> Part { return bitcast<vec4f>(vec4u(pack)); }

fn odd(pack: Pack) -> Part { return bitcast<vec4f>(vec4u(pack >> vec4u(32u))); }

fn join(even: Part, odd: Part) -> Pack {
    return Pack(bitcast<vec4u>(even)) | (Pack(bitcast<vec4u>(odd)) << vec4u(32u));
}

fn sum_parts(even: Part, odd: Part) -> Part { return even + odd; }

fn max_parts(even: Part, odd: Part) -> Part { return max(even, odd); }

fn sum_part(part: Part) -> f32 { return (part.x + part.y) + (part.z + part.w); }

fn max_part(part: Part) -> f32 { return max(max(part.x, part.y), max(part.z, part.w)); }

// By its bits, because a compiler may assume that floats are numbers.
fn is_nan(part: Part) -> PartTest {
    return (bitcast<vec4u>(part) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

// Which number of a part is the pack's number `index`.
fn even_is(index: u32) -> PartTest { return vec4u(0u, 2u, 4u, 6u) == vec4u(index); }

fn odd_is(index: u32) -> PartTest { return vec4u(1u, 3u, 5u, 7u) == vec4u(index); }

alias PackBits = vec4<u64>;

fn even_bits(bits: PackBits) -> vec4u { return vec4u(bits); }

fn odd_bits(bits: PackBits) -> vec4u { return vec4u(bits >> vec4u(32u)); }
