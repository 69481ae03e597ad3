"""What stands in the table and nothing uses: most often the other half of a misspelt name."""

from collections.abc import Iterator
from difflib import get_close_matches

from gateway.config.lint.view import Lint
from gateway.config.tree import Node


def lint_unused(lint: Lint) -> None:
    """unused_upstream, unused_profile, unused_plans, unused_tag."""
    routes = lint.root.value.get("routes")
    # Also those that a policy names (a share of the traffic, a copy of it), which always have the key `to`.
    used = set(_names_after_to(routes)) if routes is not None else set()
    for name in lint.table.upstreams:
        if name not in used:
            lint.add(
                ("upstreams", name),
                "unused_upstream",
                f'no route goes to the upstream "{name}"',
                f"write to: {name} on a route, or take it out",
                at_key=True,
            )
    profiles = {str(route.policies["auth"]) for route in lint.routes if route.has_auth}
    for name in lint.section("auth"):
        if name not in profiles:
            lint.add(
                ("auth", name),
                "unused_profile",
                f'no route uses the auth profile "{name}"',
                f"write auth: {name} on a route or in defaults, or take it out",
                at_key=True,
            )
    if lint.section("plans") and not any(getattr(r.policies.get("limit"), "plan", False) for r in lint.routes):
        lint.add(("plans",), "unused_plans", "no route limits callers by their plan", at_key=True)
    _lint_tags(lint)


def _names_after_to(node: Node) -> Iterator[str]:
    if isinstance(node.value, dict) and (target := node.value.get("to")) is not None:
        yield str(target.value)
    for child in node.children():
        yield from _names_after_to(child)


def _lint_tags(lint: Lint) -> None:
    kept = {tag for route in lint.routes for tag in getattr(route.policies.get("cache"), "tags", ())}
    for route in lint.routes:
        for index, tag in enumerate(route.policies.get("invalidates", ())):
            # An upstream may have tags of its own, so only what looks like a slip of the pen is worth a word.
            near = get_close_matches(tag, kept, n=1, cutoff=0.85) if tag not in kept else []
            if near:
                lint.add(
                    lint.path_of(route, "invalidates", index),
                    "unused_tag",
                    f'no route keeps replies under "{tag}", so "{route.id}" drops nothing of that name',
                    f'did you mean "{near[0]}"?',
                )
