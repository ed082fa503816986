"""llama.cpp and nothing else, to compare with: `python -m scripts.bench.runtime.bare MODEL CONTEXT BATCH THREADS`.

A line of JSON on standard input, {"prompt": tokens, "answer": tokens}, is answered by the seconds that a loop of llama_decode and
the greedy sampler took for each. Context settings are llama.cpp's defaults but for those named.
"""

import argparse
import ctypes
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from offline_agent.models import Fit

_PLAIN = 500  # tokens that every vocabulary here has as text


@contextmanager
def bare_loop(path: Path, fit: Fit) -> Iterator["BareLoop"]:
    """The loop in a process of its own, with the layout that the program chose for the same model."""
    numbers = [str(number) for number in (fit.context, fit.batch, fit.threads, fit.gpu_layers)]
    command = [sys.executable, "-m", "scripts.bench.runtime.bare", str(path), *numbers]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield BareLoop(process)
        finally:
            process.kill()


class BareLoop:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, prompt: int, answer: int) -> tuple[float, float]:
        """Seconds until the first token was drawn, and from then on."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"prompt": prompt, "answer": answer}) + "\n")
        self._process.stdin.flush()
        first, rest = json.loads(self._process.stdout.readline())
        return float(first), float(rest)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    for name in ("context", "batch", "threads", "gpu_layers"):
        parser.add_argument(name, type=int)
    serve(parser.parse_args())


def serve(options: argparse.Namespace) -> None:
    import llama_cpp

    silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    of_model = llama_cpp.llama_model_default_params()
    of_model.n_gpu_layers = options.gpu_layers
    model = llama_cpp.llama_model_load_from_file(options.path.encode(), of_model)
    of_context = llama_cpp.llama_context_default_params()
    of_context.n_ctx = options.context
    of_context.n_batch = of_context.n_ubatch = options.batch
    of_context.n_threads = of_context.n_threads_batch = options.threads
    context = llama_cpp.llama_init_from_model(model, of_context)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_timed(llama_cpp, context, options.batch, asked["prompt"], asked["answer"])), flush=True)


def _timed(library: Any, context: int, batch: int, prompt: int, answer: int) -> tuple[float, float]:
    draw = random.Random(prompt)
    tokens = [draw.randrange(_PLAIN) for _ in range(prompt)]
    library.llama_memory_clear(library.llama_get_memory(context), True)
    sampler = library.llama_sampler_init_greedy()

    def decode(some: list[int]) -> None:
        array = (library.llama_token * len(some))(*some)
        assert library.llama_decode(context, library.llama_batch_get_one(array, len(some))) == 0

    began = time.perf_counter()
    for start in range(0, prompt, batch):
        decode(tokens[start : start + batch])
    token = library.llama_sampler_sample(sampler, context, -1)
    between = time.perf_counter()
    for _ in range(answer - 1):
        decode([token])
        token = library.llama_sampler_sample(sampler, context, -1)
    ended = time.perf_counter()
    library.llama_sampler_free(sampler)
    return between - began, ended - between


if __name__ == "__main__":
    main()
