#!/bin/sh
# TensorBoard 2.20.0: EventAccumulator, the usual way to read a run in Python, keeps ten points of a curve that was written
# as tensors (as tf.summary.scalar does), a random ten, and says nothing; of the same curve written as simple values (as
# PyTorch's SummaryWriter does) it keeps ten thousand. size_guidance={"tensors": 0} keeps all.
# Seen: 10 of 1000 points, 1000 of 1000 as simple values, 1000 with the size given.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q tensorboard==2.20.0 numpy==2.4.6 'setuptools<81'
cat >look.py <<'PY'
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR, Summary, SummaryMetadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

STEPS = 1000
SCALAR = SummaryMetadata(
    plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"), data_class=DATA_CLASS_SCALAR
)


def write(folder, value):
    writer = EventFileWriter(folder)
    for step in range(STEPS):
        writer.add_event(Event(step=step, wall_time=step, summary=Summary(value=[value(step)])))
    writer.close()


def read(folder, **options):
    events = EventAccumulator(folder, **options)
    events.Reload()
    kept = events.Scalars("reward") if events.Tags()["scalars"] else events.Tensors("reward")
    return f"{len(kept)} of {STEPS} points"


write("tensors", lambda step: Summary.Value(tag="reward", metadata=SCALAR, tensor=make_tensor_proto(np.float32(step))))
write("simple", lambda step: Summary.Value(tag="reward", simple_value=step))
print("tensors:", read("tensors"))
print("simple values:", read("simple"))
print("tensors, size 0:", read("tensors", size_guidance={"tensors": 0}))
PY
cat >expected <<'TEXT'
tensors: 10 of 1000 points
simple values: 1000 of 1000 points
tensors, size 0: 1000 of 1000 points
TEXT
venv/bin/python look.py | tee seen
diff expected seen
