"""Pickled members of an NPZ, read by looking at the pickle's opcodes; nothing in it is ever executed.

The legacy pipeline writes ``objectGuess=None`` and ``_metadata`` as one-element object arrays, which NumPy stores as
pickles. Exactly those two contents, None and a text, are understood. Any other opcode, global or shape is refused.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass

from ptychofold.errors import FormatError
from ptychofold.formats.archive import ForwardReader, Member, NpyHeader
from ptychofold.formats.base import foreign_errors_refused

__all__ = ["read_none_or_text"]

_SIZE_LIMIT = 1 << 26
_DEPTH_LIMIT = 64


@dataclass(frozen=True)
class _Name:
    module: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.module}.{self.attribute}"


@dataclass(frozen=True)
class _Built:
    """What a REDUCE would have made: the callable's name, its arguments, and the state set by BUILD."""

    function: object
    arguments: object
    state: object = None


_MARK = object()
_RECONSTRUCT = {_Name(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")}
_NDARRAY = _Name("numpy", "ndarray")
_DTYPE = _Name("numpy", "dtype")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = {
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINBYTES", "SHORT_BINBYTES",
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1",
}  # fmt: skip
_IGNORED = {"PROTO", "FRAME"}


def read_none_or_text(member: Member, header: NpyHeader) -> str | None:
    """Return the None or the text that a one-element object array holds.

    Raises
    ------
    FormatError
        If the pickle holds anything else; it is not loaded.
    """
    if member.size - header.size > _SIZE_LIMIT:
        raise _refusal(member, f"a pickle of {member.size - header.size} bytes")
    payload = bytearray(member.size)
    ForwardReader(member).readinto(memoryview(payload))
    with foreign_errors_refused(member.path, doing=f"inspecting the pickle of {member.name!r}"):
        try:
            tree = _Reader(member).read(bytes(payload[header.size :]))
        except IndexError as error:
            raise _refusal(member, "a pickle that takes from an empty stack") from error
    value = _only_element(tree)
    if not isinstance(value, str | None):
        raise _refusal(member, "a pickled object array of something else")
    return value


def _only_element(tree: object) -> object:
    """Return the element of a one-element object array, or the tree itself if it is not one."""
    match tree:
        case _Built(function, (cls, (0,), bytes()), (1, () | (1,), _Built(dtype, (code, *_), _), False, [value])):
            known = function in _RECONSTRUCT and cls == _NDARRAY and dtype == _DTYPE
            return value if known and isinstance(code, str) and code.startswith("O") else tree
    return tree


def _refusal(member: Member, found: str) -> FormatError:
    return FormatError(
        f"{member.name!r} holds {found}; only a pickled None or text is read, because loading a pickle can run any "
        "program. Save the field as a plain array.",
        path=member.path,
    )


class _Reader:
    """A pickle machine whose globals are names and whose calls are records."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}
        self._actions: dict[str, Callable[[object], None]] = {
            "MARK": lambda _: self._stack.append(_MARK),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "TUPLE": lambda _: self._stack.append(tuple(self._since_mark())),
            "LIST": lambda _: self._stack.append(self._since_mark()),
            "APPEND": lambda _: self._extend([self._stack.pop()]),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "GLOBAL": lambda text: self._stack.append(_Name(*str(text).split(" ", 1))),
            "STACK_GLOBAL": lambda _: self._stack_global(),
            "REDUCE": lambda _: self._reduce(),
            "BUILD": lambda _: self._build(),
            "MEMOIZE": lambda _: self._memo.__setitem__(len(self._memo), self._stack[-1]),
        }

    def read(self, payload: bytes) -> object:
        """Return the tree of names and literals that the pickle describes."""
        stream = io.BytesIO(payload)
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                break
            self._step(opcode.name, argument)
        if len(self._stack) != 1 or stream.read(1):
            raise _refusal(self._member, "more than one pickled object")
        return self._stack[0]

    def _step(self, name: str, argument: object) -> None:
        if name in _IGNORED:
            return
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self._stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memo[int(str(argument))] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self._stack.append(self._memo[int(str(argument))])
        elif name in self._actions:
            self._actions[name](argument)
        else:
            raise _refusal(self._member, f"a pickle with the instruction {name}")
        if len(self._stack) > _DEPTH_LIMIT:
            raise _refusal(self._member, "a deeply nested pickle")

    def _since_mark(self) -> list[object]:
        items: list[object] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _tuple(self, count: int) -> None:
        items = [self._stack.pop() for _ in range(count)]
        self._stack.append(tuple(items[::-1]))

    def _extend(self, items: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise _refusal(self._member, "a pickle that appends to what is not a list")
        target.extend(items)

    def _stack_global(self) -> None:
        attribute, module = self._stack.pop(), self._stack.pop()
        self._stack.append(_Name(str(module), str(attribute)))

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if function not in (*_RECONSTRUCT, _DTYPE):
            called = function if isinstance(function, _Name) else "what is no function"
            raise _refusal(self._member, f"a pickle that calls {called}")
        self._stack.append(_Built(function, arguments))

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack.pop()
        if not isinstance(target, _Built):
            raise _refusal(self._member, "a pickle that changes an object")
        self._stack.append(_Built(target.function, target.arguments, state))
