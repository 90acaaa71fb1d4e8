// provides: attention
// needs: segments, pack, each, block, passing
// Causal grouped-query attention over packed segments that share prompt prefixes (FlashAttention-2, arXiv 2307.08691):
//   out = softmax(q k^T / sqrt(D)) v, with scores never stored; the log-sum-exp of each row is.
// qkv (T, (H + 2J) D); out, dout (T, H D); stats (T, H, 2): lse and row_dot. Segments and tiles: see attention/segments.
// This file is what the passes attention/forward, /backward_query and /backward_key have in common. In each a workgroup
// is a tile of tokens and a head, and a lane is one token; the rows of the other side are walked through in blocks, and
// reach all lanes through the *_rows functions of attention/shuffle or attention/direct.
// Scores are in units of log 2, so that exp2 serves.

override BLOCK: u32 = 4u;   // rows of the other side at a time: 4 or 8, see lib/block

// What *_rows give the rows of, beside qkv.
@group(0) @binding(4) var<storage, read> dout: array<Pack>;
@group(0) @binding(5) var<storage, read> saved_stats: array<f32>;
