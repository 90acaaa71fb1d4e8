// A piece is four neighbouring numbers of a row, and has one part. attention/pieces_u64.wgsl is the other way.

alias Piece = vec4f;

const PARTS = 1u;

fn even(piece: Piece) -> vec4f { return piece; }

fn odd(piece: Piece) -> vec4f { return piece; }

fn join(even: vec4f, odd: vec4f) -> Piece { return even; }

alias PieceBits = vec4u;

fn even_bits(bits: PieceBits) -> vec4u { return bits; }

fn odd_bits(bits: PieceBits) -> vec4u { return bits; }
