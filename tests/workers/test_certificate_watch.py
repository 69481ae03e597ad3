"""Hazard: a certificate that is being written is taken for a bad one, or a bad one is served."""

import logging
import time

import pytest

from gateway.config.settings import TlsSettings
from gateway.config.tls import read_tls
from gateway.observe.metrics import WorkerMetrics
from gateway.observe.metrics_buffer import map_buffer
from gateway.observe.metrics_reader import MetricsReader
from gateway.workers.certificate_watch import CertificateWatch
from tests.support.certificates import DAY, Authority, Certified
from tests.support.gateway import metric

AUTHORITY = Authority()
FIRST, SECOND = AUTHORITY.issue("a.test"), AUTHORITY.issue("a.test", ends_in=30 * DAY)


class Watched:
    """A watch over `files`, at a time when FIRST and SECOND are good."""

    def __init__(self) -> None:
        self.files = {"cert.pem": FIRST.certificate, "key.pem": FIRST.key, "ca.pem": AUTHORITY.pem}
        memory = map_buffer()
        self._reader = MetricsReader([memory])
        self.now_s = time.time()
        settings = read_tls(["cert.pem"], ["key.pem"], "ca.pem", "", now_s=self.now_s, read_file=self.read)
        assert settings is not None
        self.watch = CertificateWatch(settings, WorkerMetrics(memory), self.read)

    def read(self, path: str) -> str:
        if path not in self.files:
            raise FileNotFoundError(2, "No such file", path)
        return self.files[path]

    def put(self, certified: Certified) -> None:
        self.files |= {"cert.pem": certified.certificate, "key.pem": certified.key}

    def look(self) -> TlsSettings | None:
        return self.watch.look(self.now_s)

    def metric(self, name: str, **labels: str) -> float:
        return metric(self._reader.text(), name, **labels)


def test_nothing_new_is_nothing() -> None:
    watched = Watched()
    assert [watched.look() for _ in range(3)] == [None] * 3
    assert watched.metric("gateway_tls_renewals_total") == 0


def test_a_change_is_served_once_it_has_settled_and_its_end_is_shown() -> None:
    watched = Watched()
    ends = watched.metric("gateway_tls_certificate_not_after_seconds", file="cert.pem")
    watched.put(SECOND)
    assert watched.look() is None
    renewed = watched.look()
    assert renewed is not None
    assert renewed.certified_keys[0].certificate == SECOND.certificate
    assert watched.metric("gateway_tls_certificate_not_after_seconds", file="cert.pem") == ends + 29 * 86400
    assert watched.metric("gateway_tls_renewals_total", outcome="done") == 1
    assert watched.look() is None


def test_a_key_that_is_written_after_its_certificate_is_waited_for() -> None:
    watched = Watched()
    watched.files["cert.pem"] = SECOND.certificate
    assert watched.look() is None
    watched.files["key.pem"] = SECOND.key
    assert watched.look() is None
    assert watched.look() is not None
    assert watched.metric("gateway_tls_renewals_total", outcome="failed") == 0


@pytest.mark.parametrize("how", ["gone", "damaged", "mismatched", "expired", "authority"])
def test_bad_files_are_told_of_once_and_the_old_ones_stay(how: str, caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    if how == "gone":
        del watched.files["key.pem"]
    elif how == "damaged":
        watched.files["cert.pem"] = FIRST.certificate[:100]
    elif how == "mismatched":
        watched.files["key.pem"] = SECOND.key
    elif how == "expired":
        watched.put(AUTHORITY.issue("a.test", ends_in=-DAY / 2))
    else:
        watched.files["ca.pem"] = "nobody"
    assert [watched.look() for _ in range(4)] == [None] * 4
    assert watched.metric("gateway_tls_renewals_total", outcome="failed") == 1
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert told.startswith("certificates are not renewed, the old ones stay: --tls-")
    # What is mended is served, and what is put back is what is served already.
    watched.files["ca.pem"] = AUTHORITY.pem
    watched.put(FIRST)
    assert [watched.look() for _ in range(2)] == [None] * 2
    watched.put(SECOND)
    assert watched.look() is None
    assert watched.look() is not None
