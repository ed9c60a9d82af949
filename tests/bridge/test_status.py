from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dlms_mqtt.bridge.api.errors import LockedOut, RequestError
from dlms_mqtt.bridge.meters.status import MeterStatus
from dlms_mqtt.errors import ConnectFailed, ResponseTimeout

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.expect_log("h: no answer", "reading works again after 3 failures")
def test_three_failures_within_a_minute_are_not_offline_yet_and_a_success_ends_them() -> None:
    status = MeterStatus("h")
    seen = [status.failed(ResponseTimeout("no answer"), second, NOW) for second in (0.0, 30.0, 59.0)]
    assert seen == [False, False, False] and (status.verdict, status.failures) == ("no_answer", 3)
    assert status.error is not None and status.error["code"] == "no-answer" and status.next_try == NOW
    status.succeeded(NOW, 0.12345)
    assert (status.verdict, status.failures, status.error, status.next_try) == ("ok", 0, None, None)
    assert (status.read_duration, status.last_success) == (0.123, NOW)


@pytest.mark.expect_log("h: the port is gone")
def test_failures_for_a_minute_are_offline() -> None:
    status = MeterStatus("h")
    assert [status.failed(ConnectFailed("the port is gone"), second, NOW) for second in (0, 30, 60)] == [0, 0, 1]
    assert status.verdict == "link_down"


@pytest.mark.expect_log("h: no answer", "reading works again after 1 failures", "came and went 239 times more")
def test_a_fault_that_comes_and_goes_is_told_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    """A line that loses every third answer wrote two lines for each."""
    status = MeterStatus("h")
    for second in range(0, 3601, 15):
        status.failed(ResponseTimeout("no answer"), second, NOW)
        status.succeeded(NOW, 1.0)
    told = [row.getMessage() for row in caplog.records if row.levelname == "WARNING"]
    assert len(told) == 4 and sum("no answer" in line for line in told) == 2
    assert "came and went 239 times more" in told[2]


@pytest.mark.expect_log("h: no answer", "works again", "the port is gone")
def test_another_fault_and_one_that_stays_are_told_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    status = MeterStatus("h")
    status.failed(ResponseTimeout("no answer"), 0, NOW)
    status.succeeded(NOW, 1.0)
    status.failed(ConnectFailed("the port is gone"), 10, NOW)
    status.succeeded(NOW, 1.0)
    caplog.clear()
    assert [status.failed(ResponseTimeout("no answer"), second, NOW) for second in (20, 50, 80, 110)] == [0, 0, 1, 1]
    status.succeeded(NOW, 1.0)
    assert [row.levelname for row in caplog.records if "no answer" in row.getMessage()] == ["WARNING"], "offline"
    assert "works again after 4 failures" in caplog.text


def test_a_pause_is_no_failure() -> None:
    status = MeterStatus("h")
    paused = RequestError("paused", "another program has the line")
    assert not status.failed(paused, 0, NOW) and (status.verdict, status.failures) == ("paused", 0)
    assert status.wait_after(paused, 0, pause_left=42.0, every=10) == 42.0


@pytest.mark.expect_log("h: The meter refused")
def test_the_end_of_a_lockout_is_told_in_the_meters_zone() -> None:
    status, until = MeterStatus("h"), NOW.timestamp() + 900
    assert status.wait_after(LockedOut(until), NOW.timestamp(), 0.0, 10) == 900
    status.failed(LockedOut(until), 0, NOW)
    assert status.error is not None and status.error["detail"]["until"] == "2026-11-29T12:15:00+00:00"


@pytest.mark.parametrize(
    ("failures", "every", "wait"), [(0, 60, 5), (1, 60, 10), (9, 90, 60), (9, 30, 30), (0, 0.1, 1)]
)
def test_pauses_grow_to_the_interval(failures: int, every: float, wait: float) -> None:
    status = MeterStatus("h", failures=failures)
    assert status.wait_after(ResponseTimeout("no answer"), 0, 0, every) == wait


def test_reasons_come_and_go() -> None:
    status = MeterStatus("h")
    status.judge("slow", "the line is too slow")
    assert status.reasons == {"slow": "the line is too slow"}
    status.judge("slow", "")
    status.judge("never", "")
    assert status.reasons == {}


@pytest.mark.parametrize("duration", [None, 0.5])
def test_the_first_success_is_told_once(caplog: pytest.LogCaptureFixture, duration: float | None) -> None:
    """A push has no duration."""
    caplog.set_level("INFO")
    status = MeterStatus("h")
    for _ in range(2):
        status.succeeded(NOW, duration)
    assert [row.getMessage() for row in caplog.records] == ["h: the meter is there"]
    assert status.read_duration == duration


def test_a_reason_is_told_as_long_as_it_holds() -> None:
    status = MeterStatus("h")
    status.judge("slow", "the line is too slow")
    assert status.reasons == {"slow": "the line is too slow"}
    status.judge("slow", "")
    status.judge("slow", "")
    assert status.reasons == {}
