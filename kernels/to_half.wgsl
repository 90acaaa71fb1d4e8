// needs: pack, stored, spans, workgroup
// Rounding part of every row of a matrix (rows, stride) to 16 bits, float16 or bfloat16. All sizes are in packs. One workgroup
// per chunk of what is rounded.
//   convert          y (rows, width) = that part of x, packed
//   round_in_place   that part of z is rounded in place and stays float32
//   restore          wide = the numbers that narrow has in 16 bits; both (count)

struct Params {
    count: u32,    // rows * width
    chunk: u32,    // packs per workgroup
    width: u32,    // packs taken of a row
    stride: u32,   // packs in a row
    first: u32,    // where in a row they begin
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Pack>;
@group(0) @binding(2) var<storage, read_write> y: array<Stored>;
@group(0) @binding(3) var<storage, read_write> z: array<Pack>;

@group(0) @binding(4) var<storage, read> narrow: array<Stored>;
@group(0) @binding(5) var<storage, read_write> wide: array<Pack>;

// Where pack i of the part is.
fn place(i: u32) -> u32 {
    return i / params.width * params.stride + params.first + i % params.width;
}

@compute @workgroup_size(LANES)
fn convert(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let span = span_of(number_of(group), lane, params.chunk, params.count);
    for (var i = span.first; i < span.end; i += span.step) { y[i] = store(x[place(i)]); }
}

@compute @workgroup_size(LANES)
fn round_in_place(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let span = span_of(number_of(group), lane, params.chunk, params.count);
    for (var i = span.first; i < span.end; i += span.step) {
        let rounded = store(z[place(i)]);
        z[place(i)] = join(stored_even(rounded), stored_odd(rounded));
    }
}

@compute @workgroup_size(LANES)
fn restore(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let span = span_of(number_of(group), lane, params.chunk, params.count);
    for (var i = span.first; i < span.end; i += span.step) {
        let numbers = narrow[i];
        wide[i] = join(stored_even(numbers), stored_odd(numbers));
    }
}
