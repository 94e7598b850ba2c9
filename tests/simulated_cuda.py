"""A CUDA device that is simulated on the CPU: it finds mixed devices and waits without a GPU.

Tensors of the simulated device are CPU tensors with a mark on their storage. They compute the true
values, so that sizes that depend on data are right too; their attribute `device` is cuda:0, and
what PyTorch refuses on a GPU is refused here: operations on tensors of both devices, generators
of the other device, `numpy()`.

Every operation that makes the CPU wait for the GPU is noted: reading a value, sizes that depend
on data, and copies from memory that is not pinned.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nearfar.train import feed

CUDA = torch.device("cuda", 0)
CPU = torch.device("cpu")

FACTORIES = (
    "arange", "as_tensor", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn",
    "randperm", "scalar_tensor", "tensor", "zeros",
)  # fmt: skip
LIKE = ("empty_like", "full_like", "ones_like", "rand_like", "randn_like", "zeros_like")

COPIES = {"aten::copy_", "aten::_to_copy", "aten::set_", "aten::set_data"}
INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
WAITING = {
    "aten::_local_scalar_dense", "aten::_unique2", "aten::bincount", "aten::equal",
    "aten::is_nonzero", "aten::masked_select", "aten::nonzero", "aten::unique_consecutive",
    "aten::unique_dim",
}  # fmt: skip
"""Operations that read from the device, or whose result's size has to be read from it."""


def is_marked(tensor: Tensor) -> bool:
    """Whether a tensor is on the simulated device."""
    if tensor.layout is not torch.strided:
        return False
    return getattr(tensor.untyped_storage(), "is_simulated", False)


def _mark(tensor: Tensor, *, simulated: bool = True) -> Tensor:
    storage: Any = tensor.untyped_storage()
    storage.is_simulated, storage.is_anywhere = simulated, False
    return tensor


def _is_anywhere(tensor: Tensor) -> bool:
    return getattr(tensor.untyped_storage(), "is_anywhere", False)


def _is_cuda(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


class _Generator(torch.Generator):
    """A generator that says where it is."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        self = super().__new__(cls, "cpu")
        self.is_simulated = _is_cuda(device)
        return self

    @property
    def device(self) -> torch.device:
        return CUDA if self.is_simulated else CPU


class Watch(TorchDispatchMode):
    """Checks the devices of every operation and notes those that make the CPU wait.

    Attributes:
        waits: the operations, each with the line of nearfar that asked for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def note(self, what: str) -> None:
        """Note that the CPU waits."""
        lines = [f for f in traceback.extract_stack() if "/nearfar/" in f.filename]
        where = f"{lines[-1].filename.split('/nearfar/')[1]}:{lines[-1].lineno}" if lines else "?"
        self.waits.append(f"{what} at {where}")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.name().partition(".")[0]
        leaves = tree_leaves((args, kwargs))
        tensors = [t for t in leaves if isinstance(t, Tensor)]
        marked = [is_marked(t) for t in tensors]
        some = any(marked)
        for generator in (g for g in leaves if isinstance(g, _Generator)):
            if tensors and generator.is_simulated != some:
                raise RuntimeError(f"{func}: a generator of {generator.device} for another device")
        if some:
            self._check(func, name, args, kwargs, tensors, marked)
        result = func(*args, **kwargs)
        if not tensors:  # by autograd itself, unless `_placed` says more: it takes a device over
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor) and leaf.layout is torch.strided:
                    storage: Any = leaf.untyped_storage()
                    storage.is_anywhere = True
        elif name == "aten::copy_":
            if marked[0] != marked[1] and tensors[1].ndim:
                self.note("copy_")
        elif some:
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    _mark(leaf)
        return result

    def _check(
        self,
        func: Any,
        name: str,
        args: Any,
        kwargs: Any,
        tensors: list[Tensor],
        marked: list[bool],
    ) -> None:
        sized = kwargs.get("output_size") is not None
        if name in WAITING or (name == "aten::repeat_interleave" and not sized):
            self.note(name)
        if name in INDEXED:
            indices = [t for t in args[1] if t is not None]
            if any(t.dtype in (torch.bool, torch.uint8) for t in indices):
                self.note(f"{name} by a mask")
            if marked[0] and not all(is_marked(t) for t in indices):
                self.note(f"{name} by indices of the CPU")
            tensors = [args[0], *(t for t in args[2:3] if isinstance(t, Tensor))]
            if not marked[0]:
                raise RuntimeError(f"{func}: indices on cuda:0 of a tensor on the CPU")
        if name in COPIES:
            return
        foreign = [t for t in tensors if not is_marked(t) and t.ndim and not _is_anywhere(t)]
        if foreign:
            shapes = [tuple(t.shape) for t in foreign]
            raise RuntimeError(
                f"Expected all tensors to be on the same device: {func} is given tensors of cuda:0 "
                f"and of the CPU, of shapes {shapes}"
            )


