"""Timing that the contenders in Python share."""

import argparse
import resource
import statistics
import time

import torch


def times(args: argparse.Namespace, work) -> tuple[list[float], float]:
    """Seconds of a first call and of `steps` more, and when the first was done, since 1970."""
    taken, first_done = [], 0.0
    for index in range(args.steps + 1):
        start = time.perf_counter()
        work()
        if args.device != "cpu":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
        if index == 0:
            first_done = time.time()
    return taken, first_done


def figures(args: argparse.Namespace, train: tuple[list[float], float], evaluate: tuple[list[float], float]) -> dict:
    """What a contender reports: medians over all calls but the first."""
    return {
        "train_examples_per_s": args.batch / statistics.median(train[0][1:]),
        "eval_examples_per_s": args.batch / statistics.median(evaluate[0][1:]),
        # Linux counts it in KiB.
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "first_step_s": train[0][0],
        "first_step_done_at": train[1],
        "threads": torch.get_num_threads(),
    }
