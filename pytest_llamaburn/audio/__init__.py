"""Sound: clips and their files, levels, and the devices that record and play.

`clips` has the samples and the file formats, `levels` the numbers of a clip, `devices` the devices
of this machine, `recording` and `playing` what is done with them. Samples are numpy arrays of
32-bit floats from -1 to 1, one row per frame and one column per channel.
"""
