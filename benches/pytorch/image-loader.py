"""Pictures a second from PyTorch's DataLoader with timm's published augmentation and mixing; see image-loader.mjs."""

import io
import json
import resource
import sys
import tarfile
import time

import torch
from PIL import Image
from timm.data import Mixup, create_transform


class Pictures(torch.utils.data.Dataset):
    """Every so many pictures of a tar archive, kept encoded in memory."""

    def __init__(self, path, pictures, transform):
        with tarfile.open(path) as archive:
            names = [one for one in archive.getmembers() if one.isfile() and one.name.lower().endswith((".jpg", ".jpeg"))]
            step = max(1, len(names) // pictures)
            self.encoded = [archive.extractfile(one).read() for one in names[::step][:pictures]]
        self.transform = transform

    def __len__(self):
        return len(self.encoded)

    def __getitem__(self, index):
        with Image.open(io.BytesIO(self.encoded[index])) as picture:
            return self.transform(picture.convert("RGB")), index % 30


def cpu_seconds():
    """Of this process and of its workers; those that still run are read where Linux tells of them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    total = used.ru_utime + used.ru_stime
    for worker in torch.multiprocessing.active_children():
        with open(f"/proc/{worker.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / 100
    return total


def endless(loader):
    while True:
        yield from loader


def main():
    case = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    # Strength 10 posterises to 0 bits, which Pillow 13 refuses: strengths end at 9 here, which costs the same.
    transform = create_transform(
        case["size"],
        is_training=True,
        auto_augment="rand-m9-mstd0.5-inc1-mmax9",
        interpolation="bicubic",
        re_prob=0.25,
        re_mode="pixel",
    )
    dataset = Pictures(case["path"], case["pictures"], transform)
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=case["batch"],
        shuffle=True,
        drop_last=True,
        num_workers=case["threads"],
        persistent_workers=case["threads"] > 0,
    )
    mixer = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=30)
    batches = endless(loader)
    for _ in range(len(loader) + 2):
        mixer(*next(batches))
    begun, cpu, made = time.perf_counter(), cpu_seconds(), 0
    while time.perf_counter() - begun < case["seconds"]:
        made += len(mixer(*next(batches))[0])
    wall, used = time.perf_counter() - begun, cpu_seconds() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rate": made / wall, "cpu": 1000 * used / made, "memory": memory}))


main()
