from __future__ import annotations

import threading
import time

import pytest

from pleinair.belts import Belt, Meter, Places


def later(run) -> threading.Thread:
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_belt_keeps_order_and_ends():
    belt = Belt(3, 100)
    assert all(belt.put(number) for number in range(3))
    belt.close()
    assert [belt.get() for _ in range(4)] == [0, 1, 2, None]
    assert belt.ended


@pytest.mark.parametrize(("most", "size"), [(2, 0), (10, 50)])
def test_a_full_belt_waits(most, size):
    belt = Belt(most, 100)
    belt.put("a", size)
    belt.put("b", size)
    put = []
    thread = later(lambda: put.append(belt.put("c", size)))
    time.sleep(0.05)
    assert put == []
    assert belt.get() == "a"
    thread.join()
    assert put == [True]


def test_one_thing_always_fits():
    belt = Belt(2, 100)
    assert belt.put("huge", 1000)
    assert belt.get() == "huge"


def test_nobody_waits_at_a_belt_that_stopped():
    full, empty = Belt(1, 1), Belt(1, 1)
    full.put(1)
    answers = []
    threads = [
        later(lambda: answers.append(full.put(2))),
        later(lambda: answers.append(empty.get())),
    ]
    full.stop()
    empty.stop()
    for thread in threads:
        thread.join()
    assert set(answers) == {False, None}
    assert full.get() is None
    assert empty.get(seconds=0.01) is None


def test_who_asks_for_all_places_is_not_passed():
    places, order = Places(2), []
    places.take(1)

    def ask(name, count):
        with places.turn:
            places.take(count)
        order.append(name)
        places.give(count)

    threads = [later(lambda: ask("all", 2))]
    time.sleep(0.05)
    threads.append(later(lambda: ask("one", 1)))
    time.sleep(0.05)
    assert order == []
    places.give(1)
    for thread in threads:
        thread.join()
    assert order == ["all", "one"]


def test_a_meter_adds_parts_and_tells_the_end():
    told = []
    meter = Meter(2, lambda *what: told.append(what))
    meter.part(0, "a", 0.25)
    meter.part(0, "a", 0.5)  # too soon after the last to be told
    meter.end(0, "a")
    meter.end(1, "b")
    assert told[0] == (0.25, 2, "a")
    assert told[-1] == (2, 2, "b")
    Meter(1, None).end(0, "a")
