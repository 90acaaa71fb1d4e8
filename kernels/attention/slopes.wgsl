// provides: slopes
// needs: rotation
// Where attention/backward_* write: the gradient of a token's query or key, turned back if those were rotated.

@group(0) @binding(9) var<storage, read_write> dqkv: array<Pack>;
@group(0) @binding(10) var<storage, read> frequencies: array<PackBits>;   // (D), see lib/turn

// The query or key was rotated by rope before, and dqkv is the gradient of what it was then.
override ROTATED: bool = false;

var<private> slopes: array<vec4f, MAX_VECS>;   // gradient of the token's query or key, before the scale
var<private> own: u32;                         // where it begins
var<private> position: u32;                    // of the token

fn write_sum(at: u32, even_sum: vec4f, odd_sum: vec4f) {
    if (params.accumulate != 0u) {
        let before = dqkv[at];
        dqkv[at] = join(even(before) + even_sum, odd(before) + odd_sum);
    } else {
        dqkv[at] = join(even_sum, odd_sum);
    }
}

// Writes pack c of the slopes; where halves of a head are whole packs, the first half writes the second as well.
fn write_slopes(c: u32) {
    let i = PARTS * c;
    let j = i + PARTS - 1u;
    if (!ROTATED) {
        write_sum(own + c, slopes[i] * params.scale, slopes[j] * params.scale);
        return;
    }
    if (HEAD_PACKS % 2u == 0u && c >= HEAD_PACKS / 2u) { return; }
    set_angles(position, c);
    cosine_even *= params.scale;
    sine_even *= params.scale;
    cosine_odd *= params.scale;
    sine_odd *= params.scale;
    // A rotation's transpose is its inverse.
    let p = PARTS * partner(c);
    let n = PARTS * partner_next(c);
    let partner_even = partners(slopes[p], slopes[n]);
    let partner_odd = partners(slopes[p + PARTS - 1u], slopes[n + PARTS - 1u]);
    write_sum(
        own + c,
        slopes[i] * cosine_even - partner_even * sine_even,
        slopes[j] * cosine_odd - partner_odd * sine_odd,
    );
    if (HEAD_PACKS % 2u == 0u) {
        write_sum(
            own + c + HEAD_PACKS / 2u,
            partner_even * cosine_even + slopes[i] * sine_even,
            partner_odd * cosine_odd + slopes[j] * sine_odd,
        );
    }
}
