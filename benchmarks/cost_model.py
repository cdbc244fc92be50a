"""How long a step takes on many devices: counted, not measured. docs/scale.md holds it against the clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.workloads import training_products

BYTES_PER_UPDATE = 28  # Adam reads parameter, gradient and two moments, and writes all but the gradient, in float32


@dataclass(frozen=True)
class Work:
    """What a step has to do, whoever does it.

    Attributes
    ----------
    rows : int
        In a batch.
    operations : float
        Of the matrix products for one row, forward and back, all starts together.
    numbers : int
        Of all starts' parameters: as many are in the gradients that the devices sum up.
    """

    rows: int
    operations: float
    numbers: int

    @classmethod
    def of(cls, sizes: Sequence[int], rows: int) -> Work:
        """Of one start of a dense network."""
        return cls(rows, training_products(tuple(sizes), 1), sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes)))


@dataclass(frozen=True)
class Cluster:
    """Devices, and what joins them.

    Attributes
    ----------
    rate : float
        Operations a second that a device really does.
    overhead : float
        Seconds of a step with nothing to compute.
    memory : float
        Bytes a second that a device reads and writes.
    bandwidth : float
        Bytes a second between neighbours in a sum over all devices.
    latency : float
        Seconds of a round of messages, whatever its size.
    """

    rate: float
    overhead: float
    memory: float
    bandwidth: float
    latency: float

    def fixed_seconds(self, work: Work) -> float:
        """What every device does in full: begin, and step with all parameters."""
        return self.overhead + BYTES_PER_UPDATE * work.numbers / self.memory

    def compute_seconds(self, work: Work, devices: int) -> float:
        """The products of the device that got most rows of the batch."""
        return widest(work.rows, devices) * work.operations / self.rate

    def sum_seconds(self, work: Work, devices: int) -> float:
        """Summing up the gradients: each number is sent and received twice, in rounds that halve the distance."""
        if devices == 1:
            return 0.0
        moved = 2 * (devices - 1) / devices * 4 * work.numbers
        return moved / self.bandwidth + 2 * math.ceil(math.log2(devices)) * self.latency

    def step_seconds(self, work: Work, devices: int) -> float:
        """One step."""
        return self.fixed_seconds(work) + self.compute_seconds(work, devices) + self.sum_seconds(work, devices)

    def rows_per_second(self, work: Work, devices: int) -> float:
        """What a user sees."""
        return work.rows / self.step_seconds(work, devices)

    def most_devices(self, work: Work, share: float = 0.5) -> int:
        """The power of two from which on a doubling brings less than that share of a doubling."""
        devices = 1
        while self.step_seconds(work, devices) >= (1 + share) * self.step_seconds(work, 2 * devices):
            devices *= 2
        return devices


def widest(rows: int, devices: int) -> float:
    """Rows that a device computes of a batch.

    The path does not depend on the number of devices, so nobody deals the rows out evenly: a device's part of a batch
    is binomial, and all are filled up to a width that hardly any exceeds: see docs/design/xla.md.
    """
    if devices == 1:
        return float(rows)
    mean = rows / devices
    deviation = math.sqrt(mean * (1 - 1 / devices))
    return min(float(rows), mean + 4.5 * deviation)
