"""What is meant for a trial, and is easily left in the table when that is over."""

from gateway.config.lint.policies import WRITES
from gateway.config.lint.view import Lint, LintedRoute


def lint_trials(lint: Lint) -> None:
    """fault_left_on, no_share, mirrored_writes."""
    for route in lint.routes:
        _lint_fault(lint, route)
        _lint_split(lint, route)
        _lint_mirror(lint, route)


def _lint_fault(lint: Lint, route: LintedRoute) -> None:
    fault = route.policies.get("fault")
    # Where a plugin answers, nothing stands around the call to an upstream.
    if fault is None or route.compiled.call is None:
        return
    share = getattr(fault, "percent", 1.0)
    if not share:
        return
    delay_s, status = getattr(fault, "delay", None), getattr(fault, "status", None)
    does = [f"wait {delay_s:g}s"] if delay_s is not None else []
    does += [f"fail with {status}"] if status is not None else []
    path = lint.path_of(route, "fault")
    where = "" if path[0] == "routes" else "of defaults, or write fault: none on the route, "
    lint.add(
        path,
        "fault_left_on",
        f'{share:.0%} of the requests to "{route.id}" {" and ".join(does)}, because the table says so',
        f"take fault out {where}when the trial is over",
        at_key=True,
    )


def _lint_split(lint: Lint, route: LintedRoute) -> None:
    for index, part in enumerate(route.compiled.split):
        if not part.weight:
            lint.add(
                (*route.path, "split", index, "weight"),
                "no_share",
                f'weight 0: "{part.to}" gets no requests of "{route.id}"',
                "give it a weight, or take it out if it is not to come back",
            )


def _lint_mirror(lint: Lint, route: LintedRoute) -> None:
    mirror = route.compiled.mirror
    if mirror is None:
        return
    if not mirror.percent:
        lint.add(
            (*route.path, "mirror", "percent"),
            "no_share",
            f'0%: nothing of "{route.id}" is copied to "{mirror.to}"',
            "give it a share, or take mirror out",
        )
    elif route.match.methods is None or route.names_any(WRITES):
        lint.add(
            (*route.path, "mirror", "to"),
            "mirrored_writes",
            f'writes to "{route.id}" are copied as well, and "{mirror.to}" carries them out a second time',
            f'give "{mirror.to}" data of its own, or let only a route with methods: [GET, HEAD] have the mirror',
        )
