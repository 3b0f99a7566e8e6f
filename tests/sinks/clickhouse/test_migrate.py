from dataclasses import replace

import pytest

from sinks.clickhouse.errors import MigrationRefused, SinkUnavailable
from sinks.clickhouse.migrate import Migration, check_migrated, migrate, packaged_migrations, statements
from tests.sinks.clickhouse.builders import kill_between_token_and_block, rows_of


def test_migrations_are_applied_once_and_in_order(empty):
    first, second = migrate(empty), migrate(empty)

    assert [migration.number for migration in first] == list(range(1, len(first) + 1))
    assert second == []
    assert rows_of(empty, "SELECT number, sha256 FROM schema_migrations ORDER BY number") == [
        (migration.number, migration.sha256) for migration in packaged_migrations()
    ]


def test_a_new_migration_is_applied_to_a_database_that_has_the_others(client):
    another = Migration(99, "another", "CREATE TABLE another (a Int32) ENGINE = MergeTree ORDER BY a;")
    another = replace(another, number=len(packaged_migrations()) + 1)

    applied = migrate(client, [*packaged_migrations(), another])

    assert applied == [another]
    assert rows_of(client, "SELECT count() FROM another") == [(0,)]


def test_a_migration_that_stopped_half_way_is_applied_again_from_its_beginning(empty):
    migrations = packaged_migrations()
    for migration in migrations:
        for statement in statements(migration.sql):
            empty.command(statement)

        assert migrate(empty, migrations[: migration.number]) == [migration]


def test_a_migration_whose_record_was_lost_in_a_kill_is_applied_and_recorded_again(empty):
    one = Migration(1, "one", "CREATE TABLE IF NOT EXISTS one (a Int32) ENGINE = MergeTree ORDER BY a")
    migrate(empty, [one])
    kill_between_token_and_block(empty, "schema_migrations")

    assert migrate(empty, [one]) == [one]
    assert migrate(empty, [one]) == []


def test_who_does_not_migrate_waits_for_whoever_does(empty):
    with pytest.raises(SinkUnavailable, match=r"another process has yet to apply .* from 0001_sink_blocks on"):
        check_migrated(empty)

    migrate(empty)

    check_migrated(empty)


def test_a_changed_migration_is_refused_with_a_sentence(client):
    changed = packaged_migrations()
    changed[1] = replace(changed[1], sql=changed[1].sql + "\n-- a late thought")

    with pytest.raises(MigrationRefused, match="0002_readings was changed after it had been applied"):
        migrate(client, changed)


def test_a_database_of_a_newer_release_is_refused_with_a_sentence(client):
    with pytest.raises(MigrationRefused, match="newer release"):
        migrate(client, packaged_migrations()[:-1])


def test_a_missing_number_is_refused_before_anything_is_applied(empty):
    migrations = packaged_migrations()

    with pytest.raises(MigrationRefused, match="0003 follows 0001"):
        migrate(empty, [migrations[0], *migrations[2:]])

    assert rows_of(empty, "SHOW TABLES") == []


def test_semicolons_in_texts_names_and_comments_do_not_end_a_statement():
    sql = """
    -- first; with a 'quote
    SELECT 'it''s; \\'fine\\'' AS `a;b`; /* ; */
    SELECT 2 -- no semicolon at the end
    """

    assert list(statements(sql)) == ["SELECT 'it''s; \\'fine\\'' AS `a;b`", "SELECT 2"]


def test_every_table_remembers_the_blocks_it_has_seen(client):
    definitions = rows_of(
        client,
        "SELECT name, create_table_query FROM system.tables "
        "WHERE database = currentDatabase() AND engine LIKE '%MergeTree'",
    )

    assert len(definitions) == 36
    assert [name for name, sql in definitions if "non_replicated_deduplication_window" not in str(sql)] == []
