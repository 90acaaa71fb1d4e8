// A piece is a single number, for rows of any length. pieces_f32 and pieces_u64 are the other ways.

alias Piece = f32;
alias Part = f32;
alias PartTest = bool;

const PARTS = 1u;
const PIECE_SIZE = 1u;

fn even(piece: Piece) -> Part { return piece; }

fn odd(piece: Piece) -> Part { return piece; }

fn join(even: Part, odd: Part) -> Piece { return even; }

fn sum_parts(even: Part, odd: Part) -> Part { return even; }

fn max_parts(even: Part, odd: Part) -> Part { return even; }

fn sum_part(part: Part) -> f32 { return part; }

fn max_part(part: Part) -> f32 { return part; }

// By its bits, because a compiler may assume that floats are numbers.
fn is_nan(part: Part) -> PartTest {
    return (bitcast<u32>(part) & u32(0x7fffffffu)) > u32(0x7f800000u);
}

// Which number of a part is the piece's number `index`.
fn even_is(index: u32) -> PartTest { return index == 0u; }

fn odd_is(index: u32) -> PartTest { return even_is(index); }
