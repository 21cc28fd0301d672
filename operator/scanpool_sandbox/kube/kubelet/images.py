"""What an image name stands for: a local program, or a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ANY = "*"
"""The entry of an image mapping that stands for every image not listed."""


@dataclass(frozen=True)
class Program:
    """An image that is a local program: the container's command and args follow `argv`.

    The container's `command`, where it has one, is passed as arguments too: there is no root
    filesystem in which it could be found.
    """

    argv: tuple[str, ...]


@dataclass(frozen=True)
class Simulated:
    """An image that only pretends: ready after a while, using a fixed amount of memory."""

    ready_after_seconds: float = 0.0
    memory_bytes: int = 64 * 1024 * 1024
    cpu_cores: float = 0.01


Image = Program | Simulated
Images = Mapping[str, Image]


def images_from(mapping: Mapping[str, Image | Sequence[str]] | None) -> dict[str, Image]:
    """Read an image mapping; a bare argv is a Program, and no mapping simulates everything."""
    if mapping is None:
        return {ANY: Simulated()}
    return {
        name: image if isinstance(image, Program | Simulated) else Program(tuple(image))
        for name, image in mapping.items()
    }


def find_image(images: Images, reference: str) -> Image | None:
    """Look up an image by repository, ignoring tag and digest."""
    repository = reference.partition("@")[0]
    head, slash, last = repository.rpartition("/")
    repository = head + slash + last.partition(":")[0]
    return images.get(repository) or images.get(ANY)
