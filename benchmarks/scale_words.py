"""Words of `benchmarks/scale.md`; their numbers are filled in by `benchmarks/scale.py`."""

LEFT_OUT = """\
A machine has two cores. Each finer level is taken to have seven times the cells; coasts make it a little fewer.
Bytes are those of `geoclip build --dry-run`. Left out, because they were not measured at these sizes: starting
a process (some ten seconds each, which is all that counts at resolution 6 on 256 machines); finding the land,
which one process does and the others fetch; storing the encoder's smooth part; fitting the prior. The planet of
resolution 6 took 20 minutes in all, on a busy machine ([index/README.md](../index/README.md#measured)).
"""

BENDS = """\
1. **CLIP's tower.** On cores a billion photos cost {cpu}, on GPUs {gpu} at the assumed rate. Embed on GPUs
   first (`geoclip embed`), keep the vectors ({vectors}), and search those: a new index or another option then
   asks them again without a GPU.
2. **Lookups.** One GPU brings vectors as fast as {gpu_lookups} cores look them up with effort `default`
   ({lookups} in all, {fast} with `fast`). Search on machines of their own, from the vectors; a GPU that waits
   for lookups costs more.
3. **Finishing on one machine.** At resolution 8 the blocks are encoded in {encode} by 256 machines, and
   finishing takes {finish} ({copy} of it copying), {memory} of memory and {disk} of disk, on one. More machines
   do not help there. Give it a fast disk, in the bucket's region. If that is too long, build regions as indexes
   of their own (`--region`), and ask the one that a photo may be of; one search over several indexes does not
   exist. The upper levels could also be written by several processes, since families of cells do not depend on
   each other; that would be new code.
4. **Loading.** The index of resolution 8 has {index}, and every process that opens it reads and checks it
   first: {open} where the disk is as fast as memory was in the measurement, and longer where it is not. A
   replica should open it from its own disk, and stay. A process that searches the planet of resolution 6 takes
   {rss}; for resolution 8 give it as much memory as the index has bytes, or the disk sets the pace.
5. **Lookups a second at finer cells** are not measured. A finer index saves encodings, of which the slopes of
   resolution 6 already save most, so resolution 6 is the better choice until somebody has measured otherwise.
6. **One kind of processor.** All blocks must come of one arithmetic. A cloud that hands out unlike processors
   under one name makes `--finish` refuse some of the blocks. Ask for one kind, or let Ray (`--on ray`) find
   out at the first block of each worker.

What does not bend: a bucket's requests. A block has some 20 MB, a part lists one folder with one request a
thousand blocks, and nothing is done twice.
"""
