"""The rule of the house that import-linter cannot check: only `relay.net` touches what is Twisted's own business."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
INTERNAL = (
    "twisted.internet.abstract",
    "twisted.internet.base",
    "twisted.internet.main",
    "twisted.internet.posixbase",
    "twisted.internet.tcp",
    "twisted.internet.unix",
    "twisted.protocols.haproxy",
    "twisted.protocols.policies",
    "twisted.protocols.tls",
)
"""Modules of Twisted whose public names are transports from within: to use them is to rely on how they work."""


def outside() -> dict[str, ast.Module]:
    """The modules of the relay that stand outside of `relay.net`, by their path."""
    files = sorted(file for file in (ROOT / "relay").rglob("*.py") if file.parent.name != "net")
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in files}


def imported(module: ast.Module) -> Iterator[str]:
    """The full names of what a module imports."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def internal(name: str) -> bool:
    """Whether what has that full name is Twisted's own business."""
    private = any(part.startswith("_") for part in name.split("."))
    return name.startswith("twisted.") and (private or any(f"{name}.".startswith(f"{one}.") for one in INTERNAL))


def defined(module: ast.Module) -> Iterator[str]:
    """The private names that a module gives to something: attributes, methods, fields, functions."""
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def used(module: ast.Module) -> Iterator[str]:
    """The private attributes that a module reads, of whatever object."""
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            yield node.attr


class TwistedTests(SynchronousTestCase):
    def test_only_net_imports_its_private_names_and_internals(self) -> None:
        found = {path: list(filter(internal, imported(module))) for path, module in outside().items()}
        self.assertEqual({path: names for path, names in found.items() if names}, {})

    def test_only_net_uses_private_attributes_that_the_relay_does_not_define(self) -> None:
        modules = outside()
        ours = {name for module in modules.values() for name in defined(module)}
        found = {path: sorted(set(used(module)) - ours) for path, module in modules.items()}
        # nats-py has no public way to cut a connection, and its `close` waits for what a dead path cannot take.
        allowed = {"relay/backbone/access.py": ["_transport"]}
        self.assertEqual({path: names for path, names in found.items() if names}, allowed)

    def test_what_is_internal_is_told_from_what_is_not(self) -> None:
        for name in ("twisted.internet.tcp", "twisted.internet.tcp.Server", "twisted.web._flatten.x", "twisted.x._y"):
            self.assertTrue(internal(name), name)
        for name in ("twisted.internet.interfaces.ITCPTransport", "relay.net.tcp.X", "_io", "twisted.web.http.Request"):
            self.assertFalse(internal(name), name)
