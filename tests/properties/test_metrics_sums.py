"""Whatever the workers do, and whenever one is replaced: the exposition is the sum of what was counted."""

from collections import Counter as Tally

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.observe.metrics import WorkerMetrics
from gateway.observe.metrics_buffer import Series
from gateway.observe.metrics_reader import MetricsReader

BOUNDS = (1.0, 5.0, 25.0)
workers = st.integers(0, 2)
labels = st.text(max_size=8)
whole = st.integers(0, 100)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("count"), workers, labels, whole),
        st.tuples(st.just("set"), workers, labels, whole),
        st.tuples(st.just("observe"), workers, labels, whole),
        st.tuples(st.just("replace"), workers, labels, whole),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_the_exposition_is_the_sum(steps):
    memories = [bytearray(1 << 16) for _ in range(3)]
    metrics = [WorkerMetrics(memory) for memory in memories]
    counts: Tally[str] = Tally()
    gauges: dict[tuple[int, str], int] = {}
    observed: dict[str, list[int]] = {}
    for action, worker, label, number in steps:
        if action == "count":
            metrics[worker].counter("c", "C.", l=label).inc(number)
            counts[label] += number
        elif action == "set":
            metrics[worker].gauge("g", "G.", l=label).set(number)
            gauges[worker, label] = number
        elif action == "observe":
            metrics[worker].histogram("h", "H.", BOUNDS, l=label).observe(number)
            observed.setdefault(label, []).append(number)
        else:
            metrics[worker] = WorkerMetrics(memories[worker])
            gauges |= {key: 0 for key in gauges if key[0] == worker}
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(MetricsReader(memories).text().decode())
        for sample in family.samples
    }
    expected = {("gateway_metrics_overflow_total", ()): 0.0}
    for label, number in counts.items():
        expected["c_total", (("l", label),)] = number
    for _, label in gauges:
        expected["g", (("l", label),)] = sum(value for (_, other), value in gauges.items() if other == label)
    for label, numbers in observed.items():
        for bound in (*BOUNDS, float("inf")):
            le = "+Inf" if bound == float("inf") else str(bound)
            expected["h_bucket", (("l", label), ("le", le))] = sum(number <= bound for number in numbers)
        expected["h_sum", (("l", label),)] = sum(numbers)
        expected["h_count", (("l", label),)] = len(numbers)
    assert found == expected


@given(
    st.builds(
        Series,
        kind=st.sampled_from(["counter", "gauge"]),
        name=st.text(),
        help_text=st.text(),
        labels=st.lists(st.tuples(st.text(), st.text()), max_size=3).map(tuple),
        bounds=st.just(()),
        index=st.integers(0, 2**40),
    )
)
def test_a_line_of_the_names_reads_back(series):
    line = series.to_line()
    assert Series.from_line(line) == series
    assert line.splitlines(keepends=True) == [line]
