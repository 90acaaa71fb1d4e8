// provides: each when calls=32
// needs: each4
// For heads of up to 32 packs.

fn each(phase: u32) {
    each4(phase, 0u);
    each4(phase, 4u);
    each4(phase, 8u);
    each4(phase, 12u);
    each4(phase, 16u);
    if (HEAD_PACKS > 20u) { each4(phase, 20u); }
    if (HEAD_PACKS > 24u) { each4(phase, 24u); }
    if (HEAD_PACKS > 28u) { each4(phase, 28u); }
}
