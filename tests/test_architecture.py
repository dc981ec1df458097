"""The house: who may import whom, through which door, and how large things may grow."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "headroom_asgi"
ROOT = Path(__file__).resolve().parent.parent
HOUSE = ROOT / PACKAGE

# Lowest step first; rooms on one step are neighbors and may not import each other.
STAIRCASE = (
    {"errors"},
    {"types", "sse", "logs", "checks"},
    {"callers"},
    {"config", "_crush"},
    {"tokenizer", "wire", "store", "ranks"},
    {"compressors"},
    {"transforms"},
    {"observers", "pipeline"},
    {"retrieval"},
    {"engine"},
    {"middleware", "api"},
    {"testing"},
    {""},
)
STEP = {room: step for step, rooms in enumerate(STAIRCASE) for room in rooms}
# `config` holds typed settings that everybody may read; it knows no room.
MAX_FILE_LINES = 420
MAX_FUNCTION_LINES = 62
ENVIRONMENT_READERS = {"config.environment"}
GRAMMARS = ("c", "cpp", "go", "java", "javascript", "python", "rust", "typescript")
OPTIONAL_IMPORTS = {
    "middleware.codings": {"brotli", "zstandard"},
    "compressors.code": {"tree_sitter", *(f"tree_sitter_{name}" for name in GRAMMARS)},
    "compressors.html": {"resiliparse"},
    "compressors.word_model": {"numpy", "onnxruntime", "tokenizers"},
    "store.records": {"zstandard", "cryptography"},
    "store.redis_client": {"redis"},
}


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    for path in sorted(HOUSE.rglob("*.py")):
        parts = list(path.relative_to(HOUSE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        yield ".".join(parts), path, ast.parse(path.read_text())


MODULES = list(modules())
each_module = pytest.mark.parametrize(("name", "path", "tree"), MODULES, ids=[name or PACKAGE for name, *_ in MODULES])


def imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Every imported dotted name, and whether the import stands inside a function."""

    def walk(node: ast.AST, *, inside: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, "relative import"
                if child.module == PACKAGE:
                    yield from ((f"{PACKAGE}.{alias.name}", inside) for alias in child.names)
                else:
                    yield child.module or "", inside
            deeper = inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from walk(child, inside=deeper)

    return walk(tree, inside=False)


def own_imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    for name, inside in imports(tree):
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            yield name.removeprefix(PACKAGE).lstrip("."), inside


def test_every_room_has_a_step() -> None:
    assert {name.split(".")[0] for name, *_ in MODULES} <= set(STEP)


def test_no_step_is_for_a_room_that_is_not_built() -> None:
    built = {name.split(".")[0] for name, *_ in MODULES} | {path.stem for path in HOUSE.glob("*.pyx")}
    assert set(STEP) <= built


@each_module
def test_imports_go_down_the_staircase_and_through_doors(name: str, path: Path, tree: ast.Module) -> None:
    room = name.split(".")[0]
    for target, _ in own_imports(tree):
        there = target.split(".")[0]
        if there != room:
            assert STEP[there] < STEP[room], f"{name} may not import {target}"
            assert "." not in target, f"{name} reaches past the door of {there}: {target}"


@each_module
def test_no_own_import_is_late(name: str, path: Path, tree: ast.Module) -> None:
    assert [target for target, inside in own_imports(tree) if inside] == []


def test_no_room_imports_in_a_circle() -> None:
    graph = {name: {target for target, _ in own_imports(tree)} for name, _, tree in MODULES}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@each_module
def test_files_and_functions_stay_small(name: str, path: Path, tree: ast.Module) -> None:
    assert path.read_text().count("\n") <= MAX_FILE_LINES, f"{name}: look for the seam"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, f"{name}.{node.name}: look for the seam"


@pytest.mark.parametrize("path", sorted(HOUSE.glob("*.px[id]")), ids=lambda path: path.name)
def test_kernel_files_stay_small(path: Path) -> None:
    assert path.read_text().count("\n") <= 480, f"{path.name}: look for the seam"


@each_module
def test_nothing_is_global_or_silent(name: str, path: Path, tree: ast.Module) -> None:
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Global), f"{name}: global statement"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{name}:{node.lineno}: bare except"
            assert not all(isinstance(line, ast.Pass) for line in node.body), f"{name}:{node.lineno}: silent except"


@each_module
def test_only_config_reads_the_environment(name: str, path: Path, tree: ast.Module) -> None:
    if name not in ENVIRONMENT_READERS:
        reads = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}]
        assert reads == []


@each_module
def test_optional_packages_are_imported_by_their_one_file(name: str, path: Path, tree: ast.Module) -> None:
    optional = set().union(*OPTIONAL_IMPORTS.values())
    used = {target.split(".")[0] for target, _ in imports(tree)} & optional
    assert used <= OPTIONAL_IMPORTS.get(name, set())


@each_module
def test_no_dialect_is_named_above_the_wire(name: str, path: Path, tree: ast.Module) -> None:
    if name.split(".")[0] not in {"wire", "tokenizer", "testing", "api", ""}:
        code = re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"openai|anthropic|tool_use|tool_calls|finish_reason", code, re.IGNORECASE), name


@each_module
def test_the_engine_and_the_loop_do_no_io(name: str, path: Path, tree: ast.Module) -> None:
    if name.split(".")[0] in {"engine", "retrieval", "transforms", "compressors", "wire", "pipeline"}:
        forbidden = {"starlette", "httpx", "httpx2", "socket", "ssl", "http"}
        assert {target.split(".")[0] for target, _ in imports(tree)} & forbidden == set()


def test_the_kernel_parses_for_itself() -> None:
    for path in HOUSE.glob("_crush*.px*"):
        assert not re.search(r"^\s*(c?import|from)\s+.*\b(json|orjson)\b", path.read_text(), re.MULTILINE), path.name
