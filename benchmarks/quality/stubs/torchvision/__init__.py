"""Stands in for torchvision where its wheel does not load beside torch's; pty-chi takes one name from it."""
