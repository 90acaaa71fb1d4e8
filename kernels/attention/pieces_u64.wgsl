// A piece is eight neighbouring numbers of a row as one load, for devices with 64-bit integers: a software adapter pays
// per lane and component, not per byte. Its parts are the numbers of even and of odd index.

alias Piece = vec4<u64>;

const PARTS = 2u;

fn even(piece: Piece) -> vec4f { return bitcast<vec4f>(vec4u(piece)); }

fn odd(piece: Piece) -> vec4f { return bitcast<vec4f>(vec4u(piece >> vec4u(32u))); }

fn join(even: vec4f, odd: vec4f) -> Piece {
    return Piece(bitcast<vec4u>(even)) | (Piece(bitcast<vec4u>(odd)) << vec4u(32u));
}

alias PieceBits = vec4<u64>;

fn even_bits(bits: PieceBits) -> vec4u { return vec4u(bits); }

fn odd_bits(bits: PieceBits) -> vec4u { return vec4u(bits >> vec4u(32u)); }
