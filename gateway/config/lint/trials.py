"""What is meant for a trial, and is easily left in the table when that is over."""

from gateway.config.lint.view import Lint, LintedRoute


def lint_trials(lint: Lint) -> None:
    """fault_left_on."""
    for route in lint.routes:
        _lint_fault(lint, route)


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
