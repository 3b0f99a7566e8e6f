"""Reactive energy: from the meter's register to minutes, by hand."""

from base64 import b85decode

import pytest
from builders import a_meter, a_site, fed, readings, rows_at, sent, site_at, tick_at

from agents.metering.step import Metering
from schemas.flow import Kind, Message
from schemas.registry import Swap

LATENESS_S = 120

# Taken by the last release without reactive energy, of the same readings as in the test that uses it.
OLD_SNAPSHOT = (
    "00051cmZWn!H(204E>c=P9V|Uw$gCmhPZLq3laxbtH`u&YnnPGNvAtI>c3-W%FH69N@<>-"
    "pY7+IO~4~X@@zicRUht5q=fQ&Hq^>tCUVXQoREQ&BG62z2!ot&7<#v_gF+e(*k44=m&fAA*Q`Ox@SM{=M}miM18_e8<tPN|I!Qm9"
    "*@3oW8ZKUc6%Im=1#!E?6i!M#dY7QjGF4HP@9OgX_+0~Ypa!F)KAp`G9JRI!ep0ErtjnUT<WpYfJS5`Y{)C9O;gg*)*m2eF%lkup"
    "sFg%7*xDIF`j1f^4(e6oIRSAlXc*J#!>IDTKVsksIoWREHk#+{d8Y?xQsyf#_+(o+UGFVUz-"
    "s%GMt8x#j`8B0ptE14)lOu55T>G=z;U4NCOl!nu=}v@QTo)@M)6Vo=!4)|WZ$Cx%c#=wE-Lo`Nemd*8!{~}(d-"
    "Ddbah_}iC9XB*H+7YR0Mx7H0$uUJbesNcy@x9-"
    "R6CqxWasyKU?%RH=Cf(<?7D_VZ@Y|rbC=fgCS8zjWl{C=~Di2IWBW<`O1jiT}<A#?GFni@yY-"
    "I03iSX00AQc0097@$@OEO0RRACVDAV31sDKu0000000000002q=0008;5da{`7xngIW1pV^0RR9109^od0MP(N02csV03jkkKokH"
    "30sut#_<w&40006201yCIARreP_CNp+0ssh500000000004FCWD0e}Di000000000004V?f00DD=0rz8{0RRC2A|yZw03`T-"
    "2mm*rG5jC^pa1{>00000000000024w0008qU?5-"
    "@@AhM3pPvB%0096vB0xYB08IG!e}51FUmzeC7xq8^1rGuM01R*d2Xz2Y000000000000"
)


def minutes(*messages: Message) -> list[tuple[float | None, str]]:
    """`import_kvarh` and quality of each window."""
    rows = sent(fed(Metering(LATENESS_S), messages), Kind.WINDOWS)
    return [(row["import_kvarh"], row["quality"]) for row in rows]


def taken(*rows: dict[str, object], **meter: object) -> list[tuple[float | None, str]]:
    """The windows of one meter, when everything is closed."""
    site = a_site("mill", a_meter(**meter))
    return minutes(site_at(site), rows_at(Kind.READINGS, 600, readings(*rows)), tick_at(3_000))


def test_a_minute_has_its_share_of_the_reactive_register_times_the_multiplier() -> None:
    found = taken(
        {"s": 30, "import_kwh": 10.0, "import_kvarh": 5.0},
        {"s": 90, "import_kwh": 11.0, "import_kvarh": 5.5},
        {"s": 120, "import_kwh": 11.5, "import_kvarh": 5.7},
        multiplier=40.0,
    )

    # half of 0.5 kvarh; the other half and 0.2 kvarh; all times 40
    assert [kvarh for kvarh, _ in found] == pytest.approx([10.0, 18.0])


def test_without_a_reactive_register_reactive_energy_is_null_and_not_zero() -> None:
    assert taken({"s": 0, "import_kwh": 1.0}, {"s": 60, "import_kwh": 2.0}) == [(None, "measured")]


