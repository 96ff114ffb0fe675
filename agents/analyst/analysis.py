"""What the analyst makes of the inventory: languages, folders, the largest files, open TODOs."""

import os
import re

LARGEST = 10
TODOS = 50
# Longest line told of a TODO, characters.
TEXT = 160
# Files above this are not searched, bytes.
LARGEST_SEARCHED = 8 * 1024 * 1024

# The words in capitals, at the start of a comment or of a line.
OPENING = rb"(?:^|//|/\*|\*|#|--|;|%|<!--|\{-|\"\"\"|''')"
MARKER = re.compile(OPENING + rb"[ \t]*(?:[-*+][ \t]+)?(?:\[ \][ \t]+)?(TODO|FIXME)\b", re.M)


def analyse(root, files):
    """`files`: rows of name, bytes, lines, language (None: binary), time."""
    todos, unsearched = find_todos(root, files)
    return {
        "kind": "analysis",
        "languages": by_language(files),
        "folders": by_folder(files),
        "largest": largest(files),
        "todoCount": len(todos),
        "todoFiles": len({todo["file"] for todo in todos}),
        "todos": todos[:TODOS],
        "unsearched": unsearched,
    }


def by_language(files):
    return _summed((language, size, lines) for _, size, lines, language, _ in files if language is not None)


def by_folder(files):
    return _summed((name.split("/", 1)[0] if "/" in name else ".", size, lines) for name, size, lines, _, _ in files)


def _summed(rows):
    sums = {}
    for key, size, lines in rows:
        entry = sums.setdefault(key, {"name": key, "files": 0, "lines": 0, "bytes": 0})
        entry["files"] += 1
        entry["lines"] += lines or 0
        entry["bytes"] += size
    return sorted(sums.values(), key=lambda entry: (-entry["lines"], -entry["files"], entry["name"]))


def largest(files):
    rows = sorted(files, key=lambda row: (-row[1], row[0]))[:LARGEST]
    return [
        {"name": name, "bytes": size, "lines": lines, "language": language} for name, size, lines, language, _ in rows
    ]


def find_todos(root, files):
    """All of them in the order of files and lines, and how many files were too large to be searched."""
    found, unsearched = [], 0
    for name, size, _, language, _ in files:
        if language is None:
            continue
        if size > LARGEST_SEARCHED:
            unsearched += 1
            continue
        try:
            # A name that is no text came with its stray bytes as surrogates, which fsencode turns back.
            with open(os.path.join(os.fsencode(root), os.fsencode(name)), "rb") as file:
                content = file.read(LARGEST_SEARCHED + 1)
        except OSError:
            continue
        found += todos_in(name, content)
    return found, unsearched


def todos_in(name, content):
    if b"TODO" not in content and b"FIXME" not in content:
        return []
    todos = []
    for number, line in enumerate(content.split(b"\n"), 1):
        match = MARKER.search(line)
        if match is None:
            continue
        text = line[match.start(1) :].decode("utf-8", "replace").strip().removesuffix("*/").removesuffix("-->").strip()
        if len(text) > TEXT:
            text = text[: TEXT - 1].rstrip() + "…"
        todos.append({"file": name, "line": number, "marker": match.group(1).decode(), "text": text})
    return todos
