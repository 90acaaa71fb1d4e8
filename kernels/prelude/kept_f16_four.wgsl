// How pieces of four numbers are kept in float16. prelude/halves is appended.

alias Kept = vec2u;

fn kept_even(piece: Kept) -> vec4f { return vec4f(unpack2x16float(piece.x), unpack2x16float(piece.y)); }

fn kept_odd(piece: Kept) -> vec4f { return kept_even(piece); }

fn keep(piece: Piece) -> Kept { return halves_of(even(piece)); }
