"""Mail by SMTP (RFC 5321), messages by RFC 5322."""

from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

import aiosmtplib

TIMEOUT_S = 10.0

Attachment = tuple[str, str, bytes]  # its name, its media type, its content


class MailError(Exception):
    """A message was not taken."""


class Mailer:
    """Sends by the server of `smtp://user:password@host:port` (STARTTLS where it is offered) or `smtps://` (TLS)."""

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("not a mail server: it looks like smtp://user:password@host:587")
        self._host, self._tls = parts.hostname, parts.scheme == "smtps"
        self._port = parts.port or (465 if self._tls else 587)
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self.sender = sender

    def __repr__(self) -> str:
        return f"<Mailer {self._host}:{self._port}>"

    @property
    def domain(self) -> str:
        """The sender's, for message ids."""
        return self.sender.rpartition("@")[2]

    async def send(
        self,
        *,
        to: str,
        subject: str,
        text: str,
        attachments: Sequence[Attachment] = (),
        message_id: str,
        html: str = "",
    ) -> None:
        """Hands a message over. Raises MailError where the server does not take it or does not answer."""
        message = EmailMessage()
        message["From"], message["To"] = self.sender, to
        message["Subject"] = " ".join(subject.split())  # a line break would start another header
        message["Date"], message["Message-ID"] = formatdate(), f"<{message_id}>"
        message.set_content(text)
        if html:
            message.add_alternative(html, subtype="html")
        for name, media_type, content in attachments:
            main, _, sub = media_type.partition("/")
            message.add_attachment(content, maintype=main, subtype=sub, filename=name)
        try:
            await aiosmtplib.send(
                message, hostname=self._host, port=self._port, username=self._user, password=self._password,
                use_tls=self._tls, timeout=TIMEOUT_S,
            )  # fmt: skip
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailError(f"{self._host}:{self._port}: {error}") from None
