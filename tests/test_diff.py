"""Patches with parts left out: still patches, and git makes of them what it makes of those parts of the whole."""

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom_asgi import HeadroomConfig
from headroom_asgi.compressors import ContentKind, DiffCompressor, detect, sections
from headroom_asgi.config import CompressorConfig
from tests.omitted import REF, left_out, stay
from tests.test_logs import output_of


def git(folder: Path, *arguments: str, given: str = "") -> str:
    """What git says; fails where git does."""
    settings = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.autocrlf=false"]
    done = subprocess.run(["git", *settings, *arguments], cwd=folder, input=given.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def patch_of(folder: Path, before: dict[str, str], after: dict[str, str], *options: str) -> str:
    """The patch that git makes of two states of a repository, which is left in the first one."""
    git(folder, "init", "-q")
    for state in (before, after):
        for name, content in state.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode())
        if state is before:
            git(folder, "add", "-A")
            git(folder, "commit", "-qm", "before")
    patch = git(folder, "diff", *options)
    git(folder, "checkout", "-q", "--", ".")
    return patch


def lines_of(count: int, name: str = "line") -> list[str]:
    """The lines of a file."""
    return [f"{name} {at} says something of its own: {at * 7919 % 1000}" for at in range(count)]


def changed(lines: list[str], *places: int) -> str:
    """The file with some lines changed."""
    return "\n".join(f"changed {line}" if at in places else line for at, line in enumerate(lines)) + "\n"


def same(lines: list[str]) -> str:
    """The file as it was."""
    return changed(lines)


def test_a_generated_file_is_left_out_whole_and_the_rest_applies(tmp_path: Path) -> None:
    lines = lines_of(40)
    before = {name: same(lines) for name in ("package-lock.json", "src/a.py")}
    after = {"package-lock.json": changed(lines, *range(0, 40, 2)), "src/a.py": changed(lines, 20)}
    patch = patch_of(tmp_path, before, after)
    left, (omission,) = left_out(DiffCompressor(), patch)
    assert left.startswith(
        f"<<ccr:{REF}-a {omission.units} lines left out: all of package-lock.json, +20 -20, a generated file>>\ndiff --git"
    )
    assert f"{omission.text}\n" == patch[: patch.index("diff --git a/src")]
    git(tmp_path, "apply", given=left)
    assert (tmp_path / "src/a.py").read_text() == after["src/a.py"]
    assert (tmp_path / "package-lock.json").read_text() == before["package-lock.json"]


def test_hunks_of_white_space_are_left_out_and_the_others_still_apply(tmp_path: Path) -> None:
    lines = lines_of(90)
    spaced = [f"\t{line}" if at in (10, 11, 12, 13, 14) else line for at, line in enumerate(lines)]
    spaced.insert(30, "")
    after = changed(spaced, 60)
    patch = patch_of(tmp_path, {"a.js": same(lines)}, {"a.js": after})
    left, (omission,) = left_out(DiffCompressor(), patch)
    assert "2 hunks of white space only, context of a.js, +7 -6" in left
    assert left.count("\n@@ ") == 1
    assert f"{omission.text}\n" == patch
    git(tmp_path, "apply", given=left)
    assert (tmp_path / "a.js").read_text() == changed(lines, 59)


@pytest.mark.parametrize(("name", "left_of_it"), [("a.py", True), ("b.yaml", True), ("c.js", False)])
def test_indentation_is_a_change_where_it_has_a_meaning(tmp_path: Path, name: str, left_of_it: bool) -> None:
    lines = lines_of(40)
    indented = [f"    {line}" if 10 <= at < 25 else line for at, line in enumerate(lines)]
    patch = patch_of(tmp_path, {name: same(lines)}, {name: same(indented)})
    left, omissions = left_out(DiffCompressor(), patch)
    assert (left == patch) == left_of_it
    assert left_of_it or ("white space only" in left and omissions[0].text == patch[:-1])


def test_context_beyond_three_lines_is_left_out_with_right_counts(tmp_path: Path) -> None:
    lines = lines_of(120)
    patch = patch_of(tmp_path, {"a.py": same(lines)}, {"a.py": changed(lines, 30, 80)}, "-U40")
    left, _ = left_out(DiffCompressor(), patch)
    usual = patch_of_again(tmp_path, changed(lines, 30, 80))
    assert [line for line in stay(left) if not line.startswith("@@")] == [
        line for line in usual.split("\n") if not line.startswith("@@")
    ]
    heads = [line.split(" @@")[0] for line in left.split("\n") if line.startswith("@@")]
    assert heads == [line.split(" @@")[0] for line in usual.split("\n") if line.startswith("@@")]
    git(tmp_path, "apply", given=left)
    assert (tmp_path / "a.py").read_text() == changed(lines, 30, 80)


def patch_of_again(folder: Path, content: str) -> str:
    """The patch with git's own context."""
    (folder / "a.py").write_text(content)
    patch = git(folder, "diff")
    git(folder, "checkout", "-q", "--", ".")
    return patch


