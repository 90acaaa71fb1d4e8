"""What TensorBoard's own code writes and reads, for src/run/tensorboard_log.ts.

    python read_tensorboard.py --stored       base64 of the events in tests/run/tensorboard_log_test.ts
    python read_tensorboard.py <dir>          checks the event files that tensorboard_events.ts made there
"""

import base64
import io
import math
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.summary.writer.record_writer import RecordWriter


def stored():
    out = io.BytesIO()
    writer = RecordWriter(out)
    value = Summary.Value
    text = TensorProto(
        dtype=7,
        string_val=[("é" * 70).encode()],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    plugin = SummaryMetadata.PluginData(plugin_name="text")
    metadata = SummaryMetadata(plugin_data=plugin)
    for event in [
        dict(file_version="brain.Event:2"),
        dict(step=21, session_log=SessionLog(status=SessionLog.START)),
        dict(step=300, summary=Summary(value=[
            value(tag="reward/mean", simple_value=0.1),
            value(tag="eval/ä", simple_value=math.inf),
        ])),
        dict(step=300, summary=Summary(value=[value(tag="config", tensor=text, metadata=metadata)])),
    ]:
        writer.write(Event(wall_time=1700000000.25, **event).SerializeToString())
    writer.flush()
    return base64.b64encode(out.getvalue()).decode()


def check(folder):
    run = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
    run.Reload()
    assert run.FirstEventTimestamp() > 1.6e9
    tags = run.Tags()
    # simple_value is read as a scalar, a text as a tensor of the plugin "text".
    assert tags["scalars"] == ["eval/parity/mean@8", "reward/mean"], tags
    assert list(run.PluginTagToContent("text")) == ["config"]
    text = run.Tensors("config")[0].tensor_proto.string_val[0].decode()
    assert text.startswith("```json"), text
    rewards = [(e.step, e.value) for e in run.Scalars("reward/mean")]
    # Steps 4 and 5 were made again by the resumed session, with other values.
    assert [step for step, _ in rewards] == [1, 2, 3, 4, 5, 6], rewards
    expected = [0.1, 0.2, 0.3, -4, -5, math.nan]
    for (_, value), want in zip(rewards, expected):
        assert abs(value - want) < 1e-6 or (math.isnan(value) and math.isnan(want)), rewards
    assert [(e.step, e.value) for e in run.Scalars("eval/parity/mean@8")] == [(0, 0.5)]
    print(f"read back by TensorBoard: {tags['scalars']}, {len(rewards)} steps, 1 text")


if sys.argv[1] == "--stored":
    print(stored())
else:
    check(sys.argv[1])
