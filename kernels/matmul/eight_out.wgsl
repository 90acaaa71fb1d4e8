// What nn and nt_eight do with eight columns of a row of the product: they are out. nn_gates is the other way for nn.

override ACCUMULATE: bool = false;   // add to out

fn put(at: Place, row: u32, evens: vec4f, odds: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        let i = row * at.stride + at.column;
        if (ACCUMULATE) {
            let before = out[i];
            out[i] = join(even(before) + evens, odd(before) + odds);
        } else {
            out[i] = join(evens, odds);
        }
    }
}
