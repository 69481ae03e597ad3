"""What has to be remembered of an exchange between the forwarder's steps, if anything: most have nothing."""

import asyncio
from time import monotonic
from typing import Final

from gateway.plugin_api import Exchange
from gateway.upstreams.admission import PRIORITIES
from gateway.upstreams.guard import Guard, Ticket

# Who has no deadline waits for a place as long as the upstream's own `wait` says.
_FOREVER_S: Final = 86_400.0


class AttemptNotes:
    """ticket: of the attempt under way, where its upstream has a guard. pause_s: before the next attempt."""

    __slots__ = ("pause_s", "ticket")

    def __init__(self) -> None:
        self.ticket: Ticket | None = None
        self.pause_s = 0.0


def notes_of(exchange: Exchange) -> AttemptNotes:
    """Its notes, new ones where it has none."""
    notes: AttemptNotes | None = exchange.attempt
    if notes is None:
        notes = exchange.attempt = AttemptNotes()
    return notes


async def enter(exchange: Exchange, guard: Guard, priority: int, loop: asyncio.AbstractEventLoop) -> None:
    """Get a ticket for the next attempt. Raises GatewayError. A first attempt may wait for it, a repeat may not: it
    would wait for what has failed it.
    """
    if exchange.attempts:
        ticket = guard.enter_now(monotonic())
        if ticket is None:
            raise guard.refusal(monotonic())
    else:
        identity = exchange.identity
        tenant = identity.tenant if identity is not None else None
        wait_s = _FOREVER_S if exchange.deadline_s is None else max(0.0, exchange.deadline_s - monotonic())
        if exchange.is_background:
            # Nobody waits for it.
            priority = len(PRIORITIES) - 1
        ticket = await guard.enter(tenant or exchange.client_ip, priority, wait_s, loop)
    notes_of(exchange).ticket = ticket


def leave(exchange: Exchange, guard: Guard, cause: str, *, is_final: bool = True) -> None:
    """Give the ticket of the attempt back, where it has one still. cause, is_final: as `Guard.leave` takes them."""
    notes: AttemptNotes | None = exchange.attempt
    if notes is not None and notes.ticket is not None:
        ticket, notes.ticket = notes.ticket, None
        guard.leave(ticket, cause, monotonic(), is_final=is_final, is_measured=isinstance(exchange.body, bytes))
