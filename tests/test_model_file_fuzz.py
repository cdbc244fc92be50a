"""Model files that lie: whatever their bytes are, opening them ends in our error, and never in much memory."""

import random
import struct
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from safetensors.numpy import load_file
from tools.fuzz_model_files import changed, end_of, models

from fallline.errors import ModelFileError
from fallline.files import model_file
from fallline.model import load


@pytest.fixture(scope="module")
def originals():
    return list(models())


def test_two_thousand_changed_files(originals, tmp_path):
    rng, path, ends = random.Random(1), tmp_path / "changed.fallline", Counter()
    for _ in range(2000):
        path.write_bytes(changed(rng.choice(originals), rng))
        ends[end_of(path)] += 1
    assert set(ends) == {"read", "refused"}
    assert ends["read"] < 200  # or nothing was changed


@pytest.fixture
def lying(originals, tmp_path):
    """`lying(change) -> path` of a file whose header and tensors were changed, with a checksum that is right."""

    def lying(change):
        path = tmp_path / "lying.fallline"
        path.write_bytes(originals[1])
        header, tensors = model_file.read_header(path), load_file(path)
        change(header, tensors)
        path.write_bytes(b"".join(model_file.sealed(header | {"sha256": model_file.NO_SUM}, tensors)))
        return path

    return lying


def many_values(header, tensors):
    header["training"] = [[]] * 2_000_000


def many_objects(header, tensors):
    header["training"] = {"history": [{"": 0}] * 1_000_000}


def one_long_class(header, tensors):
    header["encoder"]["target"]["classes"]["values"] = ["x" * 1_000_000, *map(str, range(100_000))]


def many_layers(header, tensors):
    header["networks"][0]["layer_sizes"] = [1] * 100_000


def many_networks(header, tensors):
    n = 50_000
    header["networks"][0]["shares"] = [1 / n] * n
    for name, tensor in tensors.items():
        if name.startswith("0."):
            tensors[name] = np.repeat(tensor[:1], n, axis=0)[:, ..., :0]


def wide_letters(header, tensors):
    header["training"]["command"] = "\N{GRINNING FACE}" + "x" * 4_000_000


OPEN = """
import sys
from pathlib import Path
from fallline.errors import ModelFileError
from fallline.model import load
def status(word):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(word))
for path in sys.argv[1:]:
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS:")
    try:
        load(path, engine="reference")
        end = "read"
    except ModelFileError as error:
        end = str(error)
    print(status("VmHWM:") - before, end)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (many_values, "its header would take many times the file's size in memory"),
        (many_objects, "its header would take many times the file's size in memory"),
        (one_long_class, "its classes would take many times the file's size in memory"),
        (many_layers, "more layers than tensors"),
        (many_networks, "its networks would take many times the file's size in memory"),
        (wide_letters, "read"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_header_cannot_take_more_memory_than_ten_times_its_file(lying, originals, tmp_path, change, says):
    (tmp_path / "first.fallline").write_bytes(originals[1])  # which loads all modules
    path = lying(change)
    words = [sys.executable, "-c", OPEN, str(tmp_path / "first.fallline"), str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    grown, _, end = done.stdout.splitlines()[1].partition(" ")
    assert says in end
    assert int(grown) < 10 * path.stat().st_size


@pytest.mark.parametrize("shape", [[2**20, 2**20, 3], [2**62, 4], [2**64 - 1, 2, 2], [-1, 4, 4]])
def test_shapes_that_are_not_there(originals, tmp_path, shape):
    """Of safetensors' own header, where memory could be asked for before anything is compared."""
    raw, path = originals[1], tmp_path / "shape.fallline"
    n = struct.unpack("<Q", raw[:8])[0]
    header = raw[8 : 8 + n]
    at = header.index(b'"shape":[', header.index(b'"0.W.0"')) + len(b'"shape":[')
    header = header[:at] + ",".join(map(str, shape)).encode() + header[header.index(b"]", at) :]
    path.write_bytes(struct.pack("<Q", len(header)) + header + raw[8 + n :])
    with pytest.raises(ModelFileError, match="not a fallline model, or cut short"):
        load(path)


def test_every_byte_counts(originals, tmp_path):
    """The checksum covers both headers, the tensors and itself."""
    raw, path = originals[0], tmp_path / "m.fallline"
    for at in range(0, len(raw), 97):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(ModelFileError):
            load(path)
    path.write_bytes(raw + b"\0")
    with pytest.raises(ModelFileError):
        load(path)


def test_the_checksum_is_of_the_file_with_zeros_in_its_place(originals, tmp_path):
    import hashlib

    path = tmp_path / "m.fallline"
    path.write_bytes(originals[0])
    told = model_file.read_header(path)["sha256"]
    assert hashlib.sha256(originals[0].replace(told.encode(), b"0" * 64)).hexdigest() == told
