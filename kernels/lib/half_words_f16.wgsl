// provides: half_words when stored=f16
// The numbers of four words, each of which holds two in float16: those of even index are the low halves.

fn halves(word: u32) -> vec2f { return unpack2x16float(word); }

fn low_halves(words: vec4u) -> vec4f {
    return vec4f(
        unpack2x16float(words.x).x,
        unpack2x16float(words.y).x,
        unpack2x16float(words.z).x,
        unpack2x16float(words.w).x,
    );
}

fn high_halves(words: vec4u) -> vec4f {
    return vec4f(
        unpack2x16float(words.x).y,
        unpack2x16float(words.y).y,
        unpack2x16float(words.z).y,
        unpack2x16float(words.w).y,
    );
}
