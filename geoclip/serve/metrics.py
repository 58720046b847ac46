"""What the service counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from geoclip.serve.stages import Stages

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counts of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("geoclip_requests", "Requests answered.", ("route", "status"), registry=self.registry)
        self.errors = Counter(
            "geoclip_errors", "Requests and photos that were refused or failed.", ("kind",), registry=self.registry
        )
        self.seconds = Histogram(
            "geoclip_request_seconds", "From the first byte to the last.", ("route",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.stages = Histogram(
            "geoclip_stage_seconds", "Of a request, waiting included.", ("stage",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.batches = Histogram(
            "geoclip_batch_size", "Photos or vectors computed together.", ("stage",), buckets=SIZES,
            registry=self.registry,
        )  # fmt: skip
        self.queue = Gauge("geoclip_queue", "Requests accepted and not answered yet.", registry=self.registry)
        self.uploads = Gauge("geoclip_upload_bytes", "Bytes of bodies in memory.", registry=self.registry)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def count_stages(self, stages: Stages) -> None:
        """Take the stages of a request in."""
        for stage, seconds in stages.seconds.items():
            self.stages.labels(stage).observe(seconds)

    @property
    def text(self) -> bytes:
        """What Prometheus reads."""
        return generate_latest(self.registry)
