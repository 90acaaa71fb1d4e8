// needs: pack, rows, workgroup
// RMSNorm of every query and key head, in place (Qwen3, arXiv 2505.09388, section 2):
//   y = x * rstd * w;  rstd = 1 / sqrt(mean(x^2) + eps), over the D numbers of a head
// qkv (T, (H + 2J) D): the first H heads are queries, the next J keys, and the values are left alone. weight (2, D): that of
// queries, then that of keys.
// forward: heads are shared out. backward: chunks of tokens are.

struct Params {
    tokens: u32,          // T
    heads: u32,           // H
    normed_heads: u32,    // H + J
    row: u32,             // packs in a row of qkv
    columns: u32,         // packs in a head
    eps: f32,
    inverse_width: f32,   // 1 / D
    chunk_tokens: u32,    // backward: tokens per chunk
    chunks: u32,          // backward: number of chunks
}

override SAVE: bool = false;   // forward: save heads as they were, for the backward pass

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<Pack>;
@group(0) @binding(2) var<storage, read_write> qkv: array<Pack>;
@group(0) @binding(3) var<storage, read_write> unnormed: array<Pack>;   // (T, (H + J) D)

fn weight_of(head: u32) -> u32 { return select(0u, params.columns, head >= params.heads); }

@compute @workgroup_size(LANES)
fn forward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let rows = params.tokens * params.normed_heads;
    let row = row_of(number_of(group), lane, rows);
    if (row >= rows) { return; }
    let head = row % params.normed_heads;
    let begin = row / params.normed_heads * params.row + head * params.columns;
    var squares = Part();
    for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
        let pack = qkv[begin + c];
        squares += sum_parts(even(pack) * even(pack), odd(pack) * odd(pack));
        if (SAVE) { unnormed[row * params.columns + c] = pack; }
    }
    let mean = row_sum(sum_part(squares), lane) * params.inverse_width;
    let scale = inverseSqrt(mean + params.eps);
    let weights = weight_of(head);
    for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
        let pack = qkv[begin + c];
        let w = weight[weights + c];
        qkv[begin + c] = join(even(pack) * scale * even(w), odd(pack) * scale * odd(w));
    }
}

@group(0) @binding(4) var<storage, read> x: array<Pack>;               // (T, (H + J) D), as it was
@group(0) @binding(5) var<storage, read_write> dqkv: array<Pack>;      // dy, and dx afterwards
@group(0) @binding(6) var<storage, read_write> partial: array<Pack>;   // (chunks, 2, D)

// dx = rstd * (w * dy - xhat * mean(w * dy * xhat)), with xhat = x * rstd
// partial[chunk] = sums over the chunk's queries and over its keys of dy * xhat
@compute @workgroup_size(LANES)
fn backward(group: Workgroup, @builtin(local_invocation_index) lane: u32) {
    let chunk = row_of(number_of(group), lane, params.chunks);
    if (chunk >= params.chunks) { return; }
    let first = chunk * params.chunk_tokens;
    let last = min(first + params.chunk_tokens, params.tokens);
    for (var token = first; token < last; token++) {
        for (var head = 0u; head < params.normed_heads; head++) {
            let source = (token * params.normed_heads + head) * params.columns;
            let at = token * params.row + head * params.columns;
            let weights = weight_of(head);
            var squares = Part();
            var total = Part();
            for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
                let w = weight[weights + c];
                let dy = dqkv[at + c];
                let value = x[source + c];
                squares += sum_parts(even(value) * even(value), odd(value) * odd(value));
                total += sum_parts(even(w) * even(dy) * even(value), odd(w) * odd(dy) * odd(value));
            }
            let mean = row_sum(sum_part(squares), lane) * params.inverse_width;
            let scale = inverseSqrt(mean + params.eps);
            let along = row_sum(sum_part(total), lane) * scale * params.inverse_width;
            let to = 2u * chunk * params.columns + weights;
            let begins = token == first && (head == 0u || head == params.heads);
            for (var c = first_pack(lane); c < params.columns; c += PACK_STEP) {
                let w = weight[weights + c];
                let dy = dqkv[at + c];
                let value = x[source + c];
                let xhat_even = even(value) * scale;
                let xhat_odd = odd(value) * scale;
                dqkv[at + c] = join(
                    scale * (even(w) * even(dy) - xhat_even * along),
                    scale * (odd(w) * odd(dy) - xhat_odd * along),
                );
                // Only this lane touches the pack, so the running sum needs no barrier.
                var sum_even = even(dy) * xhat_even;
                var sum_odd = odd(dy) * xhat_odd;
                if (!begins) {
                    let before = partial[to + c];
                    sum_even += even(before);
                    sum_odd += odd(before);
                }
                partial[to + c] = join(sum_even, sum_odd);
            }
        }
    }
}
