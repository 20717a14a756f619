"""Joules per inference on an NVIDIA GPU: the energy counter against power readings and Zeus; builds ranked.

    PYTHONPATH=agent python3 benchmarks/energy_gpu.py --out energy_gpu.json

Needs PyTorch, pynvml (nvidia-ml-py) and goldwatch.energy; Zeus where it is installed. The load runs in a process of its
own, as in goldwatch, so that reading the meter shares no lock with it. About twelve minutes; `--smoke` takes one.
What the file already has is not measured again, so a run that was cut off can go on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import platform
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from goldwatch.energy.attribution import Insufficient, Reading, Source, Window, attribute, student_t
from goldwatch.energy.nvml import Nvml
from goldwatch.energy.sampling import Sampler, Trace

WINDOWS = 4
SETTLE_S = 2.0
BATCHES = (1, 16, 256)
DIGITS = Path(__file__).parents[1] / "agent/goldwatch/demo/digits/golden/tensors.safetensors"
POWER_EVERY_S = 0.05


# The load: a transformer encoder that reads handwritten digits, trained here on two thirds of them.


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
        """Infer batches one after the other; return start, end and examples of windows of so many seconds at least."""
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


# The measuring side.


class Power:
    """Power readings of one GPU in a thread: the driver's mean of the last second, and the instantaneous field."""

    KINDS = ("average", "instant")

    def __init__(self) -> None:
        import pynvml  # noqa: PLC0415

        self._nvml = pynvml
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        self.watts: dict[str, list[tuple[int, float]]] = {kind: [] for kind in self.KINDS}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Power:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(POWER_EVERY_S):
            for kind in self.KINDS:
                before_ns = time.monotonic_ns()
                with contextlib.suppress(self._nvml.NVMLError):
                    watts = self._read(kind)
                    self.watts[kind].append(((before_ns + time.monotonic_ns()) // 2, watts))

    def _read(self, kind: str) -> float:
        if kind == "average":
            return float(self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1e3)
        (value,) = self._nvml.nvmlDeviceGetFieldValues(self._handle, [self._nvml.NVML_FI_DEV_POWER_INSTANT])
        if value.nvmlReturn:
            raise self._nvml.NVMLError(value.nvmlReturn)
        return float(value.value.uiVal / 1e3)

    def trace(self, kind: str) -> Trace:
        """Return the readings integrated by the trapezoid rule, as a meter's trace."""
        trace, total, last = Trace(), 0.0, None
        for at_ns, watts in self.watts[kind]:
            total += (watts + last[1]) / 2 * (at_ns - last[0]) / 1e9 if last else 0.0
            trace.append(at_ns, total)
            last = (at_ns, watts)
        return trace


def against_power(counter: Trace, power: Power, load: Window, whole: Window) -> dict[str, Any]:
    """Compare the counter with integrated power over the load, over its steady part, and with idle time around it."""
    parts = {"load": load, "with_idle_around": whole}
    if load.seconds > 3:
        parts["load_without_first_2_s"] = Window(load.start_ns + int(2e9), load.end_ns)
    result: dict[str, Any] = {}
    for kind in Power.KINDS:
        integral = power.trace(kind)
        if len(integral.at_ns) < 10:
            result[kind] = "not available on this GPU"
            continue
        of: dict[str, Any] = {"readings": len(integral.at_ns)}
        for name, window in parts.items():
            counted, summed = (t.between(window.start_ns, window.end_ns) for t in (counter, integral))
            of[name] = {"counter_j": counted, "power_j": summed, "power_over_counter": summed / counted}
        of["lag_s"] = lag(counter, integral, load)
        result[kind] = of
    return result


def lag(counter: Trace, integral: Trace, load: Window) -> float | None:
    """Return by how much later power tells the same start of the load, in seconds: the shift with the least difference.

    Looks at the first second before to three seconds after the start, where the two differ most.
    """

    def difference(shift_s: float) -> float:
        shift, total = int(shift_s * 1e9), 0.0
        for step in range(-10, 30):
            at = load.start_ns + int(step * 1e8)
            moved = integral.between(at + shift, at + shift + int(1e8))
            total += (moved - counter.between(at, at + int(1e8))) ** 2
        return total

    with contextlib.suppress(Exception):
        return min((s / 50 for s in range(-10, 76)), key=difference)
    return None


@contextlib.contextmanager
def zeus_window() -> Iterator[dict[str, Any]]:
    """Measure the block with Zeus, if it is installed; the dictionary has its joules and its edges afterwards."""
    result: dict[str, Any] = {}
    if ZEUS is None:
        yield result
        return
    result["start_ns"] = time.monotonic_ns()
    ZEUS.begin_window("load", sync_execution=False)
    yield result
    found = ZEUS.end_window("load", sync_execution=False)
    result["end_ns"] = time.monotonic_ns()
    result["zeus_j"] = sum(found.gpu_energy.values())


def zeus_monitor() -> tuple[Any, str]:
    """Return Zeus's monitor of GPU 0 and its version, or None and why not."""
    try:
        from zeus import __version__ as version  # noqa: PLC0415
        from zeus.monitor import ZeusMonitor  # noqa: PLC0415

        return ZeusMonitor(gpu_indices=[0], cpu_indices=[]), version
    except Exception as error:
        return None, f"not measured: {type(error).__name__}: {error}"[:300]


ZEUS: Any = None


def measure(remote: Remote, meter: Nvml, build: str, batch: int, seconds: float) -> dict[str, Any]:
    """Measure one build at one batch size: quiet, windows of load, quiet."""
    right = remote.ask("build", build)
    remote.ask("run", batch, 1.0, 1)  # compiled and warm
    with Power() as power, Sampler(meter) as sampler:
        time.sleep(SETTLE_S)
        quiet_ns = time.monotonic_ns()
        time.sleep(seconds)
        quiet = Window(quiet_ns, time.monotonic_ns())
        with zeus_window() as zeus:
            load = tuple(Window(*found) for found in remote.ask("run", batch, seconds, WINDOWS))
        time.sleep(SETTLE_S)
        after_ns = time.monotonic_ns()
        time.sleep(seconds)
        after = Window(after_ns, time.monotonic_ns())
        time.sleep(0.3)
    trace = sampler.trace
    energy = attribute(Reading(trace, quiet, load, after), Source.of(meter))
    loaded, whole = Window(load[0].start_ns, load[-1].end_ns), Window(quiet.start_ns, after.end_ns)
    result = {
        "build": build,
        "batch": batch,
        **right,
        "inferences": energy.inferences,
        "inferences_per_s": energy.inferences / energy.seconds,
        "load_w": energy.gross_j.value / energy.seconds,
        "idle_w": asdict(energy.idle_w),
        "idle_after_w": trace.between(after.start_ns, after.end_ns) / after.seconds,
        "gross_j_per_inference": asdict(energy.gross_per_inference_j),
        "net_j_per_inference": asdict(energy.net_per_inference_j),
        "gross_j_per_right_answer": energy.gross_per_inference_j.value * right["of"] / max(right["right"], 1),
        "components_j": asdict(energy.components),
        "attribution": energy.attribution,
        "shared_with": energy.shared_with,
        "power": against_power(trace, power, loaded, whole),
        "meter_read_s_longest": sampler.read_s,
    }
    if "zeus_j" in zeus:
        counted = trace.between(zeus["start_ns"], zeus["end_ns"])
        result["zeus"] = {"zeus_j": zeus["zeus_j"], "counter_j": counted, "zeus_over_counter": zeus["zeus_j"] / counted}
    print(line(result), flush=True)
    return result


def line(r: dict[str, Any]) -> str:
    """Write the figures of one configuration in a line."""
    gross, net = r["gross_j_per_inference"], r["net_j_per_inference"]
    average, instant = (r["power"][kind] for kind in Power.KINDS)
    ratios = [f"{p['load']['power_over_counter']:.3f}" if isinstance(p, dict) else "-" for p in (average, instant)]
    zeus = f"{r['zeus']['zeus_over_counter']:.4f}" if "zeus" in r else "-"
    return (
        f"{r['build']:14} {r['batch']:4}  {r['inferences_per_s']:9.0f} /s  {r['load_w']:5.0f} W  "
        f"gross {gross['value'] * 1e3:8.3f} ±{(gross['high'] - gross['value']) * 1e3:.3f}  "
        f"net {net['value'] * 1e3:8.3f} ±{(net['high'] - net['value']) * 1e3:.3f} mJ  right {r['right']}/{r['of']}  "
        f"power/counter {ratios[0]} {ratios[1]}  zeus/counter {zeus}"
    )


def bursts(remote: Remote, meter: Nvml, lengths: tuple[float, ...]) -> list[dict[str, Any]]:
    """Show where counter and power readings part: an error at the edges is the same in joules for each length."""
    remote.ask("build", "bf16")
    found = []
    for seconds in lengths:
        with Power() as power, Sampler(meter) as sampler:
            time.sleep(3.0)
            start_ns = time.monotonic_ns()
            ((begin, end, _),) = remote.ask("run", BATCHES[-1], seconds, 1)
            time.sleep(3.0)
            end_ns = time.monotonic_ns()
            time.sleep(0.3)
        found.append(
            {"seconds": seconds}
            | against_power(sampler.trace, power, Window(begin, end), Window(start_ns - int(2e9), end_ns))
        )
    return found


def overhead(remote: Remote, meter: Nvml, build: str, batch: int, pairs: int, count: int) -> dict[str, Any]:
    """Compare latencies while the meter is read and while it is not, in pairs whose order alternates."""
    remote.ask("build", build)
    remote.ask("latencies", batch, count)
    logs = []
    for pair in range(pairs):
        medians = {}
        for metered in (pair % 2 == 0, pair % 2 == 1):
            with Sampler(meter) if metered else contextlib.nullcontext():
                medians[metered] = statistics.median(remote.ask("latencies", batch, count))
        logs.append(math.log(medians[True] / medians[False]))
    half = student_t(pairs - 1) * statistics.stdev(logs) / math.sqrt(pairs)
    mean = statistics.fmean(logs)
    ratio = {"value": math.exp(mean), "low": math.exp(mean - half), "high": math.exp(mean + half)}
    middle = math.exp(statistics.median(logs))
    print(
        f"{build} {batch}: median latency with the meter read over without: mean {ratio['value']:.4f} "
        f"[{ratio['low']:.4f}, {ratio['high']:.4f}], median {middle:.4f} of {pairs} pairs",
        flush=True,
    )
    each = [round(math.exp(x), 5) for x in logs]
    return {
        "build": build,
        "batch": batch,
        "requests_each": count,
        "ratio": ratio,
        "median_ratio": middle,
        "pairs": each,
    }


def machine(meter: Nvml) -> dict[str, Any]:
    """Describe what was measured on."""
    import pynvml  # noqa: PLC0415

    handle = pynvml.nvmlDeviceGetHandleByIndex(0)

    def text(value: bytes | str) -> str:
        return value.decode() if isinstance(value, bytes) else value

    processor = next(
        (x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")),
        "",
    )
    return {
        "gpu": text(pynvml.nvmlDeviceGetName(handle)),
        "driver": text(pynvml.nvmlSystemGetDriverVersion()),
        "nvml": text(pynvml.nvmlSystemGetNVMLVersion()),
        "power_limit_w": pynvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3,
        "meter": meter.detail,
        "processor": processor,
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def main() -> None:
    """Measure everything, print a line for each configuration, write the whole as JSON."""
    global ZEUS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("energy_gpu.json"))
    parser.add_argument("--smoke", action="store_true", help="one configuration, to see that everything works")
    arguments = parser.parse_args()
    smoke, seconds = arguments.smoke, 5.0
    meter = Nvml(gpus=[0])
    meter.open()
    ZEUS, zeus = zeus_monitor()
    remote = Remote(smoke=smoke)
    result: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    result |= {"machine": machine(meter), "load": remote.ask("facts"), "zeus": zeus}
    print(json.dumps(result, indent=1), flush=True)
    wanted = [("bf16", 256)] if smoke else [(build, batch) for build in ("fp32", "bf16") for batch in BATCHES]
    wanted += [("fp32 graph", 1), ("bf16 graph", 1)]
    wanted += [(build, 256) for build in ("bf16 compiled", "int8", "int8 compiled")] if not smoke else [("int8", 256)]
    found = result.setdefault("configurations", [])
    if (right := remote.ask("build", "fp32"))["right"] < 100 and not smoke:
        raise SystemExit(f"the model has not learnt to read: {right}")
    for build, batch in wanted:
        if any((r["build"], r["batch"]) == (build, batch) for r in found):
            continue
        try:
            found.append(measure(remote, meter, build, batch, seconds))
        except (RuntimeError, Insufficient) as error:
            print(f"{build} {batch}: not measured: {error}", flush=True)
            found.append({"build": build, "batch": batch, "not_measured": str(error)})
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    full = [r for r in found if r["batch"] == BATCHES[-1] and "not_measured" not in r]
    result["ranking"] = sorted(({k: r[k] for k in ("build", "gross_j_per_right_answer", "right")} for r in full),
                               key=lambda r: r["gross_j_per_right_answer"])  # fmt: skip
    result["bursts"] = bursts(remote, meter, (2.0,) if smoke else (1.0, 2.0, 4.0, 8.0))
    requests = (("bf16", 1, 300), ("bf16 graph", 1, 2000), ("bf16", BATCHES[-1], 300))
    result["overhead"] = [overhead(remote, meter, *each[:2], 4 if smoke else 40, each[2]) for each in requests]
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    remote.close()
    meter.close()
    for place, row in enumerate(result["ranking"], 1):
        print(f"{place}. {row['build']:14} {row['gross_j_per_right_answer'] * 1e3:.3f} mJ a right answer")


if __name__ == "__main__":
    main()
