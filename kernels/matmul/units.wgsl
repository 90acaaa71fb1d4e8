// needs: pack, stored, unit, workgroup
// out[M, N] = op(a)[M, K] · op(b)[K, N] (+ bias[N]) by matrix units: f16 in, f32 sums. Operands and splits are those of
// matmul/tiled, sizes too. Tiles of a and b go through workgroup memory in f16, as they lie in memory; a subgroup holds the
// sums of DOWN x ACROSS units, and a workgroup is TEAMS subgroups, TEAMS_ACROSS of them side by side (see `unit`, which the
// launcher writes out of what the device offers: units and arrays of them take constants only).
// Whatever is not stored in f16 is brought into f16's range first: each row of op(a) and column of op(b) is multiplied by a
// power of two that takes its largest number to between 2^14 and 2^15, and the sum is divided by both. So gradients do not
// vanish and large activations do not overflow: numbers lose digits only, and a row's result does not depend on other rows.

struct Params {
    rows: u32,          // M
    columns: u32,       // N
    inner: u32,         // K
    splits: u32,
    split_inner: u32,   // steps per split
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<Stored>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

override LANES: u32 = 32u;           // of a subgroup
override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override ACCUMULATE: bool = false;   // add to out
override BIAS: bool = false;         // sums of the first split begin with bias
override SCALE_B: bool = true;       // b is not stored in f16

const STEPS = 32u;                   // inner steps per tile
const FOURS = STEPS / 4u;
const PAD = 2u;                      // packs between lines: 16 bytes, which units ask for, and another bank for each line
const ROWS = TEAMS / TEAMS_ACROSS * DOWN * UNIT_ROWS;
const COLUMNS = TEAMS_ACROSS * ACROSS * UNIT_COLUMNS;
const ACROSS_FOURS = UNIT_COLUMNS / 4u;
const UNIT_FOURS = UNIT_ROWS * ACROSS_FOURS;

alias Left = subgroup_matrix_left<f16, UNIT_INNER, UNIT_ROWS>;
alias Right = subgroup_matrix_right<f16, UNIT_COLUMNS, UNIT_INNER>;
alias Sum = subgroup_matrix_result<f32, UNIT_COLUMNS, UNIT_ROWS>;

// Lines of a tile are rows of op(a) or columns of op(b) where K is contiguous in memory, else steps of K.
var<workgroup> tile_a: array<vec4<f16>, max(ROWS * (FOURS + PAD), STEPS * (ROWS / 4u + PAD))>;
var<workgroup> tile_b: array<vec4<f16>, max(COLUMNS * (FOURS + PAD), STEPS * (COLUMNS / 4u + PAD))>;
var<workgroup> largest: array<atomic<u32>, ROWS + COLUMNS>;   // bits of the largest magnitude
var<workgroup> scales: array<f32, ROWS + COLUMNS>;
var<workgroup> sums: array<vec4f, TEAMS * UNIT_FOURS>;

// Four steps of a row of op(a), or four rows of a step. Rows beyond the last one repeat it, they are not stored; steps
// beyond `end` are zero.
fn load_a(line: u32, four: u32, end: u32) -> vec4f {
    if (TRANSPOSE_A) {
        let stride = params.rows / 4u;
        let at = min(line, params.inner - 1u) * stride + min(four, stride - 1u);
        return select(vec4f(), a[at], line < end);
    }
    let stride = params.inner / 4u;
    let at = min(line, params.rows - 1u) * stride + min(four, stride - 1u);
    return select(vec4f(), a[at], 4u * four < end);
}

fn load_b(line: u32, four: u32, end: u32) -> vec4f {
    if (TRANSPOSE_B) {
        let stride = params.inner / 4u;
        let at = min(line, params.columns - 1u) * stride + min(four, stride - 1u);
        return select(vec4f(), stored_even(b[at]), 4u * four < end);
    }
    let stride = params.columns / 4u;
    let at = min(line, params.inner - 1u) * stride + min(four, stride - 1u);
    return select(vec4f(), stored_even(b[at]), line < end);
}

fn max4(v: vec4f) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }

