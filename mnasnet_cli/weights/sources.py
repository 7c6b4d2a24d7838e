"""What `mnasnet import` is given: a path, an address, or the name of published weights; all of them end as a path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mnasnet_cli.errors import ConfigError
from mnasnet_cli.weights.archives import is_archive, unpack
from mnasnet_cli.weights.download import cache_folder, download, is_url
from mnasnet_cli.weights.registry import WEIGHTS, PublishedWeights, find_weights, known_sha256


@dataclass(frozen=True)
class Source:
    """Weights on this machine, and what is known of them where they are published ones."""

    path: str
    url: str | None = None
    published: PublishedWeights | None = None


def fetch(source: str, *, sha256: str | None = None) -> Source:
    """Fetches weights where they are elsewhere, and unpacks an archive; both are kept for the next time.

    Args:
      source: a path; an address; or a name that `mnasnet models` lists.
      sha256: the file's checksum in hex, all of it or at least its first 8 digits; a published one where None.

    Raises:
      ConfigError: an address that isn't one, or an unknown name.
      DataError, EnvironmentProblem: it can't be had whole, see `download` and `unpack`.
    """
    url, published = _address(source)
    path = Path(source) if url is None else download(url, cache_folder(url), sha256=sha256 or known_sha256(url))
    return Source(str(unpack(path)) if path.is_file() and is_archive(path) else str(path), url, published)


def is_published(source: str) -> bool:
    """Whether a source is among the published weights, whose net is known, or a misspelled name of one."""
    return _address(source)[1] is not None


def _address(source: str) -> tuple[str | None, PublishedWeights | None]:
    """Where on the web a source is, None for a path; and whose weights they are, as far as that is known."""
    if is_url(source):
        files = {file.url: weights for weights in WEIGHTS for file in (weights.file, *weights.others)}
        return source, files.get(source)
    publishers = {weights.name.partition("/")[0] for weights in WEIGHTS}
    if Path(source).exists() or source.partition("/")[0] not in publishers:
        return None, None
    published = find_weights(source)
    if not published.direct:
        raise ConfigError(
            f"{source} is behind a page for people ({published.file.url}); save its file from there in a browser, and "
            "import that"
        )
    return published.file.url, published
