"""Looks whether the files with the certificates have changed, and shows until when these are good."""

import logging

from gateway.config.settings import TlsSettings
from gateway.config.source import ReadFile, read_text
from gateway.config.tls import TlsInvalid, read_again
from gateway.core.certificates import read_leaf
from gateway.observe.metrics import WorkerMetrics

_log = logging.getLogger("gateway.workers")


class CertificateWatch:
    """settings: those that are served. The texts are compared, not times or inodes: files may be replaced, rewritten,
    or be links of which a folder in between is switched. A change is judged once two looks in a row have seen the same
    texts, so that a certificate is not taken for another's while its key is still being written.
    """

    def __init__(self, settings: TlsSettings, metrics: WorkerMetrics, read_file: ReadFile = read_text) -> None:
        self._settings = settings
        self._read_file = read_file
        self._metrics = metrics
        self._judged = self._texts()
        self._seen = self._judged
        self._renewed = metrics.counter("gateway_tls_renewals", _RENEWALS_HELP, outcome="done")
        self._failed = metrics.counter("gateway_tls_renewals", _RENEWALS_HELP, outcome="failed")
        self._show()

    def look(self, now_s: float) -> TlsSettings | None:
        """What is to be served from now on, or None where all stays as it is. now_s: Unix time."""
        texts = self._texts()
        is_settled, self._seen = texts == self._seen, texts
        if texts == self._judged or not is_settled:
            return None
        self._judged = texts
        try:
            renewed = read_again(self._settings, now_s=now_s, read_file=self._read_file)
        except TlsInvalid as error:
            self._failed.inc()
            _log.error("certificates are not renewed, the old ones stay: %s", error)
            return None
        if renewed == self._settings:
            return None
        self._settings = renewed
        self._renewed.inc()
        self._show()
        _log.info("certificates are renewed")
        return renewed

    def _texts(self) -> list[str]:
        texts = []
        for path in self._paths():
            try:
                texts.append(self._read_file(path))
            except (OSError, ValueError) as error:
                texts.append(f"{type(error).__name__}: {error}")
        return texts

    def _paths(self) -> list[str]:
        settings = self._settings
        pairs = [path for pair in settings.certified_keys for path in (pair.certificate_path, pair.key_path)]
        return [*pairs, settings.client_ca_path] if settings.client_ca_path else pairs

    def _show(self) -> None:
        for pair in self._settings.certified_keys:
            self._metrics.gauge(
                "gateway_tls_certificate_not_after_seconds",
                "When the certificate that is served ends, as a Unix time.",
                file=pair.certificate_path,
            ).set(read_leaf(pair.certificate).not_after_s)


_RENEWALS_HELP = "Changes of the files with the certificates, by what came of them."
