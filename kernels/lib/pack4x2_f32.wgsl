// provides: pack when pack=4x2
// A pack of eight neighbouring numbers as two loads, for devices without 64-bit integers: its parts are the numbers of even
// and those of odd index. What pack8_f32 has for sums over rows, products do not use.

alias Pack = mat2x4f;
alias Part = vec4f;

const PARTS = 2u;
const PACK_SIZE = 8u;

fn even(pack: Pack) -> Part { return vec4f(pack[0].xz, pack[1].xz); }

fn odd(pack: Pack) -> Part { return vec4f(pack[0].yw, pack[1].yw); }

fn join(even: Part, odd: Part) -> Pack {
    return Pack(even.x, odd.x, even.y, odd.y, even.z, odd.z, even.w, odd.w);
}
