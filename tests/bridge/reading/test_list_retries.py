"""A meter without an object list is asked for it ever more seldom, and at once no more when it gives it."""

from __future__ import annotations

from dlms_mqtt.bridge.reading.list_retries import ListRetries, without_list


def test_ever_more_seldom() -> None:
    retries, now, asked = ListRetries(), 0.0, []
    assert not retries.is_due(1e9)  # nobody has asked yet: the first plan does
    retries.judge(now, given=False)
    while now < 12 * 3600:
        now += 60.0
        if retries.is_due(now):
            asked.append(now)
            retries.judge(now, given=False)
    pauses = [later - earlier for earlier, later in zip([0.0, *asked], asked, strict=False)]
    assert pauses == [60.0, 600.0, 3600.0, 21600.0]
    assert retries.tries == 5


def test_a_list_that_came_is_not_asked_for_again() -> None:
    retries = ListRetries()
    retries.judge(0.0, given=False)
    retries.judge(60.0, given=True)
    assert retries.tries == 0
    assert not retries.is_due(1e9)


def test_the_sentence_for_health() -> None:
    assert without_list("") == ""
    sentence = without_list("it is empty")
    assert "it is empty" in sentence
    assert "read.also" in sentence
