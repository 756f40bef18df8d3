"""The product under fire: real processes, faults done to them, receivers with a memory, and the count afterwards.

`tocsin drill` and the tests share what stands here. It starts nothing but processes of this program, on loopback, in a
directory and a database that it makes and takes away again.
"""
