// provides: moment when stored=bf16 pack=4
// needs: dithered, threefry
// A pack of four moments as bfloat16: two words, the first number of each in the low half.
// The chances of numbers 4 q to 4 q + 3 are the halves of threefry2x32(key, (q, which)), in the same order.

alias Moment = vec2u;

fn moment_even(moment: Moment) -> vec4f {
    let low = moment << vec2u(16u);
    let high = moment & vec2u(0xffff0000u);
    return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
}

fn moment_odd(moment: Moment) -> vec4f { return moment_even(moment); }

// `index`: the pack's, counted from the first of all; `which`: 0 for first moments, 1 for second ones.
fn moment_of(even: vec4f, odd: vec4f, key: vec2u, index: u32, which: u32) -> Moment {
    let words = threefry2x32(key, vec2u(index, which));
    let chances = vec4u(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u);
    let bits = dithered(even, chances);
    return (bits.xz >> vec2u(16u)) | bits.yw;
}
