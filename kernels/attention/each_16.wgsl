// For heads of up to 16 pieces, see attention/each.wgsl.

fn each(phase: u32) {
    each4(phase, 0u);
    if (HEAD_PIECES > 4u) { each4(phase, 4u); }
    if (HEAD_PIECES > 8u) { each4(phase, 8u); }
    if (HEAD_PIECES > 12u) { each4(phase, 12u); }
}
