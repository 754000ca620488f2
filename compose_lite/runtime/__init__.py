"""Containers on this kernel: zygote, monitor, init, exec."""
