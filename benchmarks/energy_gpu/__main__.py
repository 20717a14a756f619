"""Joules per inference on an NVIDIA GPU: the energy counter against power readings and Zeus; builds ranked.

    PYTHONPATH=agent python3 -m benchmarks.energy_gpu --out energy_gpu.json

Needs PyTorch, pynvml (nvidia-ml-py) and goldwatch.energy; Zeus where it is installed. About twelve minutes; `--smoke`
takes one. Figures already in the file are not measured again, so an interrupted run can continue.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from goldwatch.energy.attribution import Insufficient, Reading, Source, Window, attribute, student_t
from goldwatch.energy.nvml import Nvml
from goldwatch.energy.sampling import Sampler

from benchmarks.energy_gpu.load import Remote
from benchmarks.energy_gpu.power import Power, against_power, zeus_monitor, zeus_window

WINDOWS = 4
WINDOW_S = 5.0
SETTLE_S = 2.0
BATCHES = (1, 16, 256)


def measure(remote: Remote, meter: Nvml, monitor: Any, build: str, batch: int) -> dict[str, Any]:
    """Measure one build at one batch size: quiet, windows of load, quiet."""
    right = remote.ask("build", build)
    remote.ask("run", batch, 1.0, 1)  # compiled and warm
    with Power() as power, Sampler(meter) as sampler:
        time.sleep(SETTLE_S)
        quiet_ns = time.monotonic_ns()
        time.sleep(WINDOW_S)
        quiet = Window(quiet_ns, time.monotonic_ns())
        with zeus_window(monitor) as zeus:
            load = tuple(Window(*found) for found in remote.ask("run", batch, WINDOW_S, WINDOWS))
        time.sleep(SETTLE_S)
        after_ns = time.monotonic_ns()
        time.sleep(WINDOW_S)
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("energy_gpu.json"))
    parser.add_argument("--smoke", action="store_true", help="one configuration, to see that everything works")
    arguments = parser.parse_args()
    smoke = arguments.smoke
    meter = Nvml(gpus=[0])
    meter.open()
    monitor, zeus = zeus_monitor()
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
            found.append(measure(remote, meter, monitor, build, batch))
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
