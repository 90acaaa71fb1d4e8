// provides: rotation
// needs: turn, pack, each, block
// Rotating a head that is read in packs. Dimension d is turned with its partner d + D/2. The kernel declares frequencies (D), an array<PackBits>.

// How the parts of the pack at hand are turned; sines are negative in the first half of a head.
var<private> cosine_even: vec4f;
var<private> cosine_odd: vec4f;
var<private> sine_even: vec4f;
var<private> sine_odd: vec4f;

fn turns(fractions: vec4u) -> mat4x2f {
    return mat4x2f(turn(fractions.x), turn(fractions.y), turn(fractions.z), turn(fractions.w));
}

// Prepares for pack c of any head at a position.
fn set_angles(position: u32, c: u32) {
    let bits = frequencies[c];
    let sign = select(vec4f(1.0), vec4f(-1.0), 2u * (4u * c + LOW) < vec4u(4u * HEAD_PACKS));
    let x = turns(position * even_bits(bits));
    cosine_even = vec4f(x[0].x, x[1].x, x[2].x, x[3].x);
    sine_even = vec4f(x[0].y, x[1].y, x[2].y, x[3].y) * sign;
    if (PARTS > 1u) {
        let y = turns(position * odd_bits(bits));
        cosine_odd = vec4f(y[0].x, y[1].x, y[2].x, y[3].x);
        sine_odd = vec4f(y[0].y, y[1].y, y[2].y, y[3].y) * sign;
    }
}

// The pack in which the partners of pack c begin. For odd HEAD_PACKS they straddle it and the next one.
fn partner(c: u32) -> u32 {
    let middle = (HEAD_PACKS + 1u) / 2u;
    return select(c + HEAD_PACKS / 2u, c - middle, c >= middle);
}

fn partner_next(c: u32) -> u32 {
    return (partner(c) + HEAD_PACKS % 2u) % HEAD_PACKS;
}

// A part of the partners, from the same part of those two packs.
fn partners(part: vec4f, next: vec4f) -> vec4f {
    if (HEAD_PACKS % 2u == 1u) { return vec4f(part.zw, next.xy); }
    return part;
}
