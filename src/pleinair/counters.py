"""What a server counts, for Prometheus: the only room that knows its client."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pleinair.orders import Order, Orders

TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 150, 300)


class Counters:
    """Counters of one app, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "pleinair_requests",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._refused = Counter(
            "pleinair_refused",
            "Requests and photos that got no painting, by reason.",
            ["reason"],
            registry=self._registry,
        )
        self._waited = Histogram(
            "pleinair_waited_seconds",
            "How long photos waited for their turn.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._painted = Histogram(
            "pleinair_painted_seconds",
            "How long reading, painting and encoding took.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._pixels = Counter(
            "pleinair_painted_pixels", "Pixels of finished paintings.", registry=self._registry
        )

    def watch(self, orders: Orders) -> None:
        """Show how long the line is."""
        waiting = Gauge("pleinair_waiting", "Photos that wait.", registry=self._registry)
        waiting.set_function(lambda: orders.waiting)
        painting = Gauge("pleinair_painting", "Photos at work.", registry=self._registry)
        painting.set_function(lambda: orders.at_work)

    def request(self, route: str, method: str, status: int) -> None:
        """One request was answered. route: its pattern, so that there are few of them."""
        self._requests.labels(route, method, str(status)).inc()

    def refused(self, reason: str) -> None:
        """One got no painting."""
        self._refused.labels(reason).inc()

    def ended(self, order: Order) -> None:
        """An order came to its end."""
        if order.began:
            self._waited.observe(order.waited)
        if order.state == "done":
            self._painted.observe(order.seconds)
            self._pixels.inc(order.painted[0] * order.painted[1])
        elif order.error is not None:
            self.refused(order.error.reason)

    def text(self) -> bytes:
        """All of them as Prometheus reads them."""
        return generate_latest(self._registry)