@contextmanager
def simulated_cuda() -> Iterator[Watch]:
    """Let PyTorch have a CUDA device, whose operations the result of `with` watches."""
    watch = Watch()
    with pytest.MonkeyPatch.context() as patch, watch:
        _patch_tensors(patch, watch)
        for name in (*FACTORIES, *LIKE):
            patch.setattr(torch, name, _placed(getattr(torch, name), watch))
        patch.setattr(torch, "Generator", _Generator)
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "mem_get_info", lambda device=None: (1 << 32, 1 << 33))
        patch.setattr(feed, "ThreadPoolExecutor", _AtOnce)  # modes are those of one thread
        yield watch


def _placed(factory: Callable[..., Tensor], watch: Watch) -> Callable[..., Tensor]:
    """The factory with a `device` that may be the simulated one."""

    def make(*args: Any, device: Any = None, generator: Any = None, **kwargs: Any) -> Tensor:
        if generator is not None:
            kwargs["generator"] = generator
            if generator.device.type != torch.device(device or "cpu").type:
                raise RuntimeError(f"a generator of {generator.device} for a tensor of {device}")
        if factory.__name__.endswith("_like") and device is None:
            return factory(*args, **kwargs)
        result = factory(*args, **kwargs)
        if not _is_cuda(device):
            return result if is_marked(result) else _mark(result, simulated=False)
        if factory.__name__ in ("tensor", "as_tensor"):
            watch.note(factory.__name__)
        return _mark(result)

    return make


def _patch_tensors(patch: pytest.MonkeyPatch, watch: Watch) -> None:
    raw = {name: getattr(Tensor, name) for name in
           ("to", "numpy", "tolist", "new_tensor", "pin_memory", "__array__")}  # fmt: skip
    raw_device = torch._C.TensorBase.device

    def device_of(self: Tensor) -> torch.device:
        return CUDA if is_marked(self) else raw_device.__get__(self)

    def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args and isinstance(args[0], Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        kwargs = dict(kwargs)
        device = kwargs.pop("device", None)
        if args and (isinstance(args[0], str | torch.device) or args[0] is None):
            device, args = args[0], args[1:]
        there = is_marked(self) if device is None else _is_cuda(device)
        dtypes = [a for a in (*args, kwargs.pop("dtype", None)) if isinstance(a, torch.dtype)]
        dtype = dtypes[0] if dtypes else self.dtype
        if there == is_marked(self):
            return raw["to"](self, dtype, **kwargs)
        kwargs["copy"] = True
        moved = raw["to"](self, dtype, **kwargs)
        pinned = getattr(self.untyped_storage(), "is_pinned_here", False)
        if not (there and pinned and kwargs.get("non_blocking")):
            watch.note("upload" if there else "download")
        return _mark(moved, simulated=there)

    def refused(name: str) -> Callable[..., Any]:
        def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            if is_marked(self):
                raise TypeError("can't convert cuda:0 device type tensor to numpy")
            return raw[name](self, *args, **kwargs)

        return method

    def tolist(self: Tensor) -> Any:
        if is_marked(self):
            watch.note("tolist")
        return raw["tolist"](self)

    def new_tensor(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result = raw["new_tensor"](self, *args, **kwargs)
        if is_marked(self):
            watch.note("new_tensor")
            _mark(result)
        return result

    def pin_memory(self: Tensor) -> Tensor:
        result = self.clone()
        result.untyped_storage().is_pinned_here = True  # pyright: ignore[reportAttributeAccessIssue]
        return result

    patch.setattr(Tensor, "device", property(device_of), raising=False)
    patch.setattr(Tensor, "is_cuda", property(is_marked), raising=False)
    patch.setattr(Tensor, "to", to)
    patch.setattr(Tensor, "cpu", lambda self: self.to("cpu"))
    patch.setattr(Tensor, "cuda", lambda self: self.to("cuda"))
    patch.setattr(Tensor, "numpy", refused("numpy"))
    patch.setattr(Tensor, "__array__", refused("__array__"))
    patch.setattr(Tensor, "tolist", tolist)
    patch.setattr(Tensor, "new_tensor", new_tensor)
    patch.setattr(Tensor, "pin_memory", pin_memory)


class _AtOnce:
    """An executor that does the work where it is asked for."""

    def __init__(self, *args: Any) -> None:
        pass

    def __enter__(self) -> _AtOnce:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        result = function(*args)

        class Done:
            def result(self) -> Any:
                return result

        return Done()