fn note(line: u32, magnitude: f32) { atomicMax(&largest[line], bitcast<u32>(magnitude)); }

fn note_four(line: u32, magnitudes: vec4f) {
    note(line, magnitudes.x);
    note(line + 1u, magnitudes.y);
    note(line + 2u, magnitudes.z);
    note(line + 3u, magnitudes.w);
}

// The power of two that takes a number with these bits to between 2^14 and 2^15; one and its inverse are normal numbers.
fn scale_of(bits: u32) -> f32 { return bitcast<f32>(clamp(268u - (bits >> 23u), 1u, 253u) << 23u); }

fn inverse(scale: f32) -> f32 { return bitcast<f32>(0x7f000000u - bitcast<u32>(scale)); }

fn scale_four(line: u32) -> vec4f {
    return vec4f(scales[line], scales[line + 1u], scales[line + 2u], scales[line + 3u]);
}

fn left_unit(row: u32, step: u32) -> Left {
    if (TRANSPOSE_A) {
        let stride = ROWS / 4u + PAD;
        return subgroupMatrixLoad<Left, col_major>(&tile_a, step * stride + row / 4u, stride);
    }
    return subgroupMatrixLoad<Left, row_major>(&tile_a, row * (FOURS + PAD) + step / 4u, FOURS + PAD);
}

fn right_unit(column: u32, step: u32) -> Right {
    if (TRANSPOSE_B) {
        return subgroupMatrixLoad<Right, col_major>(
            &tile_b, column * (FOURS + PAD) + step / 4u, FOURS + PAD,
        );
    }
    let stride = COLUMNS / 4u + PAD;
    return subgroupMatrixLoad<Right, row_major>(&tile_b, step * stride + column / 4u, stride);
}

