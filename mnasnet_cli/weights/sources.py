"""The SOURCE argument of `mnasnet import`: a path, a URL or the name of published weights, resolved to a local path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mnasnet_cli.errors import ConfigError
from mnasnet_cli.weights.archives import is_archive, unpack
from mnasnet_cli.weights.download import cache_folder, download
from mnasnet_cli.weights.http import is_url
from mnasnet_cli.weights.registry import WEIGHTS, PublishedWeights, find_weights, known_sha256


@dataclass(frozen=True)
class LocalWeights:
    """Weights on this machine, with their URL and registry entry if known."""

    path: str
    url: str | None = None
    published: PublishedWeights | None = None


def fetch(source: str, *, sha256: str | None = None) -> LocalWeights:
    """Downloads weights if necessary and unpacks an archive. Both are kept for later calls.

    Args:
      source: a path, a URL, or a name that `mnasnet models` lists.
      sha256: the checksum in hex, or at least its first 8 digits; the published one if None.

    Raises:
      ConfigError: the URL is malformed, or the name is unknown.
      DataError, EnvironmentProblem: see `download` and `unpack`.
    """
    url, published = _resolve(source)
    path = Path(source) if url is None else download(url, cache_folder(url), sha256=sha256 or known_sha256(url))
    return LocalWeights(str(unpack(path)) if path.is_file() and is_archive(path) else str(path), url, published)


def is_published(source: str) -> bool:
    """Whether a source is the name or URL of published weights, whose variant and width are known.

    Raises:
      ConfigError: the source is a misspelled name.
    """
    return _resolve(source)[1] is not None


def _resolve(source: str) -> tuple[str | None, PublishedWeights | None]:
    """The URL of a source, None for a path, and its registry entry, None if it has none."""
    if is_url(source):
        files = {file.url: weights for weights in WEIGHTS for file in (weights.file, *weights.others)}
        return source, files.get(source)
    publishers = {weights.name.partition("/")[0] for weights in WEIGHTS}
    if Path(source).exists() or source.partition("/")[0] not in publishers:
        return None, None
    published = find_weights(source)
    if not published.direct:
        raise ConfigError(
            f"{source} has no direct download link; save the file from {published.file.url} in a browser, then import "
            "the file"
        )
    return published.file.url, published
