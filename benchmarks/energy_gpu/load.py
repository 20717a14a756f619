"""The load: a transformer encoder that reads handwritten digits, trained here on two thirds of them.

It runs in a process of its own, as in goldwatch, so that reading the meter shares no lock with it.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits/golden/tensors.safetensors"


def read_digits(torch: Any) -> tuple[Any, Any]:
    """Return images [600, 64] in [0, 1] and labels [600] of the digits that goldwatch carries."""
    content = DIGITS.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])

    def tensor(name: str, dtype: Any) -> Any:
        begin, end = header[name]["data_offsets"]
        found = torch.frombuffer(bytearray(content[8 + size + begin : 8 + size + end]), dtype=dtype)
        return found.reshape(header[name]["shape"])

    kinds = {"F32": torch.float32, "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}
    image = tensor("inputs.image", kinds[header["inputs.image"]["dtype"]]).float()
    labels = tensor("labels", kinds[header["labels"]["dtype"]]).long()
    image = image.reshape(len(labels), -1)
    return image / image.max(), labels


def make_model(torch: Any, width: int, depth: int) -> Any:
    """Return an encoder with one token for each pixel."""
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            shape = (*x.shape[:2], 3, width // 64, 64)
            q, k, v = self.qkv(self.before(x)).view(shape).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + self.out(mixed)
            return x + self.down(functional.gelu(self.up(self.between(x))))

    class Encoder(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.place = nn.Linear(1, width), nn.Parameter(torch.randn(64, width))
            self.blocks = nn.Sequential(*(Block() for _ in range(depth)))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

        def forward(self, image: Any) -> Any:
            return self.head(self.norm(self.blocks(self.embed(image[..., None]) + self.place)).mean(1))

    return Encoder()


def train(torch: Any, model: Any, image: Any, labels: Any, steps: int) -> None:
    """Teach the model in bfloat16, which takes seconds."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-4, total_steps=steps)
    for _ in range(steps):
        pick = torch.randint(0, len(labels), (128,), device=image.device)
        batch = (image[pick] + 0.1 * torch.randn_like(image[pick])).reshape(-1, 8, 8)
        down, right = (int(n) for n in torch.randint(-1, 2, (2,)))
        batch = torch.roll(batch, (down, right), (1, 2)).reshape(-1, 64)
        with torch.autocast(image.device.type, torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(batch), labels[pick])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def quantise(torch: Any, model: Any) -> Any:
    """Let the linear layers of the blocks multiply in int8: weights scaled by row, activations by token."""
    nn = torch.nn

    class Int8Linear(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, linear: Any) -> None:
            super().__init__()
            scale = linear.weight.abs().amax(1) / 127
            self.register_buffer("weight", (linear.weight / scale[:, None]).round().to(torch.int8).t())
            self.register_buffer("scale", scale)
            self.register_buffer("bias", linear.bias.detach().clone())

        def forward(self, x: Any) -> Any:
            flat = x.reshape(-1, x.shape[-1])
            scale = flat.abs().amax(1, keepdim=True).clamp(min=1e-6) / 127
            product = torch._int_mm((flat / scale).round().to(torch.int8), self.weight)
            return (product * (scale * self.scale) + self.bias).to(x.dtype).reshape(*x.shape[:-1], -1)

    for block in model.blocks:
        for name in ("qkv", "out", "up", "down"):
            setattr(block, name, Int8Linear(getattr(block, name)))
    return model


