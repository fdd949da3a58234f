"""What crosses borders between rooms and processes: plain dataclasses and pure functions, no input or output."""
