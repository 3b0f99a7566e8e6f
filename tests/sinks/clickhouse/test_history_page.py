import re
from pathlib import Path

import pytest

from tests.sinks.clickhouse.builders import rows_of

PAGE = (Path(__file__).parents[3] / "docs" / "history.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def names(client):
    return {str(name) for (name,) in rows_of(client, "SHOW TABLES")}


def test_every_question_of_the_page_can_be_asked(client):
    assert len(QUESTIONS) == 14
    for question in QUESTIONS:
        client.query(question)


def test_the_page_names_every_table_and_view(names):
    assert {name for name in names if f"`{name}`" not in PAGE} == set()
