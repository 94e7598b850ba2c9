"""The metrics of the service for Prometheus; they hold no personal data."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
USERS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters, gauges and histograms of one service, in their own registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "nearfar_http_requests", "HTTP requests answered.", ("route", "method", "status"),
            registry=registry,
        )  # fmt: skip
        self.request_seconds = Histogram(
            "nearfar_http_request_seconds",
            "Seconds from the head of a request to the end of its response.",
            ("route",), buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.refused = Counter(
            "nearfar_requests_refused",
            "Requests refused, by reason: queue-full, deadline, store-busy.", ("reason",),
            registry=registry,
        )  # fmt: skip
        self.batch_users = Histogram(
            "nearfar_batch_users", "Histories per batch.", buckets=USERS, registry=registry
        )
        self.batch_seconds = Histogram(
            "nearfar_batch_seconds", "Seconds to score a batch.", buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.ranked = Counter(
            "nearfar_index_histories",
            "Histories for models with an index, by how they were ranked: index, exact.",
            ("model", "way"), registry=registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "nearfar_queue_users", "Histories waiting to be scored.", registry=registry
        )
        self.lookups_waiting = Gauge(
            "nearfar_lookups_waiting", "Title searches waiting.", registry=registry
        )
        self.sources = Counter(
            "nearfar_recommendations",
            "Responses with recommendations, by their source: stored, history, popular.",
            ("source",), registry=registry,
        )  # fmt: skip
        self.store_failures = Counter(
            "nearfar_store_failures", "Reads of the store that failed.", registry=registry
        )
        self.loads = Counter(
            "nearfar_model_loads", "Loads of models, by outcome: done, failed.",
            ("model", "outcome"),
            registry=registry,
        )  # fmt: skip
        self.loaded = Gauge(
            "nearfar_model_loaded_timestamp_seconds", "When the served model was loaded.",
            ("model", "version"), registry=registry,
        )  # fmt: skip
        self.stale = Gauge(
            "nearfar_model_stale",
            "1 while the published version cannot be loaded and an older one is served.",
            ("model",), registry=registry,
        )  # fmt: skip
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

        self._by_route: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            route: the route's template, not the path, so that the number of labels is bounded.
            method: HTTP method.
            status: HTTP status.
            seconds: from the head of the request to the end of the response.
        """
        key = (route, method, status)
        if key not in self._by_route:
            counter = self.requests.labels(route, method, str(status))
            self._by_route[key] = counter, self.request_seconds.labels(route)
        counter, histogram = self._by_route[key]
        counter.inc()
        histogram.observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
