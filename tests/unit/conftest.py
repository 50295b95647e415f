"""Property tests judge what is true, never how fast the machine is; each run tries other values."""

import hypothesis

hypothesis.settings.register_profile("unit", deadline=None, max_examples=50)
hypothesis.settings.load_profile("unit")
