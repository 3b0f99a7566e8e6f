from sinks.clickhouse.letters import letter_rows
from sinks.clickhouse.records import Record, Source
from tests.sinks.clickhouse.builders import NOON_MS, a_letter

LETTERS = Source("dead-letters.v1", 3)


def a_note(offset: int) -> Record:
    return Record(offset, NOON_MS, None, b'{"letters": [1]}', {"dlq_replay": b"begun"})


def test_notes_of_a_replay_are_no_rows():
    rows = letter_rows(LETTERS, [a_letter(1), a_note(2), a_letter(3), a_note(4)])

    assert rows["topic_offset"].to_list() == [1, 3]
    assert letter_rows(LETTERS, [a_note(5)]).is_empty()


def test_a_letter_whose_sender_used_the_header_of_a_note_is_a_row():
    rows = letter_rows(LETTERS, [a_letter(1, dlq_replay=b"begun")])

    assert rows["topic_offset"].to_list() == [1]
