"""Why a reading or message was not taken: the reason slugs of dead letters, in one place."""

from enum import StrEnum


class Reason(StrEnum):
    """Reason of a dead letter; a downstream contract, so slugs never change their meaning."""

    UNDECODABLE = "undecodable"  # not JSON, NDJSON or Arrow IPC, or not an object
    MISSING_FIELD = "missing_field"  # no site, meter, ts, or nothing measured
    WRONG_TYPE = "wrong_type"  # a field of another type than the contract's
    NOT_FINITE = "not_finite"  # NaN or infinite
    UNKNOWN_METER = "unknown_meter"  # not in the registry
    FUTURE_TIMESTAMP = "future_timestamp"  # later than arrival plus the allowance
    TOO_OLD = "too_old"  # older than arrival minus the allowance
    LATE = "late"  # its window was already closed
    OUT_OF_RANGE = "out_of_range"  # weather, production, a zone or the energy of an interval that cannot be
    NOT_DECLARED = "not_declared"  # registers of a meter declared to send intervals, or the other way round
    UNKNOWN_SITE = "unknown_site"  # weather, production or a zone of a site that is not in the registry
    UNKNOWN_LINE = "unknown_line"  # production of a line that is no equipment of the site
    UNKNOWN_SHIFT = "unknown_shift"  # production of a shift the site does not have
    UNKNOWN_ZONE = "unknown_zone"  # a reading of a zone the site does not have
    INVALID_FEEDBACK = "invalid_feedback"  # a verdict, anomaly, measure, kind or end of a mute that cannot be
    UNKNOWN_ANOMALY = "unknown_anomaly"  # what was said of an anomaly that is neither open nor among the newest
    UNKNOWN_ADVICE = "unknown_advice"  # what was said of a measure that is not there, or has ended
    REGISTER_DECREASED = "register_decreased"  # a cumulative register went back
    NO_FACTOR = "no_factor"  # an activity whose fuel has no checked factor in its unit
    INVALID_ACTIVITY = "invalid_activity"  # an activity with a field that cannot be


# Headers of a message on dead-letters.v1, all UTF-8.
HEADER_REASON = "dlq_reason"
HEADER_DETAIL = "dlq_detail"  # what was expected, in words
HEADER_STAGE = "dlq_stage"  # ingest | metering
HEADER_TOPIC = "dlq_topic"  # where the bytes were read
HEADER_PARTITION = "dlq_partition"
HEADER_OFFSET = "dlq_offset"
HEADER_INDEX = "dlq_index"  # position within that message, 0 for a message of one reading
HEADER_TIMESTAMP = "dlq_timestamp"  # arrival, ms UTC
HEADER_CONTENT_TYPE = "content-type"

# Written by `wattloop dlq replay`.
HEADER_REPLAY = "dlq_replay"  # on dead-letters.v1: begun | done; the message is a note, not a letter
HEADER_REPLAYED_FROM = "dlq_replayed_from"  # on meter.readings.v1: partition:offset of the letter sent again