class Load:
    """The models on the device, and what the measuring process may ask of them."""

    def __init__(self, *, smoke: bool) -> None:
        import torch  # noqa: PLC0415 - in the process of the load only

        torch.manual_seed(0)
        torch.set_float32_matmul_precision("highest")  # float32 is float32, not TF32
        self._torch = torch
        self._device = torch.device("cuda")
        image, labels = read_digits(torch)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        self._image, self._labels = image[order].to(self._device), labels[order].to(self._device)
        model = make_model(torch, width=512, depth=8).to(self._device)
        started = time.monotonic()
        train(torch, model, self._image[:400], self._labels[:400], steps=300 if smoke else 1200)
        self._seconds = time.monotonic() - started
        self._state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._model: Any = None
        self._dtype: Any = None
        self._graphed = False

    def facts(self) -> dict[str, Any]:
        """Say what the load is."""
        torch = self._torch
        return {
            "model": "transformer encoder, 64 tokens, width 512, 8 layers, trained on 400 digits, tested on 200 others",
            "parameters": sum(value.numel() for value in self._state.values()),
            "training_s": round(self._seconds, 1),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "device": torch.cuda.get_device_name(),
        }

    def build(self, name: str) -> dict[str, Any]:
        """Make a build of the trained model and return its right answers among the 200 digits that it has not seen."""
        torch = self._torch
        model = make_model(torch, width=512, depth=8).to(self._device)
        model.load_state_dict(self._state)
        self._graphed = name.endswith("graph")
        self._dtype = torch.float32 if name.startswith("fp32") else torch.bfloat16
        model = (quantise(torch, model) if name.startswith("int8") else model).to(self._dtype).eval()
        self._model = torch.compile(model) if name.endswith("compiled") else model
        with torch.inference_mode():
            answers = self._model(self._image[400:].to(self._dtype)).argmax(1)
        return {"right": int((answers == self._labels[400:]).sum()), "of": len(answers)}

    def run(self, batch: int, seconds: float, windows: int) -> list[tuple[int, int, int]]:
        """Infer batches one after the other; return start, end and examples of windows of at least `seconds`."""
        torch, found = self._torch, []
        images = [self._image[400 + torch.arange(i, i + batch) % 200].to(self._dtype) for i in range(0, 200, 20)]
        with torch.inference_mode():
            infer = self._graph(images[0]) if self._graphed else self._model
            for image in images:  # warm up, and compile for this shape
                infer(image)
            torch.cuda.synchronize()
            start_ns = time.monotonic_ns()
            for _ in range(windows):
                count = 0
                while (time.monotonic_ns() - start_ns) / 1e9 < seconds:
                    for image in images:
                        infer(image)
                    torch.cuda.synchronize()
                    count += batch * len(images)
                end_ns = time.monotonic_ns()
                found.append((start_ns, end_ns, count))
                start_ns = end_ns
        return found

    def _graph(self, image: Any) -> Any:
        """Return the model as one CUDA graph: a small batch is then bound by the GPU, not by Python that launches."""
        torch, given = self._torch, image.clone()
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._model(given)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._model(given)

        def infer(image: Any) -> None:
            given.copy_(image)
            graph.replay()

        return infer

    def latencies(self, batch: int, count: int) -> list[float]:
        """Return the latencies of single inferences in seconds."""
        torch, found = self._torch, []
        image = self._image[400 + torch.arange(batch) % 200].to(self._dtype)
        with torch.inference_mode():
            infer = self._graph(image) if self._graphed else self._model
            for _ in range(count):
                started_ns = time.monotonic_ns()
                infer(image)
                torch.cuda.synchronize()
                found.append((time.monotonic_ns() - started_ns) / 1e9)
        return found


def serve(channel: Connection, smoke: bool) -> None:
    """Run the load's side: answer (method, arguments) until told None."""
    load = Load(smoke=smoke)
    while (message := channel.recv()) is not None:
        name, arguments = message
        try:
            channel.send((True, getattr(load, name)(*arguments)))
        except Exception as error:
            channel.send((False, f"{type(error).__name__}: {error}"[:500]))


class Remote:
    """The load in its own process."""

    def __init__(self, *, smoke: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._channel, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, smoke), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a method of the load. Raises RuntimeError with what it raised."""
        self._channel.send((name, arguments))
        fine, answer = self._channel.recv()
        if not fine:
            raise RuntimeError(answer)
        return answer

    def close(self) -> None:
        """End the process."""
        self._channel.send(None)
        self._process.join(20)
