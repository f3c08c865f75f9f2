"""The table of toxics, one file each. A new toxic is a file, a line here, and a test."""

from harness.proxy.toxics.bandwidth import Bandwidth
from harness.proxy.toxics.corrupt import Corrupt
from harness.proxy.toxics.latency import Latency
from harness.proxy.toxics.limit_data import LimitData
from harness.proxy.toxics.noop import Noop
from harness.proxy.toxics.packet_loss import PacketLoss
from harness.proxy.toxics.reset_peer import ResetPeer
from harness.proxy.toxics.slicer import Slicer
from harness.proxy.toxics.slow_close import SlowClose
from harness.proxy.toxics.stage import Stage
from harness.proxy.toxics.timeout import Timeout

TOXICS: dict[str, type[Stage]] = {
    "bandwidth": Bandwidth,
    "corrupt": Corrupt,
    "latency": Latency,
    "limit_data": LimitData,
    "noop": Noop,
    "packet_loss": PacketLoss,
    "reset_peer": ResetPeer,
    "slicer": Slicer,
    "slow_close": SlowClose,
    "timeout": Timeout,
}
