"""What the service counts, for Prometheus."""

from __future__ import annotations

from typing import final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

# Seconds; the first is what a small network takes for one row.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@final
class Metrics:
    """Counts of one service since it began."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        all_of_them = self._registry = CollectorRegistry()
        self.requests = Counter("fallline_requests", "Requests answered.", ["path", "status"], registry=all_of_them)
        self.rows = Counter("fallline_rows", "Rows predicted.", registry=all_of_them)
        self.failures = Counter(
            "fallline_failures", "Requests to predict that were refused or failed.", registry=all_of_them
        )
        self.seconds = Histogram(
            "fallline_predict_seconds",
            "From a request to predict to its answer.",
            buckets=BUCKETS,
            registry=all_of_them,
        )
        self.in_progress = Gauge(
            "fallline_predict_in_progress", "Requests to predict now under way.", registry=all_of_them
        )

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)
