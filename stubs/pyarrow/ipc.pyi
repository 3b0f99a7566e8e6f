from types import TracebackType
from typing import BinaryIO, Self

from pyarrow import Buffer, Schema, Table

class _Closing:
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

class RecordBatchStreamReader(_Closing):
    def read_all(self) -> Table: ...

class RecordBatchStreamWriter(_Closing):
    def write_table(self, table: Table) -> None: ...

def new_stream(sink: BinaryIO, schema: Schema) -> RecordBatchStreamWriter: ...
def open_stream(source: Buffer) -> RecordBatchStreamReader: ...
