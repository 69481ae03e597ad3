"""Any probes, failures, successes and pauses, in any order: what gets requests is what a plain model says.

The model keeps the whole history and looks back, where the machines keep counts and look ahead.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.core.ejection import CONNECTION_CAUSES, COUNTED, EjectRule
from gateway.core.health import HealthRule
from gateway.core.slow_start import FIRST_SHARE
from gateway.upstreams.shape import Care
from tests.upstreams.rack import Rack

NAMES = "abcde"
names = st.sampled_from(NAMES)


class ModelEndpoint:
    def __init__(self) -> None:
        self.probes: list[bool] = []
        self.probes_since_eject = 0
        self.is_unwell = False
        self.outcomes: list[str] = []
        self.out_until_s: float | None = None
        self.out_for = ""
        self.times = 0
        self.returned_s = 0.0
        self.back_s: float | None = None

    @property
    def is_in(self) -> bool:
        return not self.is_unwell and self.out_until_s is None


class EndpointsAgreeWithTheModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.is_set_up = False

    @precondition(lambda self: not self.is_set_up)
    @rule(
        names=st.integers(1, 5).map(lambda count: NAMES[:count]),
        healthy_after=st.integers(1, 3),
        unhealthy_after=st.integers(1, 3),
        errors=st.integers(1, 3),
        at_most=st.sampled_from([0.0, 0.29, 0.5, 0.7, 1.0]),
        slow_start_s=st.sampled_from([None, 12.0]),
    )
    def set_up(
        self,
        names: str,
        healthy_after: int,
        unhealthy_after: int,
        errors: int,
        at_most: float,
        slow_start_s: float | None,
    ) -> None:
        self.is_set_up = True
        self.health = HealthRule("/h", 5.0, 1.0, healthy_after, unhealthy_after)
        self.eject = EjectRule(errors, 8.0, at_most)
        self.slow_start_s = slow_start_s
        self.rack = Rack(names, care=Care(self.health, self.eject, slow_start_s))
        self.now_s = self.rack.loop.now_s
        self.model = {name: ModelEndpoint() for name in names}

    def one(self, name: str) -> tuple[str, ModelEndpoint]:
        known = sorted(self.model)
        name = known[NAMES.index(name) % len(known)]
        return name, self.model[name]

    def back(self, endpoint: ModelEndpoint) -> None:
        endpoint.out_until_s = None
        endpoint.returned_s = self.now_s
        if not endpoint.is_unwell:
            endpoint.back_s = self.now_s

    @precondition(lambda self: self.is_set_up)
    @rule(name=names, is_good=st.booleans(), times=st.integers(1, 3))
    def probe(self, name: str, is_good: bool, times: int) -> None:
        for _ in range(times):
            self.probe_once(name, is_good)

    def probe_once(self, name: str, is_good: bool) -> None:
        name, endpoint = self.one(name)
        self.rack.probe(name, "+" if is_good else "-")
        endpoint.probes.append(is_good)
        endpoint.probes_since_eject += 1
        probes = endpoint.probes
        row = next((n for n, result in enumerate(reversed(probes)) if result is not is_good), len(probes))
        is_first = len(endpoint.probes) == 1
        if not is_good:
            if not endpoint.is_unwell and (is_first or row >= self.health.unhealthy_after):
                endpoint.is_unwell = True
                endpoint.back_s = None
            return
        has_turned = endpoint.is_unwell and row >= self.health.healthy_after
        if has_turned:
            endpoint.is_unwell = False
        if endpoint.out_until_s is not None:
            proof = min(row, endpoint.probes_since_eject)
            if endpoint.out_for in CONNECTION_CAUSES and proof >= self.health.healthy_after:
                self.back(endpoint)
        elif has_turned:
            endpoint.back_s = self.now_s

    @precondition(lambda self: self.is_set_up)
    @rule(name=names, cause=st.sampled_from([*sorted(COUNTED), "busy", "500", "ok"]), times=st.integers(1, 4))
    def finish_attempts(self, name: str, cause: str, times: int) -> None:
        for _ in range(times):
            self.finish_attempt(name, cause)

    def finish_attempt(self, name: str, cause: str) -> None:
        name, endpoint = self.one(name)
        if cause != "ok":
            self.rack.fail(name, 1, cause)
        elif self.rack.upstream.is_failing:
            self.rack.upstream.endpoint(name).succeeded()
        if cause == "busy" or endpoint.out_until_s is not None:
            return
        endpoint.outcomes.append(cause)
        outcomes = endpoint.outcomes
        row = next((n for n, each in enumerate(reversed(outcomes)) if each not in COUNTED), len(outcomes))
        if row < self.eject.errors or not endpoint.is_in:
            return
        everyone = self.model.values()
        out = sum(each.out_until_s is not None for each in everyone)
        if sum(each.is_in for each in everyone) == 1 or (out and (out + 1) / len(everyone) > self.eject.at_most + 1e-9):
            return
        forgiven = int((self.now_s - endpoint.returned_s) / self.eject.for_s)
        endpoint.times = max(0, endpoint.times - forgiven) if endpoint.times else 0
        endpoint.out_until_s = self.now_s + self.eject.for_s * min(10, 2**endpoint.times)
        endpoint.out_for = cause
        endpoint.times += 1
        endpoint.outcomes = []
        endpoint.probes_since_eject = 0
        endpoint.back_s = None

    @precondition(lambda self: self.is_set_up)
    @rule(seconds=st.sampled_from([0.5, 3.0, 8.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.rack.loop.advance(seconds)
        end_s = self.now_s + seconds
        for endpoint in self.model.values():
            if endpoint.out_until_s is not None and endpoint.out_until_s <= end_s + 1e-9:
                self.now_s = endpoint.out_until_s
                self.back(endpoint)
        self.now_s = end_s

    @precondition(lambda self: self.is_set_up)
    @invariant()
    def requests_go_where_the_model_says(self) -> None:
        well = [name for name, endpoint in self.model.items() if endpoint.is_in]
        suspects = [name for name, endpoint in self.model.items() if not endpoint.is_unwell]
        assert self.rack.rotation == "".join(well or suspects or self.model)
        for name, endpoint in self.model.items():
            standing = self.rack.upstream.endpoint(name).standing
            assert (standing.is_unwell, standing.ejections.is_out) == (
                endpoint.is_unwell,
                endpoint.out_until_s is not None,
            )

    @precondition(lambda self: self.is_set_up)
    @invariant()
    def shares_are_as_the_model_says(self) -> None:
        for name, endpoint in self.model.items():
            weight = self.rack.upstream.endpoint(name).weight
            if self.slow_start_s is None or endpoint.back_s is None:
                assert weight == 1.0
            else:
                # Between what it was a step ago and what it is now.
                elapsed_s = self.now_s - endpoint.back_s
                step_s = self.slow_start_s / 10
                low = min(1.0, max(FIRST_SHARE, (elapsed_s - step_s) / self.slow_start_s))
                assert low - 1e-6 <= weight <= min(1.0, max(FIRST_SHARE, elapsed_s / self.slow_start_s)) + 1e-6

    @precondition(lambda self: self.is_set_up)
    @invariant()
    def some_endpoint_is_never_ejected_and_timers_are_not_left(self) -> None:
        assert not all(endpoint.standing.ejections.is_out for endpoint in self.rack.endpoints)
        assert self.rack.loop.pending <= 2 * len(self.rack.endpoints)


TestStanding = EndpointsAgreeWithTheModel.TestCase
TestStanding.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
