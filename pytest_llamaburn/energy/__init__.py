"""Power and energy of a run: profiler, timeline, integral, cost, and the words for them."""
