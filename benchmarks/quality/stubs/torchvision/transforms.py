"""The one name that pty-chi imports; it is used for detector blur only, which is off."""


class GaussianBlur:
    """Refuses to blur."""

    def __init__(self, *_: object, **__: object) -> None:
        raise NotImplementedError("this torchvision is a stand-in without functions; install the real one to blur.")
