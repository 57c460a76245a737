"""Which axis of a diffraction array numbers the frames."""

from pathlib import Path

from ptychofold.errors import ShapeError

__all__ = ["frames_are_last"]


def frames_are_last(shape: tuple[int, ...], *, n_scan: int | None, path: Path | None = None) -> bool:
    """Tell the layouts ``(scan, H, W)`` and ``(H, W, scan)`` apart, first by the number of coordinates.

    The axis as long as the coordinates numbers the frames; the first axis wins if both are. If neither is, a stack of
    square frames along the last axis is recognised by its equal first two axes.

    Parameters
    ----------
    shape
        Shape of the array in the file.
    n_scan
        Number of coordinates, if known.
    path
        The file, for the message.

    Raises
    ------
    ShapeError
        If the array has not three axes.

    Examples
    --------
    >>> frames_are_last((16, 16, 20), n_scan=20)
    True
    """
    if len(shape) != 3:
        raise ShapeError(
            f"expected patterns of shape (scan, N, N) or (N, N, scan); found {shape}. Stack one frame a scan point.",
            path=path,
            field="patterns",
        )
    if n_scan == shape[0]:
        return False
    if n_scan == shape[2]:
        return True
    return shape[0] == shape[1] != shape[2]