@compute @workgroup_size(TEAMS * LANES)
fn units(
    group: Workgroup,
    @builtin(local_invocation_index) id: u32,
    @builtin(subgroup_id) team: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let all = TEAMS * LANES;
    let across = (params.columns + COLUMNS - 1u) / COLUMNS;
    let tiles = across * ((params.rows + ROWS - 1u) / ROWS);
    let tile = number_of(group) % tiles;
    let split = number_of(group) / tiles;
    if (split >= params.splits) { return; }
    let row = (tile / across) * ROWS;
    let column = (tile % across) * COLUMNS;
    let first = split * params.split_inner;
    let end = min(first + params.split_inner, params.inner);

    for (var i = id; i < ROWS + COLUMNS; i += all) { atomicStore(&largest[i], 0u); }
    workgroupBarrier();
    if (TRANSPOSE_A) {
        for (var i = id; i < ROWS / 4u * FOURS; i += all) {
            let four = i % (ROWS / 4u);
            var most = vec4f();
            for (var k = first + i / (ROWS / 4u); k < end; k += FOURS) {
                most = max(most, abs(load_a(k, row / 4u + four, end)));
            }
            note_four(4u * four, most);
        }
    } else {
        for (var i = id; i < ROWS * FOURS; i += all) {
            var most = vec4f();
            for (var k = first / 4u + i % FOURS; 4u * k < end; k += FOURS) {
                most = max(most, abs(load_a(row + i / FOURS, k, end)));
            }
            note(i / FOURS, max4(most));
        }
    }
    if (SCALE_B && TRANSPOSE_B) {
        for (var i = id; i < COLUMNS * FOURS; i += all) {
            var most = vec4f();
            for (var k = first / 4u + i % FOURS; 4u * k < end; k += FOURS) {
                most = max(most, abs(load_b(column + i / FOURS, k, end)));
            }
            note(ROWS + i / FOURS, max4(most));
        }
    } else if (SCALE_B) {
        for (var i = id; i < COLUMNS / 4u * FOURS; i += all) {
            let four = i % (COLUMNS / 4u);
            var most = vec4f();
            for (var k = first + i / (COLUMNS / 4u); k < end; k += FOURS) {
                most = max(most, abs(load_b(k, column / 4u + four, end)));
            }
            note_four(ROWS + 4u * four, most);
        }
    }
    workgroupBarrier();
    for (var i = id; i < ROWS + COLUMNS; i += all) {
        scales[i] = select(1.0, scale_of(atomicLoad(&largest[i])), i < ROWS || SCALE_B);
    }

    let team_row = team / TEAMS_ACROSS * DOWN * UNIT_ROWS;
    let team_column = team % TEAMS_ACROSS * ACROSS * UNIT_COLUMNS;
    var sum: array<Sum, DOWN * ACROSS>;
    for (var step = first; step < end; step += STEPS) {
        workgroupBarrier();
        if (TRANSPOSE_A) {
            for (var i = id; i < STEPS * ROWS / 4u; i += all) {
                let line = i / (ROWS / 4u);
                let four = i % (ROWS / 4u);
                let values = load_a(step + line, row / 4u + four, end) * scale_four(4u * four);
                tile_a[line * (ROWS / 4u + PAD) + four] = vec4<f16>(values);
            }
        } else {
            for (var i = id; i < ROWS * FOURS; i += all) {
                let line = i / FOURS;
                let values = load_a(row + line, step / 4u + i % FOURS, end) * scales[line];
                tile_a[line * (FOURS + PAD) + i % FOURS] = vec4<f16>(values);
            }
        }
        if (TRANSPOSE_B) {
            for (var i = id; i < COLUMNS * FOURS; i += all) {
                let line = i / FOURS;
                let values = load_b(column + line, step / 4u + i % FOURS, end) * scales[ROWS + line];
                tile_b[line * (FOURS + PAD) + i % FOURS] = vec4<f16>(values);
            }
        } else {
            for (var i = id; i < STEPS * COLUMNS / 4u; i += all) {
                let line = i / (COLUMNS / 4u);
                let four = i % (COLUMNS / 4u);
                let values = load_b(step + line, column / 4u + four, end) * scale_four(ROWS + 4u * four);
                tile_b[line * (COLUMNS / 4u + PAD) + four] = vec4<f16>(values);
            }
        }
        workgroupBarrier();
        // The last tile may have fewer steps.
        for (var k = 0u; k < min(STEPS, end - step); k += UNIT_INNER) {
            var right: array<Right, ACROSS>;
            for (var j = 0u; j < ACROSS; j++) {
                right[j] = right_unit(team_column + j * UNIT_COLUMNS, k);
            }
            for (var i = 0u; i < DOWN; i++) {
                let left = left_unit(team_row + i * UNIT_ROWS, k);
                for (var j = 0u; j < ACROSS; j++) {
                    let at = i * ACROSS + j;
                    sum[at] = subgroupMatrixMultiplyAccumulate(left, right[j], sum[at]);
                }
            }
        }
    }

    let stride = params.columns / 4u;
    for (var i = 0u; i < DOWN; i++) {
        for (var j = 0u; j < ACROSS; j++) {
            workgroupBarrier();
            subgroupMatrixStore<row_major>(&sums, team * UNIT_FOURS, sum[i * ACROSS + j], ACROSS_FOURS);
            workgroupBarrier();
            for (var p = lane; p < UNIT_FOURS; p += LANES) {
                let r = team_row + i * UNIT_ROWS + p / ACROSS_FOURS;
                let c = team_column + j * UNIT_COLUMNS + 4u * (p % ACROSS_FOURS);
                let c4 = (column + c) / 4u;
                if (row + r >= params.rows || c4 >= stride) { continue; }
                let columns = scale_four(ROWS + c);
                let back = vec4f(
                    inverse(columns.x), inverse(columns.y), inverse(columns.z), inverse(columns.w),
                );
                var value = sums[team * UNIT_FOURS + p] * inverse(scales[r]) * back;
                if (BIAS && split == 0u) { value += bias[c4]; }
                let at = (split * params.rows + row + r) * stride + c4;
                if (ACCUMULATE) { out[at] += value; } else { out[at] = value; }
            }
        }
    }
}
