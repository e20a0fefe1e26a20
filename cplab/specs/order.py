"""Refuses a student's own function whose text depends on the order of a set, or reads a hash.

Both differ in each process. A set may be counted, sorted, added to, and asked what it contains; a
loop may not go through it.
"""

from __future__ import annotations

import ast
from collections.abc import Collection
from functools import lru_cache

from cplab.errors import CplabError

# What makes a set, as `name_or_kind` calls it: {1, 2}, {x for x in y}, and the functions
SETS = {"Set", "SetComp", "set", "frozenset"}
DICT_VIEWS = {"keys", "items"}  # methods of a dict whose results & | ^ - turn into a set
# Methods of a set that do not depend on its order
SAFE_METHODS = {"add", "discard", "remove", "update", "isdisjoint", "issubset", "issuperset"}
# Functions whose results do not depend on the order of what they are given
ORDERLESS = {"sorted", "len", "min", "max", "any", "all"}
# Functions and methods that return the values of a set in its order
PASSING = {"list", "tuple", "set", "frozenset", "sorted", "map", "filter", "copy"}
PASSING |= {"union", "intersection", "difference", "symmetric_difference"}
# Functions and methods that return another number in each process
HASHES = {"hash", "id", "__hash__", "data_ptr"}


@lru_cache(maxsize=1000)
def check_order(name: str, text: str, builtins: frozenset[str]) -> None:
    """Check that a definition depends neither on a hash nor on the order of a set.

    Arguments: name, the function's; text, its definition; builtins, the names of Python's builtins
        that it reads.

    Raises: CplabError.
    """
    nodes = [*ast.walk(ast.parse(text))]
    check_hashes(name, nodes, builtins)
    views = variables_of_views(nodes)
    sets = variables_of_sets(nodes, views)
    safe = safe_nodes(nodes, views)
    for node in nodes:
        if node in safe:
            continue
        if is_set(node, views) or name_or_kind(node) in sets:
            raise CplabError(
                f"{name} goes through a set, whose order differs in each process: use a list, or "
                "sorted(…) of it"
            )


def check_hashes(name: str, nodes: list[ast.AST], builtins: frozenset[str]) -> None:
    """Check that a definition reads no hash. Raises: CplabError."""
    methods = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    # net.id and net.hash may be attributes of anything; id(...) and hash(...) are Python's
    names = builtins | (methods - {"id", "hash"})
    hashes = sorted(names & HASHES)
    if hashes:
        listed = ", ".join(hashes)
        raise CplabError(f"{name} reads {listed}, which differs in each process: leave it out")


def variables_of_views(nodes: list[ast.AST]) -> set[str]:
    """The variables to which a text assigns the keys or items of a dict."""
    variables = set[str]()
    for node in nodes:
        if isinstance(node, ast.Assign) and is_view(node.value):
            variables.update(name_or_kind(target) for target in node.targets)
    return variables


def variables_of_sets(nodes: list[ast.AST], views: Collection[str]) -> set[str]:
    """The variables to which a text assigns a set. views: variables that hold keys of a dict."""
    variables = set[str]()
    for node in nodes:
        if isinstance(node, ast.Assign) and is_set(node.value, views):
            variables.update(name_or_kind(target) for target in node.targets)
    return variables


def safe_nodes(nodes: list[ast.AST], views: Collection[str]) -> set[ast.AST]:
    """The expressions of a text that may be sets, since nothing goes through them in their order.

    Arguments: nodes, all of the text's; views, variables that hold keys of a dict.
    """
    safe: set[ast.AST] = set()
    for node in nodes:
        if isinstance(node, ast.Assign) and is_set(node.value, views):
            safe.update(ast.walk(node))
        elif isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                safe.add(side)
                if isinstance(side, ast.Call):
                    safe.add(side.func)
        elif isinstance(node, ast.Attribute) and node.attr in SAFE_METHODS:
            safe.add(node.value)
        elif isinstance(node, ast.Call) and name_or_kind(node.func) in ORDERLESS:
            for argument in node.args:
                add_orderless(argument, safe)
    return safe


def add_orderless(node: ast.AST, safe: set[ast.AST]) -> None:
    """Add to `safe` an expression that is sorted or counted.

    Its parts are safe as well if their order is lost with its own: in sorted(list(a | b)), `list`
    passes on the order of a | b, and `sorted` removes it.
    """
    safe.add(node)
    if isinstance(node, ast.BinOp):
        add_orderless(node.left, safe)
        add_orderless(node.right, safe)
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        for loop in node.generators:
            add_orderless(loop.iter, safe)
    elif isinstance(node, ast.Call) and name_or_kind(node.func) in PASSING:
        safe.add(node.func)
        for argument in node.args:
            add_orderless(argument, safe)
        if isinstance(node.func, ast.Attribute):
            add_orderless(node.func.value, safe)


def is_set(node: ast.AST, views: Collection[str] = ()) -> bool:
    """Whether an expression makes a set. views: variables that hold the keys of a dict."""
    if isinstance(node, ast.BinOp):  # such as a.keys() & b.keys()
        for side in (node.left, node.right):
            if is_set(side) or is_view(side) or name_or_kind(side) in views:
                return True
        return False
    if isinstance(node, ast.Call):  # such as set(x)
        return name_or_kind(node.func) in SETS
    return name_or_kind(node) in SETS


def is_view(node: ast.AST) -> bool:
    """Whether an expression is the keys or the items of a dict."""
    return isinstance(node, ast.Call) and name_or_kind(node.func) in DICT_VIEWS


def name_or_kind(node: ast.AST) -> str:
    """What a node of a syntax tree is called: `a` for the name a, `keys` for b.keys; any other node
    by its kind, such as SetComp for {x for x in y}."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    return type(node).__name__
