"""Arrays whose rows are read on demand; every one is an :class:`~ptychofold.typing.ArraySource`.

Frames may lie first, ``(scan, H, W)``, or last, ``(H, W, scan)``, in the file, in C or Fortran order; a source always
shows ``(scan, H, W)``. No source reads more than one call's rows, plus at most one block or chunk, into memory.
"""

import math
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from ptychofold.errors import FormatError
from ptychofold.formats.archive import ForwardReader, Member, NpyHeader, check_size
from ptychofold.formats.base import foreign_errors_refused
from ptychofold.formats.rows import Layout, Rows, as_bytes, row_numbers, runs, target_array

__all__ = [
    "ArrayInMemory",
    "CompressedMember",
    "Layout",
    "MappedArray",
    "mapped_member",
    "row_numbers",
    "runs",
    "target_array",
]

_BLOCK = 1 << 20
_READ_LIMIT = 1 << 26


@dataclass(frozen=True, eq=False)
class ArrayInMemory:
    """An array that is in memory already; reads are views where NumPy allows it.

    Examples
    --------
    >>> ArrayInMemory(np.arange(6).reshape(3, 2)).read(np.array([2, 0])).tolist()
    [[4, 5], [0, 1]]
    """

    array: Shaped[np.ndarray, "scan ..."]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, rows first."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        """Data type as given."""
        return self.array.dtype

    @property
    def access(self) -> str:
        """How rows are reached."""
        return "in memory"

    @property
    def random_access(self) -> bool:
        """Always."""
        return True

    def read(self, rows: Rows, out: Shaped[np.ndarray, "n ..."] | None = None) -> Shaped[np.ndarray, "n ..."]:
        """Return rows; a slice without ``out`` gives a read-only view."""
        return _gather(self.array, rows, out)

    def frames(self) -> UInt8[np.ndarray, "scan byte"] | None:
        """Return each frame's bytes as they lie in memory; None if they do not lie together."""
        array = self.array
        return as_bytes(array).reshape(len(array), -1) if array.size and array.flags.c_contiguous else None


