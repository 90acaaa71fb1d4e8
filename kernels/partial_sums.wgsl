// needs: pack, workgroup
// out = sum over parts of partials, in ascending order, for several stretches of out in one dispatch. A stretch of n numbers
// lies in partials as (parts, n). The terms it is the sum of, such as the tokens of a weight's gradient, were cut into parts
// of `step` terms, or of more where that would make more than `most`.
// A workgroup adds up CHUNK packs of a stretch. `stretches` has six numbers for each:

const FIRST = 0u;      // its first workgroup
const SIZE = 1u;       // its packs
const OUT = 2u;        // its first pack in out
const PARTIALS = 3u;   // its first pack in partials
const STEP = 4u;
const MOST = 5u;
const STRIDE = 6u;

struct Params {
    count: u32,   // stretches
    terms: u32,
}

override LANES: u32 = 64u;
override CHUNK: u32 = 256u;          // packs per workgroup
override ACCUMULATE: bool = false;   // add to out

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> stretches: array<u32>;
@group(0) @binding(2) var<storage, read> partials: array<Pack>;
@group(0) @binding(3) var<storage, read_write> out: array<Pack>;

// The last stretch that begins at or before a workgroup.
fn stretch_of(id: u32) -> u32 {
    var first = 0u;
    var count = params.count;
    while (count > 1u) {
        let half = count / 2u;
        if (stretches[(first + half) * STRIDE + FIRST] <= id) {
            first += half;
            count -= half;
        } else {
            count = half;
        }
    }
    return first;
}

@compute @workgroup_size(LANES)
fn add_up(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let id = number_of(group);
    let s = stretch_of(id) * STRIDE;
    let most = stretches[s + MOST];
    let step = max(stretches[s + STEP], (params.terms + most - 1u) / most);
    let parts = (params.terms + step - 1u) / step;
    let size = stretches[s + SIZE];
    let to = stretches[s + OUT];
    let first = stretches[s + PARTIALS];
    let begin = (id - stretches[s + FIRST]) * CHUNK;
    let end = min(begin + CHUNK, size);
    for (var i = begin + lane; i < end; i += LANES) {
        var evens = Part();
        var odds = Part();
        if (ACCUMULATE) {
            let before = out[to + i];
            evens = even(before);
            odds = odd(before);
        }
        var j = first + i;
        for (var part = 0u; part < parts; part++) {
            let pack = partials[j];
            evens += even(pack);
            odds += odd(pack);
            j += size;
        }
        out[to + i] = join(evens, odds);
    }
}
