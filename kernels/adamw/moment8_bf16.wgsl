// provides: moment when stored=bf16 pack=8
// needs: dithered, threefry
// A pack of eight moments as bfloat16, which are two packs of moment4_bf16: two 64-bit integers.

alias Moment = vec2<u64>;

fn moment_words(moment: Moment) -> vec4u {
    let low = vec2u(moment);
    let high = vec2u(moment >> vec2u(32u));
    return vec4u(low.x, high.x, low.y, high.y);
}

fn moment_even(moment: Moment) -> vec4f { return bitcast<vec4f>(moment_words(moment) << vec4u(16u)); }

fn moment_odd(moment: Moment) -> vec4f { return bitcast<vec4f>(moment_words(moment) & vec4u(0xffff0000u)); }

fn moment_of(even: vec4f, odd: vec4f, key: vec2u, index: u32, which: u32) -> Moment {
    let words = vec4u(
        threefry2x32(key, vec2u(2u * index, which)),
        threefry2x32(key, vec2u(2u * index + 1u, which)),
    );
    let bits = (dithered(even, words & vec4u(0xffffu)) >> vec4u(16u)) | dithered(odd, words >> vec4u(16u));
    return Moment(bits.xz) | (Moment(bits.yw) << vec2u(32u));
}
