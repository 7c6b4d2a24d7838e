"""The machine: files, memory and processor, temporary folders, and output of native code."""
