"""Tables: read a file into numbers, split its rows, encode them for a network and back."""

from fallline.table.bundled import BUNDLED, BundledSet, load_bundled
from fallline.table.encode import Encoder, guess_task
from fallline.table.read import read
from fallline.table.split import split
from fallline.table.table import Table, Task

__all__ = ["BUNDLED", "BundledSet", "Encoder", "Table", "Task", "guess_task", "load_bundled", "read", "split"]
