"""Whatever comes in whatever order: the breaker does what a plain reading of its rules does."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.circuit_breaker import REFUSED, BreakerSettings, CircuitBreaker, State

steps = st.lists(
    st.tuples(
        st.sampled_from(["admit", "admit", "well", "ill", "ill", "forget"]),
        st.sampled_from([0.0, 0.0, 0.05, 0.4, 1.0, 3.0, 12.0]),
        st.integers(0, 30),
    ),
    max_size=120,
)
shapes = st.builds(
    BreakerSettings,
    error_rate=st.sampled_from([0.01, 0.25, 0.5, 1.0]),
    window_s=st.sampled_from([1.0, 10.0]),
    least=st.integers(1, 6),
    open_s=st.sampled_from([1.0, 5.0]),
    trials=st.integers(1, 3),
)


@dataclass
class Model:
    """All outcomes since it closed; all tickets since it half opened."""

    shape: BreakerSettings
    state: State = State.CLOSED
    epoch: int = 0
    opened_s: float = 0.0
    outcomes: list[tuple[float, bool]] = field(default_factory=list)
    trials_out: int = 0
    trials_passed: int = 0

    def turn(self, state: State) -> None:
        self.state = state
        self.epoch += 1
        self.trials_out = self.trials_passed = 0
        self.outcomes = []

    def admit(self, now_s: float) -> int:
        if self.state is State.OPEN and now_s - self.opened_s >= self.shape.open_s:
            self.turn(State.HALF_OPEN)
        if self.state is State.OPEN:
            return REFUSED
        if self.state is State.HALF_OPEN:
            if self.trials_out + self.trials_passed == self.shape.trials:
                return REFUSED
            self.trials_out += 1
        return self.epoch

    def may_admit(self, now_s: float) -> bool:
        if self.state is State.OPEN:
            return now_s - self.opened_s >= self.shape.open_s
        return self.state is State.CLOSED or self.trials_out + self.trials_passed < self.shape.trials

    def end(self, ticket: int, now_s: float, is_ill: bool | None) -> None:
        if ticket != self.epoch:
            return
        if self.state is State.HALF_OPEN:
            self.trials_out -= 1
            if is_ill:
                self.turn(State.OPEN)
                self.opened_s = now_s
            elif is_ill is False:
                self.trials_passed += 1
                if self.trials_passed == self.shape.trials:
                    self.turn(State.CLOSED)
            return
        if is_ill is None:
            return
        self.outcomes.append((now_s, is_ill))
        slot = self.shape.window_s / 10
        counted = [ill for at_s, ill in self.outcomes if int(at_s / slot) > int(now_s / slot) - 10]
        if is_ill and len(counted) >= self.shape.least and sum(counted) >= self.shape.error_rate * len(counted):
            self.turn(State.OPEN)
            self.opened_s = now_s


@given(shapes, steps)
@settings(max_examples=300, deadline=None)
def test_it_is_the_model(shape: BreakerSettings, steps: list[tuple[str, float, int]]) -> None:
    breaker, model = CircuitBreaker(shape), Model(shape)
    now_s = 1000.0
    tickets: list[tuple[int, int]] = []
    for kind, after_s, index in steps:
        now_s += after_s
        assert breaker.may_admit(now_s) is model.may_admit(now_s)
        if kind == "admit":
            one, other = breaker.admit(now_s), model.admit(now_s)
            assert (one == REFUSED) is (other == REFUSED)
            if one != REFUSED:
                tickets.append((one, other))
        elif tickets:
            one, other = tickets.pop(index % len(tickets))
            if kind == "forget":
                breaker.forget(one)
                model.end(other, now_s, None)
            else:
                breaker.settle(one, now_s, is_ill=kind == "ill", cause="503")
                model.end(other, now_s, kind == "ill")
        assert breaker.state is model.state
        assert (breaker.retry_after_s(now_s) > 0) <= (breaker.state is State.OPEN)
