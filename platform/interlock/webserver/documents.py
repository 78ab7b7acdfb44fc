"""What a GraphQL document really asks for, whatever it calls it.

Mutations are found by parsing: an alias, a fragment or a second operation hides none. Documents
that are too long or too deep are refused before Dagster sees them. Text in, findings out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
    value_from_ast_untyped,
)

from interlock.errors import IdentityError

MAX_CHARACTERS: Final = 200_000  # the longest document of Dagster 1.13's own pages has some 30,000
MAX_TOKENS: Final = 20_000
MAX_DEPTH: Final = 40  # fields below each other; Dagster's own pages need less than half
MAX_MUTATIONS: Final = 10  # in one document; Dagster's pages send one


@dataclass(frozen=True)
class Asked:
    """What a document asks for.

    Attributes:
        operations: Kinds of its operations.
        mutations: Mutations by their real names, each as often as it is asked for.
        depth: Fields below each other.
        silent: Mutations whose answer would not say what it is: without ``__typename``.
        alone: Whether it is one operation with one field at its root and no directive on the way
            there, so that what it says is what is done.
        arguments: Of a mutation that is alone, whatever its variables are called.
    """

    operations: frozenset[OperationType]
    mutations: tuple[str, ...]
    depth: int
    silent: tuple[str, ...] = ()
    alone: bool = True
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes_something(self) -> bool:
        """Whether any operation in it is a mutation, also one that is not the chosen one."""
        return OperationType.MUTATION in self.operations


def read_document(text: str, variables: Mapping[str, Any] | None = None) -> Asked:
    """What a document asks for.

    Args:
        text: GraphQL.
        variables: As they were sent with it.

    Raises:
        IdentityError: It is no GraphQL, too long, too deep, asks for too many mutations, or its
            fragments contain each other.
    """
    if len(text) > MAX_CHARACTERS:
        raise _refused(
            f"the document has {len(text)} characters, expected at most {MAX_CHARACTERS}"
        )
    try:
        document = parse(text, no_location=True, max_tokens=MAX_TOKENS)
        return _asked(document, variables or {})
    except GraphQLError as error:
        raise _refused(f"the document cannot be read: {error.message}") from error
    except RecursionError as error:
        raise _refused("the document is nested too deeply") from error


def _asked(document: DocumentNode, variables: Mapping[str, Any]) -> Asked:
    fragments = {
        each.name.value: each
        for each in document.definitions
        if isinstance(each, FragmentDefinitionNode)
    }
    operations = [
        each for each in document.definitions if isinstance(each, OperationDefinitionNode)
    ]
    reader = _Reader(fragments)
    depth = max((reader.depth(each.selection_set, ()) for each in operations), default=0)
    if depth > MAX_DEPTH:
        raise _refused(f"the document is {depth} fields deep, expected at most {MAX_DEPTH}")
    mutations: list[FieldNode] = []
    for operation in operations:
        if operation.operation is OperationType.MUTATION:
            reader.collect(operation.selection_set, mutations)
    alone = len(operations) == len(mutations) == 1 and not reader.conditional
    return Asked(
        frozenset(each.operation for each in operations),
        tuple(each.name.value for each in mutations),
        depth,
        tuple(each.name.value for each in mutations if _is_silent(each)),
        alone or not mutations,
        _arguments(operations[0], mutations[0], variables) if alone else {},
    )


def _arguments(
    operation: OperationDefinitionNode, mutation: FieldNode, variables: Mapping[str, Any]
) -> dict[str, Any]:
    given = {
        each.variable.name.value: value_from_ast_untyped(each.default_value)
        for each in operation.variable_definitions
        if each.default_value is not None
    } | dict(variables)
    return {
        each.name.value: value_from_ast_untyped(each.value, given) for each in mutation.arguments
    }


def _is_silent(mutation: FieldNode) -> bool:
    if mutation.selection_set is None:
        return False
    return not any(
        isinstance(each, FieldNode)
        and each.name.value == "__typename"
        and each.alias is None
        and not each.directives
        for each in mutation.selection_set.selections
    )


class _Reader:
    """Follows fragments, each measured once."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._depths: dict[str, int] = {}
        self.conditional = False  # whether a directive stands on the way to a collected field

    def depth(self, selections: SelectionSetNode | None, inside: tuple[str, ...]) -> int:
        """Fields below each other; ``inside`` names the fragments that are being measured."""
        if selections is None:
            return 0
        deepest = 0
        for each in selections.selections:
            if isinstance(each, FieldNode):
                found = 1 + self.depth(each.selection_set, inside)
            elif isinstance(each, InlineFragmentNode):
                found = self.depth(each.selection_set, inside)
            else:
                assert isinstance(each, FragmentSpreadNode)  # noqa: S101 - there is no other kind
                found = self._depth_of_fragment(each.name.value, inside)
            deepest = max(deepest, found)
        return deepest

    def collect(self, selections: SelectionSetNode, found: list[FieldNode]) -> None:
        """Adds the root's fields; call ``depth`` first, which finds loops."""
        for each in selections.selections:
            self.conditional = self.conditional or bool(each.directives)
            if isinstance(each, FieldNode):
                found.append(each)
            elif isinstance(each, InlineFragmentNode):
                self.collect(each.selection_set, found)
            elif isinstance(each, FragmentSpreadNode):
                self.collect(self._fragments[each.name.value].selection_set, found)
            if len(found) > MAX_MUTATIONS:
                raise _refused(f"the document asks for more than {MAX_MUTATIONS} mutations")

    def _depth_of_fragment(self, name: str, inside: tuple[str, ...]) -> int:
        if name in inside:
            raise _refused(f"the fragment {name} contains itself")
        if name not in self._fragments:
            raise _refused(f"there is no fragment {name}")
        if name not in self._depths:
            selections = self._fragments[name].selection_set
            self._depths[name] = self.depth(selections, (*inside, name))
        return self._depths[name]


def _refused(message: str) -> IdentityError:
    return IdentityError(message, remedy="ask for less at once, in valid GraphQL")
