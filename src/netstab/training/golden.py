"""What the golden values are computed on: a tiny study and images, whatever params.yaml says."""

from typing import Any

import numpy as np
import torch

from netstab.data.batches import Images, splits
from netstab.data.tensors import Tensors
from netstab.params import Params, check

SEED = 7
STEPS = 10
BATCH = 8
SIZE = 16
CLASSES = 4


def study(time_scale: float, batch_norm: str) -> Params:
    """The shipped interventions on a tiny network; independent of what params.yaml says today."""
    decay: dict[str, Any] = {"decay_epochs": [60, 120], "decay_factor": 0.1}
    thaw = {"60": "frozen", "120": 0.05}
    content = {
        "seeds": [SEED],
        "experiments": ["expA", "expB", "expC", "expD", "strict"],
        "blocks": {
            "64": ["stem", "layer1"],
            "128": ["layer2"],
            "256": ["layer3"],
            "512": ["layer4", "head"],
        },
        "data": {"dataset": "cifar10", "image_size": SIZE},
        "model": {"width": 4},
        "train": {
            "epochs": 200,
            "time_scale": time_scale,
            "batch_size": BATCH,
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 0.0005,
            "crop_padding": 2,
            "horizontal_flip": True,
            "precision": "fp32",
            "tf32": False,
            "deterministic": True,
        },
        "freeze": {"batch_norm": batch_norm},
        "baseline": {},
        "outpost": decay,
        "expA": decay,
        "expB": {"freeze_epoch": 60},
        "expC": {**decay, "freeze_epoch": 90},
        "expD": {**decay, "freeze_epoch": 140},
        "strict": {"freeze_epoch": 60},
        "expE": {
            "ema": {"start_epoch": 60, "decay": 0.9, "batch_norm_images": 32},
            "bnrecal": {"start_epoch": 60, "batch_norm_images": 32},
            "batch": {**decay, "decay_factor": 0.25, "largest_batch": 16},
            "head": {"freeze_epoch": 60},
        },
        "expF": {
            "shapes": [],
            "start_epoch": 60,
            "end_epoch": 150,
            "cycles": 3,
            "decay_factor": 0.01,
        },
        "own": {"thaw": {"64": thaw, "256": {"60": 0.01, "120": "frozen"}}},
        "measure": {
            "stability": {"every_epochs": 60, "images": 16},
            "field": {"every_epochs": 60, "images": 12, "seed": 0},
            "sharpness": {
                "every_epochs": None,
                "settle_epochs": 0,
                "blocks": "end",
                "images": 16,
                "batch_norm": "eval",
                "tolerance": 1e-9,
                "max_products": 200,
                "trace_samples": 3,
            },
            "barriers": {"images": 12, "points": 5},
        },
        "ceiling": {"seeds": []},
        "report": {"final_epochs": 10, "jitter_epochs": 50, "settle_epochs": 10, "jump_epochs": 5},
        "claims": {
            "confidence": 0.95,
            "margin_points": 0.3,
            "margin_loss": 0.02,
            "margin_sharpness": 0.2,
            "margin_jitter": 0.5,
            "saturated_top1_pct": 99.9,
            "recovered_share": 0.5,
            "fewest_jitter_epochs": 10,
        },
        "runtime": {
            "device": "cpu",
            "threads": 1,
            "workers": None,
            "sweep": False,
            "compile": False,
            "save_interval_s": 60.0,
            "keep_every": 30,
        },
    }
    return check(content, "numerics")


def images(padding: int) -> tuple[Images, Images]:
    """Eighty images of 16x16 pixels in four classes, made without random numbers.

    Not smaller: where layer4 has a single pixel and the batch few images, batch norm divides by
    almost nothing, and rounding grows to the size of the values within a hundred steps.
    """
    count = STEPS * BATCH
    labels = np.arange(count, dtype=np.int64) % CLASSES
    pixels = ((np.arange(count * SIZE * SIZE * 3) * 7919) % 251).reshape(count, SIZE, SIZE, 3) // 2
    pixels[:, :, :, 0] += 40 * labels[:, None, None]
    pixels[:, :, :, 1] += 4 * np.arange(SIZE)[None, None, :]
    made = np.clip(pixels, 0, 255).astype(np.uint8)
    return splits(
        Tensors(made, labels, made, labels),
        mean=[0.5, 0.5, 0.4],
        std=[0.25, 0.25, 0.3],
        padding=padding,
        device=torch.device("cpu"),
        dtype=torch.float64,
    )
