"""The loops of the lookup on a CPU, compiled: rows are prepared, candidates nominated, and scored exactly.

In the order of the work: `preparation` makes stored vectors ready to be multiplied, `candidates` looks through the
products, `scoring` gives the exact distances. `intrinsics` holds what these loops need and Python cannot say.

Everything here releases the interpreter lock, so that one task per thread keeps every core busy. Vectors come as
float32, or as the raw bits of float16 (uint16), which are widened where they are read: a block of a reference is
never copied whole.
"""
