"""Tables: read a file into numbers, split its rows, encode them for a network and back."""

from fallline.table.blocks import Block, read_blocks
from fallline.table.bundled import BUNDLED, BundledSet, load_bundled
from fallline.table.encode import Encoder
from fallline.table.frames import table_from_any
from fallline.table.read import read
from fallline.table.source import Source
from fallline.table.split import folds, last_rows, split
from fallline.table.summary import Summary
from fallline.table.table import Kind, Table, Task
from fallline.table.targets import Target, guess_task

__all__ = [
    "BUNDLED",
    "Block",
    "BundledSet",
    "Encoder",
    "Kind",
    "Source",
    "Summary",
    "Table",
    "Target",
    "Task",
    "folds",
    "guess_task",
    "last_rows",
    "load_bundled",
    "read",
    "read_blocks",
    "split",
    "table_from_any",
]