def test_of_a_large_patch_one_line_of_context_stays(tmp_path: Path) -> None:
    lines = lines_of(2000)
    after = changed(lines, *range(10, 2000, 20))
    patch = patch_of(tmp_path, {"a.py": same(lines)}, {"a.py": after})
    assert len(patch) > 32_000
    left, _ = left_out(DiffCompressor(), patch)
    assert left.count("\n ") * 2.5 < patch.count("\n ")
    git(tmp_path, "apply", given=left)
    assert (tmp_path / "a.py").read_text() == after


@pytest.mark.parametrize("end", [-200, -2000])
def test_a_patch_that_was_cut_keeps_the_part_that_is_not_whole(tmp_path: Path, end: int) -> None:
    lines = lines_of(120)
    patch = patch_of(tmp_path, {"a.py": same(lines)}, {"a.py": changed(lines, 30, 60, 90)}, "-U40")[:end]
    assert left_out(DiffCompressor(), patch) == (patch, [])


def test_a_part_that_is_asked_for_stays(tmp_path: Path) -> None:
    lines = lines_of(40)
    patch = patch_of(tmp_path, {"yarn.lock": same(lines)}, {"yarn.lock": changed(lines, *range(40))})
    assert left_out(DiffCompressor(), patch, "why did yarn.lock change?") == (patch, [])
    assert left_out(DiffCompressor(), patch, "what is line_9 about", '{"q": "7919 says"}')[1]
    assert left_out(DiffCompressor(), patch, arguments='{"q": "changed line 17 says"}') == (patch, [])


def test_what_stands_between_patches_stays(tmp_path: Path) -> None:
    lines = lines_of(40)
    patch = patch_of(tmp_path, {"yarn.lock": same(lines)}, {"yarn.lock": changed(lines, *range(40))})
    left, _ = left_out(DiffCompressor(), f"commit 1\n\n{patch}\ncommit 2\n\n    Words.\n")
    assert stay(left) == ["commit 1", "", "", "commit 2", "", "    Words.", ""]


def test_a_text_that_is_no_patch_of_gits_stays() -> None:
    text = "--- a.txt\n+++ b.txt\n@@ -1,9 +1,9 @@\n" + "".join(f" {line}\n" for line in lines_of(40))
    assert left_out(DiffCompressor(), text) == (text, [])


NAMES = ["src/a.py", "src/b.c", "package-lock.json", "web/x.min.js", "docs/README.md", "new.txt"]


def any_change(lines: list[str], chance: random.Random) -> list[str]:
    """The file with something done to it."""
    lines = list(lines)
    for _ in range(chance.randint(1, 9)):
        at = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                lines[at] = f"changed {lines[at]}"
            case 1:
                lines.insert(at, "new line")
            case 2:
                lines.insert(at, "")
            case 3:
                lines[at] = f"   {lines[at]}  "
            case 4:
                lines[at] = f"{lines[at]}\r"
            case _ if len(lines) > 3:
                del lines[at]
    return lines


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 3, 9, 40]))
def test_what_is_left_of_any_patch_applies_and_does_not_do_anything_else(
    tmp_path_factory: pytest.TempPathFactory, seed: int, context: int
) -> None:
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("repository")
    before, after = {}, {}
    for name in NAMES:
        lines = [f"{' ' * chance.choice([0, 2, 4])}line {at} {chance.randint(0, 5)}" for at in range(chance.randint(5, 150))]
        before[name] = "\n".join(lines) + chance.choice(["", "\n"])
        after[name] = "\n".join(any_change(lines, chance)) + chance.choice(["", "\n"])
    patch = patch_of(folder, before, after, f"-U{context}")
    left, omissions = left_out(DiffCompressor(), patch)
    said = [line for line in left.split("\n") if line.startswith(f"<<ccr:{REF}-")]
    assert [line.split(" ")[1] for line in said] == [str(omission.units) for omission in omissions]
    assert all(omission.text in patch for omission in omissions)
    git(folder, "apply", *(["--unidiff-zero"] if not context else []), given=left)
    for name in NAMES:
        content = (folder / name).read_bytes().decode()
        whole = f"all of {name}," in left
        spaces = any(f"context of {name}," in line and "white space" in line for line in said)
        assert content == before[name] if whole else spaces or content == after[name]
        assert "".join(content.split()) == "".join(after[name].split()) or whole


def test_a_patch_is_no_business_of_any_other_compressor(tmp_path: Path) -> None:
    lines = ["the same line again and again"] * 60
    patch = patch_of(tmp_path, {"a.py": same(lines)}, {"a.py": changed(lines, *range(60))})
    assert detect(patch) is ContentKind.DIFF
    assert [section.kind for section in sections(patch)] == [ContentKind.DIFF]
    assert output_of(patch, HeadroomConfig()) in ("", "repeats:lines")


def test_the_section_of_the_configuration_switches_it(tmp_path: Path) -> None:
    lines = lines_of(60)
    patch = patch_of(tmp_path, {"yarn.lock": same(lines)}, {"yarn.lock": changed(lines, *range(60))})
    assert "diff:hunks" in output_of(patch, HeadroomConfig())
    assert "diff:hunks" not in output_of(patch, HeadroomConfig(diff=CompressorConfig(enabled=False)))
