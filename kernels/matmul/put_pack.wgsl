// provides: put when epilogue=none
// Eight columns of a row of the product are stored as one pack.

@group(0) @binding(4) var<storage, read_write> out: array<Pack>;

override ACCUMULATE: bool = false;   // add to out

fn put(at: Place, row: u32, evens: vec4f, odds: vec4f) {
    if (at.column < at.stride && row < params.rows) {
        let i = (at.split * params.rows + row) * at.stride + at.column;
        if (ACCUMULATE) {
            let before = out[i];
            out[i] = join(even(before) + evens, odd(before) + odds);
        } else {
            out[i] = join(evens, odds);
        }
    }
}