@dataclass(frozen=True, eq=False)
class MappedArray:
    """An uncompressed array inside a file (NPZ member, NPY, contiguous HDF5), memory-mapped in place.

    The mapping is made at the first read in each process. Consecutive rows put into ``out`` are read through the
    file, so that a pass over a large file leaves no pages mapped.
    """

    path: Path
    offset: int
    layout: Layout
    stamp: tuple[int, int] = field(init=False)
    """Size and modification time at opening; a file that changed since is refused."""
    _maps: list[np.ndarray] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamp", _stamp(self.path))
        if self.offset + self.layout.nbytes > self.stamp[0]:
            raise FormatError(
                f"the array at byte {self.offset} needs {self.layout.nbytes} bytes; the file ends at {self.stamp[0]}. "
                "Copy the file again from its source.",
                path=self.path,
            )

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_maps": []}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, rows first."""
        return self.layout.rows_shape

    @property
    def dtype(self) -> np.dtype:
        """Data type as stored."""
        return self.layout.dtype

    @property
    def access(self) -> str:
        """How rows are reached."""
        return f"memory-mapped at byte {self.offset}" + ("" if self.layout.contiguous else ", frames interleaved")

    @property
    def random_access(self) -> bool:
        """Whether a few rows cost only themselves; interleaved frames cost the whole array."""
        return self.layout.contiguous

    def asarray(self) -> Shaped[np.ndarray, "scan ..."]:
        """Return the whole array as a read-only view of the mapped file; it may be unaligned."""
        layout = self.layout
        buffer = self._bytes().data if layout.nbytes else None
        array: np.ndarray = np.ndarray(layout.shape, layout.dtype, buffer=buffer, order="F" if layout.fortran else "C")
        array.flags.writeable = False
        return layout.frames_first(array)

    def frames(self) -> UInt8[np.ndarray, "scan byte"] | None:
        """Return each frame's bytes as they lie in the mapped file; None if they do not lie together in C order."""
        in_rows = self.layout.contiguous and not self.layout.fortran and self.layout.nbytes > 0
        return self._bytes().reshape(self.shape[0], -1) if in_rows else None

    def _bytes(self) -> UInt8[np.ndarray, " byte"]:
        if not self._maps:
            _check_stamp(self.path, self.stamp)
            with foreign_errors_refused(self.path, doing="mapping the array"):
                mapped = np.memmap(self.path, np.uint8, "r", offset=self.offset, shape=(self.layout.nbytes,))
            self._maps.append(mapped.view(np.ndarray))
        return self._maps[0]

    def read(self, rows: Rows, out: Shaped[np.ndarray, "n ..."] | None = None) -> Shaped[np.ndarray, "n ..."]:
        """Return rows; an aligned slice without ``out`` gives a read-only view of the mapped file."""
        shape = self.shape
        wanted = row_numbers(rows, shape[0])
        if out is None and isinstance(rows, slice) and (array := self.asarray()).flags.aligned:
            return array[rows]
        result = target_array(out, (len(wanted), *shape[1:]), self.dtype)
        if not result.size:
            return result
        if not self.layout.contiguous:
            np.copyto(result, self.asarray()[wanted])
        elif self.layout.fortran or not result.flags.c_contiguous:
            np.copyto(result, self._frames(wanted))
        elif isinstance(rows, slice) and rows.step in (None, 1):
            self._read_through(int(wanted[0]), result)
        else:
            self._take(wanted, result)
        return result

    def _frames(self, wanted: Int64[np.ndarray, " n"]) -> Shaped[np.ndarray, "n ..."]:
        """Return contiguous frames, each transposed back if the file's order is Fortran's."""
        frame = self.shape[:0:-1] if self.layout.fortran else self.shape[1:]
        frames = np.empty((len(wanted), *frame), self.dtype)
        self._take(wanted, frames)
        return frames.transpose(0, *range(frames.ndim - 1, 0, -1)) if self.layout.fortran else frames

    def _take(self, wanted: Int64[np.ndarray, " n"], out: Shaped[np.ndarray, "n ..."]) -> None:
        """Copy frames as bytes, which are never unaligned: numpy.take first copies an unaligned array as a whole."""
        frames = self._bytes().reshape(self.shape[0], -1)
        frames.take(wanted, 0, as_bytes(out).reshape(len(wanted), -1), "clip")

    def _read_through(self, first: int, out: Shaped[np.ndarray, "n ..."]) -> None:
        """Read consecutive rows through the file, which leaves no pages mapped."""
        _check_stamp(self.path, self.stamp)
        target = as_bytes(out).data
        with foreign_errors_refused(self.path, doing="reading rows"), self.path.open("rb", buffering=0) as file:
            file.seek(self.offset + first * (self.layout.nbytes // self.shape[0]))
            done = 0
            while done < len(target):
                step = file.readinto(target[done : done + _READ_LIMIT])
                if not step:
                    raise EOFError("the file ends within a row")
                done += step


@dataclass(frozen=True, eq=False)
class CompressedMember:
    """A deflated member of an NPZ, inflated forward in bounded memory.

    One call costs one pass over the stream up to its last row, whatever the order of the rows. Calls that move forward
    go on where the last one stopped; a call that goes back starts again. With interleaved frames, ``(H, W, scan)`` in C
    order, every call inflates the whole member. Save the file again uncompressed for random access.
    """

    member: Member
    header_size: int
    layout: Layout
    stamp: tuple[int, int] = field(init=False)
    """Size and modification time at opening; a file that changed since is refused."""
    _cursor: list[ForwardReader] = field(init=False, repr=False, default_factory=list)
    _lock: list[threading.Lock] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamp", _stamp(self.member.path))
        object.__setattr__(self, "_lock", [threading.Lock()])

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cursor": [], "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        object.__setattr__(self, "_lock", [threading.Lock()])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, rows first."""
        return self.layout.rows_shape

    @property
    def dtype(self) -> np.dtype:
        """Data type as stored."""
        return self.layout.dtype

    @property
    def access(self) -> str:
        """How rows are reached."""
        return "compressed, inflated forward" + ("" if self.layout.contiguous else ", whole member a call")

    @property
    def random_access(self) -> bool:
        """Never: rows before the wanted ones are inflated too."""
        return False

    def read(self, rows: Rows, out: Shaped[np.ndarray, "n ..."] | None = None) -> Shaped[np.ndarray, "n ..."]:
        """Return rows in one forward pass."""
        wanted = row_numbers(rows, self.shape[0])
        _check_stamp(self.member.path, self.stamp)
        result = target_array(out, (len(wanted), *self.shape[1:]), self.dtype)
        if not result.size:
            return result
        lock = self._lock[0]
        if not lock.acquire(blocking=False):
            self._fill(ForwardReader(self.member), wanted, result)
            return result
        try:
            cursor = self._cursor.pop() if self._cursor else ForwardReader(self.member)
            if self._start(wanted) < cursor.position:
                cursor = ForwardReader(self.member)
            self._fill(cursor, wanted, result)
            if cursor.position < self.member.size:
                self._cursor.append(cursor)
        finally:
            lock.release()
        return result

    def _start(self, wanted: Int64[np.ndarray, " n"]) -> int:
        size = self.layout.nbytes // self.shape[0]
        return self.header_size + (int(wanted.min()) * size if self.layout.contiguous else 0)

    def _fill(self, reader: ForwardReader, wanted: Int64[np.ndarray, " n"], out: Shaped[np.ndarray, "n ..."]) -> None:
        if self.layout.contiguous:
            self._fill_frames(reader, wanted, out)
        else:
            self._fill_interleaved(reader, wanted, out)

    def _fill_frames(self, reader: ForwardReader, wanted: Int64[np.ndarray, " n"], out: np.ndarray) -> None:
        size = self.layout.nbytes // self.shape[0]
        unique, first = np.unique(wanted, return_index=True)
        direct = out.flags.c_contiguous and not self.layout.fortran
        frame = np.empty(self.shape[:0:-1] if self.layout.fortran else self.shape[1:], self.dtype)
        for begin, end in runs(unique, first) if direct else ((i, i + 1) for i in range(len(unique))):
            place = int(first[begin])
            reader.skip(self.header_size + int(unique[begin]) * size - reader.position)
            target = out[place : place + end - begin] if direct else frame
            reader.readinto(as_bytes(target).data)
            if not direct:
                out[place] = frame.T if self.layout.fortran else frame
        if len(unique) < len(wanted):
            places = first[np.searchsorted(unique, wanted)]
            repeats = np.flatnonzero(places != np.arange(len(wanted)))
            for place in repeats.tolist():
                out[place] = out[places[place]]

    def _fill_interleaved(self, reader: ForwardReader, wanted: Int64[np.ndarray, " n"], out: np.ndarray) -> None:
        n_rows, frame_shape = self.shape[0], self.shape[1:]
        reader.skip(self.header_size - reader.position)
        lines = max(1, _BLOCK // (n_rows * self.dtype.itemsize))
        block = np.empty((lines, n_rows), self.dtype)
        n_pixels = math.prod(frame_shape)
        for begin in range(0, n_pixels, lines):
            count = min(lines, n_pixels - begin)
            reader.readinto(as_bytes(block[:count]).data)
            row, column = np.unravel_index(
                np.arange(begin, begin + count), frame_shape, order="F" if self.layout.fortran else "C"
            )
            out[:, row, column] = block[:count, wanted].T


def mapped_member(member: Member, header: NpyHeader, *, frames_last: bool = False) -> MappedArray | CompressedMember:
    """Open an NPZ member lazily: mapped in place if it is stored, inflated forward if it is compressed."""
    check_size(member, header)
    layout = Layout(shape=header.shape, dtype=header.dtype, fortran=header.fortran, frames_last=frames_last)
    if member.compressed:
        return CompressedMember(member, header.size, layout)
    return MappedArray(member.path, member.offset + header.size, layout)


def _gather(array: Shaped[np.ndarray, "..."], rows: Rows, out: Shaped[np.ndarray, "..."] | None) -> np.ndarray:
    wanted = row_numbers(rows, len(array))
    if out is not None:
        target_array(out, (len(wanted), *array.shape[1:]), array.dtype)
    if isinstance(rows, slice):
        view: np.ndarray = array[rows].view()
        view.flags.writeable = False
        if out is None:
            return view
        np.copyto(out, view)
    elif out is None:
        return np.take(array, wanted, axis=0) if array.flags.c_contiguous else np.asarray(array[wanted])
    elif array.flags.c_contiguous and array.flags.aligned:
        np.take(array, wanted, axis=0, out=out, mode="clip")
    else:
        np.copyto(out, array[wanted])
    return out


def _stamp(path: Path) -> tuple[int, int]:
    with foreign_errors_refused(path, doing="opening the file"):
        status = path.stat()
    return status.st_size, status.st_mtime_ns


def _check_stamp(path: Path, stamp: tuple[int, int]) -> None:
    if _stamp(path) != stamp:
        raise FormatError("the file has changed since it was opened. Open it again.", path=path)
