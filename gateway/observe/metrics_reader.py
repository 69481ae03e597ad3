"""Adds up the metrics of all workers and writes them as Prometheus text."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.observe.metrics_buffer import Buffer, Memory, Series

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of the Prometheus text format that `MetricsReader.text` writes."""

_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}


class MetricsReader(Collector):
    """Adds up the buffers of all workers, the dead ones' too, for the exposition of prometheus_client."""

    def __init__(self, memories: Sequence[Memory]) -> None:
        self._buffers = [Buffer(memory) for memory in memories]
        self._series: list[list[Series]] = [[] for _ in memories]
        self._positions = [0] * len(memories)

    def collect(self) -> Iterator[Metric]:
        """One family a metric name, in the names' order."""
        totals: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}
        described: dict[tuple[str, tuple[tuple[str, str], ...]], Series] = {}
        for number, buffer in enumerate(self._buffers):
            new, self._positions[number] = buffer.read(self._positions[number])
            self._series[number] += new
            for series in self._series[number]:
                key = series.name, series.labels
                values = buffer.values[series.index : series.index + series.width]
                total = totals.setdefault(key, [0.0] * series.width)
                totals[key] = [a + b for a, b in zip(total, values, strict=True)]
                described[key] = series
        families: dict[str, CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily] = {}
        for key in sorted(totals):
            series, total = described[key], totals[key]
            family = families.get(series.name)
            if family is None:
                labels = [label for label, _ in series.labels]
                family = families[series.name] = _FAMILIES[series.kind](series.name, series.help_text, labels=labels)
            # A claim of a token may hold half a surrogate pair, which no UTF-8 can.
            label_values = [value.encode(errors="replace").decode() for _, value in series.labels]
            if isinstance(family, HistogramMetricFamily):
                names = [*map(str, series.bounds), "+Inf"]
                family.add_metric(label_values, list(zip(names, accumulate(total[:-1]), strict=True)), total[-1])
            else:
                family.add_metric(label_values, total[0])
        yield from families.values()

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        """The counters of that name (without `_total`): labels and value of each series."""
        families = [family for family in self.collect() if family.name == name]
        return [
            (dict(sample.labels), sample.value)
            for family in families
            for sample in family.samples
            if sample.name == f"{name}_total"
        ]

    def text(self) -> bytes:
        """The Prometheus text format, `CONTENT_TYPE`."""
        return generate_latest(self)
