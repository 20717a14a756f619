"""How much memory a worker may take by default, from files as the kernel writes them."""

from pathlib import Path

import pytest

from goldwatch.ipc.memory_limit import worker_limit_bytes

MIB = 2**20


def kernel(folder: Path, groups: str, limits: dict[str, str], total_kib: int = 8 * 2**20) -> tuple[Path, Path]:
    """Write files of a kernel; return the folders in place of /sys/fs/cgroup and /proc."""
    files = {"proc/self/cgroup": groups, "proc/meminfo": f"MemFree: 1 kB\nMemTotal:   {total_kib} kB\n"}
    files |= {f"cgroup/{name}": text for name, text in limits.items()}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "cgroup", folder / "proc"


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/", {"memory.max": f"{512 * MIB}\n"}),
        ("0::/pod/c", {"pod/c/memory.max": "max\n", "pod/memory.max": f"{512 * MIB}\n"}),
        ("0::/pod/c", {"pod/c/memory.max": f"{600 * MIB}\n", "pod/memory.max": f"{512 * MIB}\n"}),
        ("0::/../elsewhere", {"memory.max": f"{512 * MIB}\n"}),
        ("4:memory:/kube/c", {"memory/kube/c/memory.limit_in_bytes": f"{512 * MIB}\n"}),
        ("4:memory:/kube/c\n0::/", {"memory/memory.limit_in_bytes": f"{512 * MIB}\n"}),
    ],
)
def test_the_least_limit_of_its_groups_counts(tmp_path: Path, groups: str, limits: dict[str, str]) -> None:
    assert worker_limit_bytes(*kernel(tmp_path, groups, limits)) == 320 * MIB


def test_without_a_limit_of_a_group_the_machine_is_the_limit(tmp_path: Path) -> None:
    unlimited = {"memory.max": "max\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"}
    found = worker_limit_bytes(*kernel(tmp_path, "4:memory:/\n0::/", unlimited, total_kib=2**20))
    assert found == 832 * MIB


def test_a_small_container_leaves_half(tmp_path: Path) -> None:
    assert worker_limit_bytes(*kernel(tmp_path, "0::/", {"memory.max": f"{200 * MIB}\n"})) == 100 * MIB


def test_where_nothing_can_be_read_there_is_no_limit(tmp_path: Path) -> None:
    assert worker_limit_bytes(tmp_path / "cgroup", tmp_path / "proc") is None
