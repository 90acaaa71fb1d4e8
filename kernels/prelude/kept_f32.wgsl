// How pieces are kept in memory that may hold float16: as float32. kept_f16_* are the other way.

alias Kept = Piece;

fn kept_even(piece: Kept) -> vec4f { return even(piece); }

fn kept_odd(piece: Kept) -> vec4f { return odd(piece); }

fn keep(piece: Piece) -> Kept { return piece; }
