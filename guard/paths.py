"""Paths as text: joined, normalised and made relative, without asking the file system."""

from __future__ import annotations


def normalise(path: str) -> str:
    """An absolute path without `.`, `..`, repeated and trailing slashes.

    Symbolic links are not followed, so `/a/link/..` becomes `/a`.
    """
    if not _needs_work(path):
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)


def join(directory: str, name: str) -> str:
    """`name` seen from `directory`, normalised; an absolute name stands alone."""
    return normalise(name if name.startswith("/") else f"{directory}/{name}")


def relative_to(path: str, directory: str) -> str | None:
    """`path` as seen from `directory`: "" for itself, None when it is not below."""
    if directory == "/":
        return path[1:] if path.startswith("/") else None
    if not directory or not path.startswith(directory):
        return None
    rest = path[len(directory) :]
    if not rest:
        return ""
    return rest[1:] if rest[0] == "/" else None


def _needs_work(path: str) -> bool:
    return "//" in path or "/." in path or path[-1:] == "/" or path[:1] != "/"
