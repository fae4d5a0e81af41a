from speciarl.verifiers.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_it_opens_after_failures_in_a_row_only():
    breaker = Breaker(2, 10.0, Clock())
    for _ in range(3):
        breaker.record(False)
        breaker.record(True)
    assert breaker.allows()
    breaker.record(False)
    breaker.record(False)
    assert not breaker.allows()


def test_each_rest_ends_with_one_try():
    clock = Clock()
    breaker = Breaker(1, 10.0, clock)
    breaker.record(False)
    clock.now = 9.9
    assert not breaker.allows()
    clock.now = 10.0
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.record(False)
    clock.now = 19.9
    assert not breaker.allows()
    clock.now = 20.0
    assert breaker.allows()
    breaker.record(True)
    assert breaker.allows() and breaker.allows()


def test_a_try_that_never_ends_does_not_close_the_way_for_ever():
    clock = Clock()
    breaker = Breaker(1, 10.0, clock)
    breaker.record(False)
    clock.now = 10.0
    assert breaker.allows()
    clock.now = 20.0
    assert breaker.allows()


def test_a_request_still_under_way_that_ends_well_closes_it():
    breaker = Breaker(1, 10.0, Clock())
    breaker.record(False)
    breaker.record(True)
    assert breaker.allows()
