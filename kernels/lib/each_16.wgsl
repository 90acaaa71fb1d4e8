// provides: each when calls=16
// needs: each4
// For heads of up to 16 packs.

fn each(phase: u32) {
    each4(phase, 0u);
    if (HEAD_PACKS > 4u) { each4(phase, 4u); }
    if (HEAD_PACKS > 8u) { each4(phase, 8u); }
    if (HEAD_PACKS > 12u) { each4(phase, 12u); }
}
