// provides: turn
// Cosine and sine of an angle given in turns as a 32-bit fraction: angle = 2 pi * fraction / 2^32.
// A position times a frequency in these units wraps around as the angle does, so large positions lose no precision:
// the error is position * 2^-33 turns, 7e-6 radians at position 10000 (a float32 angle is off by up to 5e-4 there).
// The polynomials (Cephes, |x| <= pi/4, error 1e-7) make the result the same on every device.

fn turn(fraction: u32) -> vec2f {
    let quadrant = (fraction + 0x20000000u) >> 30u;
    let x = f32(bitcast<i32>(fraction - (quadrant << 30u))) * 1.46291807926715968e-9;
    let xx = x * x;
    let sine = x + x * xx * (-1.6666654611e-1 + xx * (8.3321608736e-3 - xx * 1.9515295891e-4));
    let cosine = 1.0 - 0.5 * xx
        + xx * xx * (4.166664568298827e-2 + xx * (-1.388731625493765e-3 + xx * 2.443315711809948e-5));
    let turned = select(vec2f(cosine, sine), vec2f(-sine, cosine), (quadrant & 1u) == 1u);
    return select(turned, -turned, (quadrant & 2u) == 2u);
}
