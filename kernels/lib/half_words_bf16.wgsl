// provides: half_words when stored=bf16
// The numbers of words, each of which holds two in bfloat16, the upper half of a float32: those of even index are the low
// halves. Reading needs no feature.

fn halves(word: u32) -> vec2f { return bitcast<vec2f>(vec2u(word << 16u, word & 0xffff0000u)); }

fn low_halves(words: vec4u) -> vec4f { return bitcast<vec4f>(words << vec4u(16u)); }

fn high_halves(words: vec4u) -> vec4f { return bitcast<vec4f>(words & vec4u(0xffff0000u)); }
