"""Header fields as an ordered list of lines, names in lower case bytes.

HTTP/1.1 field names are case-insensitive (RFC 9110 section 5.1), so every name is lowered once, where it is parsed, and
compared as bytes from then on. Lines keep their order and their repetitions (RFC 9110 section 5.3).
"""

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.core.explain_token import EXPLAIN_HEADER

HeaderLine = tuple[bytes, ...]
"""Name and value. Not typed as a pair: mypyc keeps pairs unboxed, and would make a new tuple at each use of a line."""

# RFC 9110 section 7.6.1: fields that belong to one connection and must not be forwarded.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# What of a reply's head is not the upstream's to say to the client: framing is the lane's, the request id is set by the
# gateway, once, and so is what became of the exchange.
NOT_RETURNED: Final = HOP_BY_HOP | frozenset({b"content-length", b"x-request-id", EXPLAIN_HEADER})

MIRROR_HEADER: Final = b"x-gateway-mirror"
"""In a copy of a request, with the id of the route that copies; only the gateway says so."""


class HeaderBlock:
    """Lines that many messages have in common, none of whose names is repeated; never edited.

    forwarded: the same as text for an upstream, kept here by who writes that, for as long as the block is remembered.
    returned: the start of the head for a client, likewise (`proxy/whole_reply.py`); of a block that goes with one
    status and one body.
    """

    __slots__ = ("forwarded", "index", "lines", "returned")

    def __init__(self, lines: list[HeaderLine], index: dict[bytes, bytes]) -> None:
        self.lines = lines
        self.index = index
        self.forwarded: bytes | None = None
        self.returned: bytes | None = None


class Headers:
    """An ordered multimap of header lines. Names given to its methods must be lower case bytes.

    block: set as long as these are exactly the lines of that block; the first change takes copies of its own.
    texts: the first lines as they are written, where the parser knows that; dropping a line drops them.
    """

    __slots__ = ("_index", "block", "lines", "texts")

    def __init__(self, lines: Iterable[HeaderLine] = (), block: HeaderBlock | None = None) -> None:
        self.lines: list[HeaderLine] = list(lines) if block is None else block.lines
        self.block: HeaderBlock | None = block
        self.texts: list[bytes] | None = None
        self._index: dict[bytes, bytes] | None = None if block is None else block.index

    @classmethod
    def of_block(cls, block: HeaderBlock) -> "Headers":
        """The lines of a block."""
        return cls((), block)

    def get(self, name: bytes) -> bytes | None:
        """The value of the last line of that name, or None. Built on a dict that is made at the first look-up."""
        index = self._index
        if index is None:
            index = self._index = _index_of(self.lines)
        return index.get(name)

    def get_all(self, name: bytes) -> list[bytes]:
        """The values of all lines of that name, in order."""
        return [value for key, value in self.lines if key == name]

    def get_list(self, name: bytes) -> bytes | None:
        """All lines of a list field as one value (RFC 9110 section 5.2), or None where there is no line."""
        if self.get(name) is None:
            return None
        return b", ".join(self.get_all(name))

    def has_none_of(self, names: frozenset[bytes]) -> bool:
        """Whether no line has one of these names; cheaper than to ask for three of them."""
        index = self._index
        if index is None:
            index = self._index = _index_of(self.lines)
        return names.isdisjoint(index)

    def is_repeated(self, name: bytes) -> bool:
        """Whether the name has several lines; one comparison of lengths where no name of the message has."""
        index = self._index
        if index is None:
            index = self._index = _index_of(self.lines)
        return len(index) != len(self.lines) and len(self.get_all(name)) > 1

    def add(self, name: bytes, value: bytes) -> None:
        """Append one line."""
        self._take_own()
        self.lines.append((name, value))
        if self._index is not None:
            self._index[name] = value

    def set(self, name: bytes, value: bytes) -> None:
        """Replace every line of that name by one."""
        self._take_own()
        index = self._index
        # A look along a dozen lines costs a fifth of an index of them, which most replies can do without.
        if self._has_line(name) if index is None else name in index:
            self._drop(name)
        self.lines.append((name, value))
        if index is not None:
            index[name] = value

    def remove(self, name: bytes) -> None:
        """Drop every line of that name; none is no error."""
        if self.get(name) is not None:
            self._drop(name)
            self.block = None
            self._index = None

    def copy(self) -> "Headers":
        """An independent copy."""
        return Headers(self.lines)

    def _has_line(self, name: bytes) -> bool:
        return any(line[0] == name for line in self.lines)

    def _drop(self, name: bytes) -> None:
        self.lines = [line for line in self.lines if line[0] != name]
        self.texts = None

    def _take_own(self) -> None:
        block = self.block
        if block is not None:
            self.block = None
            self.lines = list(block.lines)
            self._index = dict(block.index)

    def __contains__(self, name: bytes) -> bool:
        index = self._index
        if index is None:
            index = self._index = _index_of(self.lines)
        return name in index

    def __iter__(self) -> Iterator[HeaderLine]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.lines == other.lines

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # Values may be secrets, so only the names are shown.
        return f"<Headers {', '.join(name.decode('latin-1') for name, _ in self.lines)}>"


def _index_of(lines: list[HeaderLine]) -> dict[bytes, bytes]:
    return {line[0]: line[1] for line in lines}


def connection_options(headers: Headers) -> frozenset[bytes]:
    """The names that Connection lists, lower case: they too end at this hop (RFC 9110 section 7.6.1)."""
    value = headers.get(b"connection")
    if value is None:
        return frozenset()
    if value == b"keep-alive" or value == b"close":
        joined = headers.get_all(b"connection")
        if len(joined) == 1:
            return frozenset((value,))
    listed = headers.get_list(b"connection") or b""
    return frozenset(part.strip().lower() for part in listed.split(b",") if part.strip())


def add_to_vary(headers: Headers, name: bytes) -> None:
    """Name one more request field that the reply was chosen by (RFC 9110 section 12.5.5); kept as one line."""
    if headers.get(b"vary") is None:
        headers.add(b"vary", name)
        return
    value = headers.get_list(b"vary") or b""
    listed = {part.strip().lower() for part in value.split(b",")}
    if b"*" not in listed and name.lower() not in listed:
        headers.set(b"vary", value + b", " + name)


def is_token(value: bytes) -> bool:
    """Whether the bytes are one `token` (RFC 9110 section 5.6.2)."""
    return bool(value) and not value.translate(None, _TOKEN_BYTES)


def is_field_value(value: bytes) -> bool:
    """Whether the bytes may stand as a field value: no CR, LF, NUL or other control but tab (RFC 9110 section 5.5)."""
    return not _CONTROL_BYTES.intersection(value) and value == value.strip(b" \t")


_TOKEN_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CONTROL_BYTES: Final = frozenset(range(32)) - {9} | {127}
