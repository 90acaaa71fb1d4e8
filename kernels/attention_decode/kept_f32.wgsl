// How prompts and cache are kept: pieces of float32. attention_decode/kept_f16_*.wgsl are the other way.

alias Kept = Piece;

fn kept_even(piece: Kept) -> vec4f { return even(piece); }

fn kept_odd(piece: Kept) -> vec4f { return odd(piece); }

fn keep(piece: Piece) -> Kept { return piece; }
