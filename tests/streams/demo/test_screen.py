import asyncio
import io
import json
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from streams.demo.screen import FORGETFUL, Factory, Progress, Screen, Served

CHINA = ZoneInfo("Asia/Shanghai")
QUARTER_PAST_TEN_MS = 1_790_000_100_000  # 2026-09-21 22:15 in China


class OverError(Exception):
    """The scenario has run its course."""


def a_screen(**served) -> Screen:
    factories = [
        Factory("zj-steel", "Demo steel works, Zhejiang", "浙江演示钢厂", CHINA),
        Factory("gd-panels", "Demo panel factory, Guangdong", "广东演示板材厂", CHINA),
    ]
    facts = {"kafka": "127.0.0.1:9092", "admin": "http://127.0.0.1:6066", "history": "/data/history"}
    return Screen(factories, Served(**{**facts, "embedded_broker": True, **served}), Progress(speed=3_600))


def a_record(**fields) -> dict:
    record = {
        "site_id": "zj-steel",
        "ts": QUARTER_PAST_TEN_MS,
        "power_kw": 512.44,
        "period": "sharp",
        "today_kwh": 12_345.67,
        "today_kg": 6_172.8,
        "today_cny": 9_876.54,
        "month_kwh": 1_234_567.8,
        "month_kg": 61_728.3,
        "month_cny": 98_765.4,
    }
    return {**record, **fields}


def text_of(screen: Screen, columns: int = 120) -> str:
    console = Console(width=columns, file=io.StringIO(), record=True, force_terminal=True)
    console.print(screen.render())
    return console.export_text()


def row_of(text: str, name: str) -> str:
    lines = text.splitlines()
    (place,) = (number for number, line in enumerate(lines) if line.startswith(name))
    return " ".join(f"{lines[place]} | {lines[place + 1]}".split())


def test_a_site_is_shown_with_its_local_time_power_period_and_totals_of_day_and_month():
    screen = a_screen()
    screen.update(a_record())

    assert row_of(text_of(screen), "Demo steel works") == (
        "Demo steel works, Zhejiang 2026-09-21 512.4 sharp today 12,345.7 6,172.8 9,876.5 "
        "| 浙江演示钢厂 22:15 尖 month 1,234,568 61,728.3 98,765.4"
    )


def test_a_figure_that_is_not_known_is_not_shown_as_nought():
    screen = a_screen()
    screen.update(a_record(today_cny=None, month_cny=None, period=None))

    row = row_of(text_of(screen), "Demo steel works")
    assert "512.4 – today 12,345.7 6,172.8 –" in row
    assert " 0.0" not in row


def test_a_site_without_figures_yet_is_waited_for():
    assert "waiting …" in row_of(text_of(a_screen()), "Demo panel factory")


def test_an_older_record_does_not_replace_a_newer_one():
    screen = a_screen()
    screen.update(a_record(power_kw=7.0))
    screen.update(a_record(power_kw=8.0, ts=QUARTER_PAST_TEN_MS - 1))

    assert " 7.0 " in row_of(text_of(screen), "Demo steel works")


def test_the_screen_says_what_is_real_and_what_is_not_and_what_is_served_where():
    text = " ".join(text_of(a_screen(), columns=400).split())

    assert "replay of recorded loads (steel works KR, SimBench DE) mapped to demo factories" in text
    assert "shifted in time, 3,600× faster" in text
    for fact in ("127.0.0.1:9092", "http://127.0.0.1:6066/metrics", "/data/history", FORGETFUL):
        assert fact in text


def test_a_broker_that_does_not_forget_is_not_said_to():
    assert "keeps its topics in memory" not in text_of(a_screen(embedded_broker=False), columns=400)


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress(speed=3_600, caught_up=True), "now at the recorded pace"),
        (Progress(speed=1), "in real time"),
        (Progress(speed=1, readings=12_345, readings_per_s=13.31), "12,345 readings sent · 13.3/s"),
        (
            Progress(speed=1, broker_bytes=143_400_000, bound_bytes=512_000_000, broker_restarts=2),
            "broker memory 143 MB of 512 · 2 restarts",
        ),
        (Progress(speed=1, note="draining"), "draining"),
    ],
)
def test_the_screen_says_how_the_run_is_doing(progress, said):
    screen = a_screen()
    screen.progress = progress

    assert said in text_of(screen, columns=200)


def test_a_run_without_a_replay_does_not_claim_one():
    screen = a_screen()
    screen.progress = Progress(speed=None)

    assert "recorded loads" not in text_of(screen, columns=200)
    assert "no replay" in text_of(screen, columns=200)
    assert "no replay" in json.loads(screen.opening_lines()[0])["what"]


def test_memory_is_not_mentioned_when_the_broker_is_not_ours():
    assert "broker memory" not in text_of(a_screen(embedded_broker=False))


def test_everything_fits_a_terminal_of_eighty_columns():
    screen = a_screen()
    screen.update(a_record(site_id="gd-panels", period="deep_valley"))

    text = text_of(screen, columns=80)

    assert row_of(text, "gd-panels") == (
        "gd-panels 09-21 512.4 deep today 12,345.7 6,172.8 9,876.5 "
        "| 广东演示板材厂 22:15 valley month 1,234,568 61,728.3 98,765.4"
    )
    assert "…" not in row_of(text, "gd-panels")


def test_away_from_a_terminal_each_site_is_one_line_of_json_again_and_again():
    screen, log = a_screen(), io.StringIO()
    naps = 0

    async def sleep(wait_s: float) -> None:
        nonlocal naps
        naps += 1
        screen.update(a_record(ts=QUARTER_PAST_TEN_MS + naps))
        screen.progress = replace(screen.progress, readings=naps)
        if naps == 3:
            raise OverError

    with pytest.raises(OverError):
        asyncio.run(screen.run(Console(file=log, width=20), sleep))

    opening, *lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert opening["event"] == "run_started"
    assert opening["note"] == FORGETFUL
    assert [line["event"] for line in lines] == ["site_live"] * 2
    assert lines[-1]["readings"] == 2
    assert lines[-1]["month_kwh"] == 1_234_567.8


def test_on_a_terminal_the_table_is_drawn_again_and_again():
    screen, terminal = a_screen(), io.StringIO()
    naps = 0

    async def sleep(wait_s: float) -> None:
        nonlocal naps
        naps += 1
        screen.update(a_record(power_kw=100.0 + naps, ts=QUARTER_PAST_TEN_MS + naps))
        if naps == 3:
            raise OverError

    with pytest.raises(OverError):
        asyncio.run(screen.run(Console(file=terminal, force_terminal=True, width=120), sleep))

    assert all(f"{power:.1f}" in terminal.getvalue() for power in (101.0, 102.0, 103.0))
