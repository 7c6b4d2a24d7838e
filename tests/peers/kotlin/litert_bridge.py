"""Runs a net in LiteRT for a program that has no LiteRT: the model, then inputs, come in on standard input.

Each message is its length (4 bytes, the highest first) and the bytes. For each input all outputs go out, by name.
"""

import struct
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def receive() -> bytes:
    header = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(struct.unpack(">i", header)[0]) if header else b""


run = Interpreter(model_content=receive()).get_signature_runner()
source = run.get_input_details()["tensors"]
while content := receive():
    outputs = run(tensors=np.frombuffer(content, source["dtype"]).reshape(source["shape"]))
    for _, values in sorted(outputs.items()):
        sys.stdout.buffer.write(struct.pack(">i", values.nbytes) + values.tobytes())
    sys.stdout.buffer.flush()
