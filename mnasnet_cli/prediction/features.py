"""Writes the features of images, which serve as embeddings, to a file."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from mnasnet_cli.errors import ConfigError
from mnasnet_cli.prediction.results import Prediction
from mnasnet_cli.system.files import make_folder, write_atomically

SUFFIXES = (".npy", ".csv")


class FeatureFile:
    """Collects features. A .npy file holds them as float32 [N, D]; a .csv file has a row for each image, by name."""

    def __init__(self, path: Path) -> None:
        """Check the name of the file. Raises ConfigError if it has another suffix."""
        if path.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"--features {path}: expected a file name that ends in .npy or .csv")
        self.path = path
        self._names: list[str] = []
        self._rows: list[np.ndarray] = []

    def add(self, prediction: Prediction) -> None:
        """Add the features of a prediction that has a feature map."""
        assert prediction.features is not None
        self._names.append(prediction.file)
        self._rows.append(prediction.features)

    def write(self) -> None:
        """Write the file. The rows are in the order in which they were added."""
        make_folder(self.path.parent)
        if self.path.suffix.lower() == ".csv":
            write_atomically(self.path, self._as_csv())
            return
        content = io.BytesIO()
        np.save(content, np.stack(self._rows))
        write_atomically(self.path, content.getbuffer())

    def _as_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", *(f"feature_{number}" for number in range(len(self._rows[0])))])
        for name, row in zip(self._names, self._rows, strict=True):
            writer.writerow([name, *(f"{value:.7g}" for value in row.tolist())])
        return text.getvalue()