def test_a_reactive_register_that_was_left_out_once_is_interpolated() -> None:
    found = taken(
        {"s": 0, "import_kwh": 1.0, "import_kvarh": 1.0},
        {"s": 60, "import_kwh": 2.0},
        {"s": 120, "import_kwh": 3.0, "import_kvarh": 2.0},
    )

    assert [kvarh for kvarh, _ in found] == pytest.approx([0.5, 0.5])


def test_a_reactive_register_that_goes_back_is_unknown_for_that_interval_and_costs_no_active_energy() -> None:
    site = a_site("mill", a_meter())
    rows = readings(
        {"s": 0, "import_kwh": 1.0, "import_kvarh": 100.0},
        {"s": 60, "import_kwh": 2.0, "import_kvarh": 3.0},
        {"s": 120, "import_kwh": 3.0, "import_kvarh": 4.0},
    )

    outcomes = fed(Metering(LATENESS_S), [site_at(site), rows_at(Kind.READINGS, 120, rows), tick_at(1_000)])

    windows = sent(outcomes, Kind.WINDOWS)
    assert [(row["import_kwh"], row["import_kvarh"]) for row in windows] == [(1.0, None), (1.0, 1.0)]


def test_over_a_declared_swap_reactive_energy_is_unknown_also_when_the_new_register_is_higher() -> None:
    swap = Swap(at="2026-07-15T04:00:45Z", final_kwh=11.0, initial_kwh=0.0)
    found = taken(
        {"s": 0, "import_kwh": 10.0, "import_kvarh": 5.0},
        {"s": 90, "import_kwh": 1.0, "import_kvarh": 900.0},
        {"s": 120, "import_kwh": 1.5, "import_kvarh": 900.5},
        swaps=(swap,),
    )

    assert [kvarh for kvarh, _ in found] == [None, None]


def test_a_minute_that_closes_within_a_swap_leaves_no_reactive_energy_for_the_next() -> None:
    swap = Swap(at="2026-07-15T04:00:45Z", final_kwh=11.0, initial_kwh=0.0)
    early = readings(
        {"s": 0, "import_kwh": 10.0, "import_kvarh": 5.0}, {"s": 90, "import_kwh": 1.0, "import_kvarh": 900.0}
    )
    late = readings(
        {"s": 120, "import_kwh": 1.5, "import_kvarh": 900.5}, {"s": 180, "import_kwh": 2.0, "import_kvarh": 901.0}
    )

    found = minutes(
        site_at(a_site("mill", a_meter(swaps=(swap,)))),
        rows_at(Kind.READINGS, 90, early),
        tick_at(400),
        rows_at(Kind.READINGS, 400, late),
        tick_at(1_000),
    )

    assert [kvarh for kvarh, _ in found] == [None, None, 0.5]


def test_batches_without_the_column_are_taken_as_before() -> None:
    site = a_site("mill", a_meter())
    old = readings({"s": 0, "import_kwh": 1.0}, {"s": 60, "import_kwh": 2.0}).drop("import_kvarh")

    assert minutes(site_at(site), rows_at(Kind.READINGS, 60, old), tick_at(1_000)) == [(None, "measured")]


def test_a_snapshot_of_an_older_release_goes_on_where_it_ended() -> None:
    agent = Metering(LATENESS_S)
    site = a_site("mill", a_meter())
    early = readings({"s": 0, "import_kwh": 1.0}, {"s": 60, "import_kwh": 2.0}, {"s": 500, "import_kwh": 9.0})
    late = readings({"s": 560, "import_kwh": 10.0})
    fed(agent, [site_at(site), rows_at(Kind.READINGS, 500, early), tick_at(900), rows_at(Kind.READINGS, 900, late)])
    rest = [tick_at(2_000)]

    older, newer = Metering(LATENESS_S), Metering(LATENESS_S)
    older.restore({"mill": b85decode(OLD_SNAPSHOT)})
    newer.restore(agent.snapshot())

    windows = sent(fed(older, rest), Kind.WINDOWS)
    assert windows
    assert windows == sent(fed(newer, rest), Kind.WINDOWS)
