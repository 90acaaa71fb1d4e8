// needs: pack, spans, workgroup
// Element-wise sum: y = a + b, and for its gradient y = a or y += a; all (n). One workgroup per chunk.

struct Params {
    count: u32,        // packs
    chunk: u32,        // packs per workgroup
    accumulate: u32,   // pass: y is added to
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Pack>;
@group(0) @binding(2) var<storage, read> b: array<Pack>;
@group(0) @binding(3) var<storage, read_write> y: array<Pack>;

fn sum(p: Pack, q: Pack) -> Pack {
    return join(even(p) + even(q), odd(p) + odd(q));
}

@compute @workgroup_size(LANES)
fn add(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let span = span_of(number_of(group), lane, params.chunk, params.count);
    for (var i = span.first; i < span.end; i += span.step) { y[i] = sum(a[i], b[i]); }
}

@compute @workgroup_size(LANES)
fn pass_on(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let span = span_of(number_of(group), lane, params.chunk, params.count);
    for (var i = span.first; i < span.end; i += span.step) {
        var pack = a[i];
        if (params.accumulate != 0u) { pack = sum(pack, y[i]); }
        y[i] = pack;
    }
}
