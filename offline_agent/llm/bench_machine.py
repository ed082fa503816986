"""On what it was measured: the machine by name, and what a process took of its memory."""

import platform
import re
from contextlib import suppress
from pathlib import Path

from offline_agent.llm.hardware import physical_cores

_PROC = Path("/proc")
_PROCESSOR = re.compile(r"^(?:model name|Hardware|Processor)\s*:\s*(.+)$", re.MULTILINE)
_GPU = re.compile(r"^Model:\s*(.+)$", re.MULTILINE)
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


def machine_name(gpu: bool, proc: Path = _PROC) -> str:
    """Processor, cores that may be used, and the GPU where the model is computed on one: `AMD EPYC 7R13, 2 cores`. Figures of two
    machines with the same name can be compared."""
    cores = physical_cores()
    parts = [_processor(proc), f"{cores} {'core' if cores == 1 else 'cores'}"]
    return ", ".join([*parts, _gpus(proc)] if gpu else parts)


def peak_memory(pid: int, proc: Path = _PROC) -> int:
    """The most bytes that a process had in main memory at once, the pages of files it mapped included (VmHWM, proc(5)); 0 where
    the system does not tell."""
    with suppress(OSError):
        found = _PEAK.search((proc / str(pid) / "status").read_text())
        return 1024 * int(found[1]) if found else 0
    return 0


def _processor(proc: Path) -> str:
    with suppress(OSError):
        if found := _PROCESSOR.search((proc / "cpuinfo").read_text()):
            return " ".join(found[1].split())
    return platform.processor() or platform.machine() or "unknown processor"


def _gpus(proc: Path) -> str:
    """What NVIDIA's driver says; others keep it to themselves."""
    names = []
    with suppress(OSError):
        for place in sorted((proc / "driver" / "nvidia" / "gpus").iterdir()):
            found = _GPU.search((place / "information").read_text())
            names += [" ".join(found[1].split())] if found else []
    return " and ".join(names) or "a GPU"
