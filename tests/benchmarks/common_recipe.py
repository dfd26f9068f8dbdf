"""The common way to train on CIFAR-10, that ours is measured against.

Images one by one as PIL through torchvision's transforms, in two workers of a DataLoader; float32, NCHW, eager, torch's
own number of threads; loss and accuracy read after each iteration. The network is the same as ours.

    python common_recipe.py NETWORK SECONDS

Prints JSON: images and seconds of the iterations that were timed.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from repro.models import build

BATCH, WARM_UP = 128, 5
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Pictures(Dataset):
    """50,000 pictures of noise: height, width, colour, as torchvision keeps CIFAR-10."""

    def __init__(self, transform):
        random = np.random.default_rng(0)
        self.data = random.integers(0, 256, (50_000, 32, 32, 3), dtype=np.uint8)
        self.targets = random.integers(0, 10, 50_000).tolist()
        self.transform = transform

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.data[index])), self.targets[index]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    loader = DataLoader(Pictures(transform), batch_size=BATCH, shuffle=True, num_workers=2, drop_last=True)
    net = build(arguments.network)
    criterion = nn.CrossEntropyLoss()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones=[100, 150])
    losses, correct = [], []
    done = 0
    while True:
        net.train()
        for inputs, targets in loader:
            outputs = net(inputs)
            loss = criterion(outputs, targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            correct.append((outputs.argmax(1) == targets).float().mean().item())
            done += 1
            if done == WARM_UP:
                began = time.perf_counter()
            elif done > WARM_UP and (taken := time.perf_counter() - began) >= arguments.seconds:
                print(json.dumps({"images": (done - WARM_UP) * BATCH, "seconds": taken}))
                return
        scheduler.step()


if __name__ == "__main__":
    main()
