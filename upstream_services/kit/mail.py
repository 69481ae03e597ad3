"""Mail by SMTP (RFC 5321), messages by RFC 5322."""

from collections.abc import Mapping, Sequence
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

import aiosmtplib

TIMEOUT_S = 10.0
BAD_ADDRESS = 553  # what a server says of an address that is none

Attachment = tuple[str, str, bytes]  # its name, its media type, its content


class MailError(Exception):
    """A message was not taken.

    `code`: the server's reply where it is about this message, and the next one may pass; None where there is no server,
    or it takes none of ours. `is_final`: nor will it be taken later (a 5yz reply; RFC 5321, section 4.2.1).
    """

    def __init__(self, reason: str, *, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code

    @property
    def is_final(self) -> bool:
        """Whether trying again is of no use."""
        return self.code is not None and self.code >= 500


def _code_of(error: Exception) -> int | None:
    match error:
        case aiosmtplib.SMTPRecipientsRefused():  # there is one
            return error.recipients[0].code
        case aiosmtplib.SMTPDataError():
            return error.code
    return None


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
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Hands a message over. Raises MailError where the server does not take it or does not answer."""
        message = EmailMessage()
        message["From"] = self.sender
        try:
            # As one address: read as a header, "a,b@x.example" would be two, of whom nobody asked for the second.
            message["To"] = Address(addr_spec=to)
        except (ValueError, HeaderParseError):
            raise MailError(f"{to!r} is no address", code=BAD_ADDRESS) from None
        message["Subject"] = " ".join(subject.split())  # a line break would start another header
        message["Date"], message["Message-ID"] = formatdate(), f"<{message_id}>"
        for name, value in (headers or {}).items():
            message[name] = value
        message.set_content(text)
        if html:
            message.add_alternative(html, subtype="html")
        for name, media_type, content in attachments:
            main, _, sub = media_type.partition("/")
            message.add_attachment(content, maintype=main, subtype=sub, filename=name)
        try:
            await aiosmtplib.send(
                message, recipients=[to], hostname=self._host, port=self._port, username=self._user,
                password=self._password, use_tls=self._tls, timeout=TIMEOUT_S,
            )  # fmt: skip
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailError(f"{self._host}:{self._port}: {error}", code=_code_of(error)) from None
        except ValueError as error:  # also of text that no server could be sent
            raise MailError(str(error), code=BAD_ADDRESS) from None
