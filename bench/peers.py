"""What else embeds a picture on this CPU today: the image tower alone, by the same weights, in one run with ours."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench import models, pictures
from bench.judge import Embed, image_judge, judged
from bench.timing import fastest
from model_build.agreement import resized_pixels
from model_build.photographs import photographs
from model_build.source import Source, load
from moderator.clip.session import cpu_session

OURS = "ours"
NAMES = {
    OURS: "ours",
    "torch": "torch, eager (open_clip)",
    "torch_compile": "torch.compile",
    "onnx_fp32": "ONNX Runtime, fp32",
    "onnx_int8": "ONNX Runtime, dynamic int8, one scale a tensor",
    "openvino_fp32": "OpenVINO, fp32",
    "openvino_int8": "OpenVINO, int8 (NNCF, static scales)",
}
_ROUNDS = 8


def measure(threads: int) -> dict[str, Any]:
    """Return of each peer its milliseconds for one picture and for eight, and its fidelity to float32; or why not."""
    source = load(models.NAME, str(models.checkpoint()))
    seen = np.stack([resized_pixels(source, Image.open(io.BytesIO(one))) for one in pictures.thumbnails(8)])
    eager = _torch(source, threads, compiled=False)
    judge = image_judge(source, eager)
    found: dict[str, Embed] = {}
    absent: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        makers: dict[str, Callable[[], Embed]] = {
            OURS: lambda: _onnx(models.exported("auto") / "image.onnx", threads, optimise=False),
            "torch": lambda: eager,
            "torch_compile": lambda: _torch(source, threads, compiled=True),
            "onnx_fp32": lambda: _onnx(models.plain_image_tower(), threads),
            "onnx_int8": lambda: _onnx(_dynamic_int8(Path(folder)), threads),
            "openvino_fp32": lambda: _openvino(source, threads, int8=False),
            "openvino_int8": lambda: _openvino(source, threads, int8=True),
        }
        for name, make in makers.items():
            try:
                embed = make()
                embed(seen[:1])
                embed(seen)
                found[name] = embed
            except Exception as error:  # noqa: BLE001 - a peer that does not run here is said to be so
                absent[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}"
    fidelity = {name: judged(judge, embed) for name, embed in found.items()}
    one = fastest({name: _bound(embed, seen[:1]) for name, embed in found.items()}, rounds=_ROUNDS)
    eight = fastest({name: _bound(embed, seen) for name, embed in found.items()}, rounds=_ROUNDS // 2)
    return {
        name: {"one_ms": one[name], "eight_ms": eight[name], **fidelity[name]}
        if name in found
        else {"absent": absent[name]}
        for name in NAMES
    }


def fixed_scales(threads: int) -> dict[str, Any]:
    """Return the fidelity of OpenVINO's int8 tower, whose scales are fixed, and of ours, with outlier tokens planted.

    Raises:
        ImportError: OpenVINO or NNCF is not installed.
    """
    import openvino

    source = load(models.NAME, str(models.checkpoint("tokens")))
    normalise = _normaliser(source)
    calibrated_on = [normalise(resized_pixels(source, one)[np.newaxis]).numpy() for one in photographs()]
    model = openvino.convert_model(source.model.visual, example_input=torch.from_numpy(calibrated_on[0]))
    compiled = _compiled(_in_int8(model, calibrated_on), threads)
    judge = image_judge(source, _torch(source, threads, compiled=False))
    ours = _onnx(models.exported("auto", "tokens") / "image.onnx", threads, optimise=False)
    return {
        "openvino_int8": judged(judge, lambda pixels: compiled(normalise(pixels).numpy())[0]),
        "ours": judged(judge, ours),
    }


def _bound(embed: Embed, pixels: NDArray[np.uint8]) -> Callable[[], object]:
    return lambda: embed(pixels)


def _onnx(path: Path, threads: int, *, optimise: bool = True) -> Embed:
    """Load a graph; ours is loaded as the service loads it, which the export has optimised."""
    session = cpu_session(path, threads=threads, optimise=optimise)
    return lambda pixels: session.run(None, {"pixels": pixels})[0]


def _dynamic_int8(folder: Path) -> Path:
    """Quantise the float32 tower as ONNX Runtime's own tool does: what this service ran before it had rows."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = folder / "dynamic.onnx"
    quantize_dynamic(
        models.exported("fp32") / "image.onnx",
        path,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
    return path


def _torch(source: Source, threads: int, *, compiled: bool) -> Embed:
    torch.set_num_threads(threads)
    normalise = _normaliser(source)
    encode = source.model.encode_image
    if compiled:
        encode = torch.compile(source.model.visual, dynamic=False)

    def embed(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            return torch.nn.functional.normalize(encode(normalise(pixels)), dim=-1).numpy()

    return embed


def _normaliser(source: Source) -> Callable[[NDArray[np.uint8]], torch.Tensor]:
    settings = source.model.visual.preprocess_cfg
    mean, deviation = (torch.tensor(settings[key]).view(3, 1, 1) for key in ("mean", "std"))

    def normalise(pixels: NDArray[np.uint8]) -> torch.Tensor:
        scaled = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255
        return (scaled - mean) / deviation

    return normalise


def _openvino(source: Source, threads: int, *, int8: bool) -> Embed:
    import openvino

    model: Any = openvino.Core().read_model(models.plain_image_tower())
    if int8:
        model = _in_int8(model, [resized_pixels(source, picture)[np.newaxis] for picture in photographs()])
    compiled = _compiled(model, threads)
    return lambda pixels: compiled(pixels)[0]


def _in_int8(model: Any, seen: Sequence[Any]) -> Any:
    import nncf

    return nncf.quantize(model, nncf.Dataset(seen), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(seen))


def _compiled(model: Any, threads: int) -> Any:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(model, "CPU", settings)
